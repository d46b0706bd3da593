"""On-policy batches: some answers of a step are written by the student itself, just before it is trained on them."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from potstill.answers import Answer
from potstill.config import OnPolicy
from potstill.errors import PotstillError
from potstill.models.local import LocalModel
from potstill.rendering import Example
from potstill.store.journal import request_seed
from potstill.store.scores import taken_since
from potstill.train.served import ServedTeacher
from potstill.train.served_student import FIELD, ServedStudent

_COMPARED = 4  # answers of a server that are scored here too, after each time that it has loaded weights
_MOST_APART_NATS = 0.5  # a token; bf16 makes some hundredths


@dataclass(frozen=True, slots=True)
class Rollout(Answer):
    """An answer that the student wrote itself; one number an answer token, in nats, where there are any."""

    log_p: tuple[float, ...] | None = None  # the teacher's, where it is served
    log_q: tuple[float, ...] | None = None  # the student's as it was sampled, where a server did that


class Rollouts:
    """Replaces a share of each step's stored answers by the student's own to the same prompts.

    Agarwal et al. 2024 (GKD), algorithm 1, with the choice made answer by answer instead of batch by batch. Which
    answers, and the random numbers that they are sampled with, depend on the step and the answer alone, so that a
    resumed training sees what an unbroken one does.
    """

    def __init__(
        self, section: OnPolicy, student: LocalModel, max_new_tokens: int, seed: int,
        teacher: ServedTeacher | None = None, server: ServedStudent | None = None,
    ) -> None:  # fmt: skip
        """`max_new_tokens` bounds an answer, besides the student's context.

        A served `teacher` scores the answers; a `server` samples them in the place of this process.
        """
        self._section, self._student, self._longest, self._seed = section, student, max_new_tokens, seed
        self._teacher, self._server = teacher, server

    def mix(self, answers: Sequence[Answer], step: int) -> tuple[list[Answer], dict[str, Any]]:
        """The step's answers in their order, with the student's own in place, and what the metrics tell of them."""
        rng = random.Random(f"{self._seed}/{step}/rollouts")
        chosen = [number for number in range(len(answers)) if rng.random() < self._section.fraction]
        own, found = self._written([answers[number] for number in chosen], step) if chosen else ([], {})
        facts: dict[str, Any] = {"rollouts": len(own), **found}
        if self._teacher is not None:
            before = self._teacher.spending
            scores = self._teacher.score([one.example for one in own])
            own = [replace(one, log_p=log_p) for one, log_p in zip(own, scores, strict=True)]
            facts |= taken_since(self._teacher.spending, before).facts()
        mixed = list(answers)
        for number, one in zip(chosen, own, strict=True):
            mixed[number] = one
        return mixed, facts

    def saved(self, step: int) -> None:
        """Hear that a checkpoint exists from which training goes on at `step`."""
        if self._server is not None:
            self._server.forget_before(step)

    def _written(self, answers: Sequence[Answer], step: int) -> tuple[list[Rollout], dict[str, float]]:
        prompts = [one.example.tokens[: one.example.prompt_length] for one in answers]
        limit = self._student.context_tokens
        room = self._longest if limit is None else min(self._longest, limit - max(len(prompt) for prompt in prompts))
        seeds = [request_seed(self._seed, f"{step}/{one.prompt_hash}", one.sample) for one in answers]
        if self._server is not None:
            fresh = self._server.refresh(step)
            drawn = self._server.generate(
                prompts, max_new_tokens=max(room, 1), temperature=self._section.temperature, seeds=seeds
            )
            own = [_rollout(*one) for one in zip(answers, (one.tokens for one in drawn), strict=True)]
            own = [replace(one, log_q=other.log_q) for one, other in zip(own, drawn, strict=True)]
            return own, {"server_apart_nats": self._compare(own[:_COMPARED])} if fresh else {}
        with _evaluating(self._student.network):
            found = self._student.generate(
                prompts, max_new_tokens=max(room, 1), temperature=self._section.temperature, seeds=seeds
            )
        return [_rollout(answer, one.tokens) for answer, one in zip(answers, found, strict=True)], {}

    @torch.inference_mode()
    def _compare(self, own: Sequence[Rollout]) -> float:
        """How far the server's log q is from the student's own, in nats a token, right after it was given the weights.

        Raises PotstillError where it is far: then it has others. Small differences are the server's precision.
        """
        network, differences = self._student.network, []
        with _evaluating(network):
            for one in own:
                example = one.example
                ids = torch.tensor([example.tokens], device=network.device)
                logits = network(ids, logits_to_keep=example.answer_length + 1).logits[0, :-1].float()
                ours = torch.log_softmax(logits, -1).gather(-1, ids[0, example.prompt_length :, None])[:, 0]
                differences.append((ours - torch.tensor(one.log_q, device=ours.device)).abs())
        apart = float(torch.cat(differences).mean())
        if apart > _MOST_APART_NATS:
            raise PotstillError(
                f"{FIELD}: the server's log-probabilities are {apart:.2f} nats a token from the student's, right after "
                "it was given its weights; it must serve this very student (checkpoints/initial of this run), and load "
                "what it is told to"
            )
        return apart


@contextmanager
def _evaluating(network: Any) -> Iterator[None]:
    """The network without dropout, as it was afterwards."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def _rollout(answer: Answer, tokens: Sequence[int]) -> Rollout:
    length = answer.example.prompt_length
    example = Example((*answer.example.tokens[:length], *tokens), length)
    return Rollout(**{**_fields(answer), "example": example})


def _fields(answer: Answer) -> dict[str, Any]:
    return {field.name: getattr(answer, field.name) for field in fields(Answer)}
