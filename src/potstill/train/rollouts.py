"""On-policy batches: some answers of a step are written by the student itself, just before it is trained on them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from potstill.answers import Answer
from potstill.config import OnPolicy
from potstill.models.local import LocalModel
from potstill.rendering import Example
from potstill.store.journal import request_seed
from potstill.store.scores import taken_since
from potstill.train.served import ServedTeacher


@dataclass(frozen=True, slots=True)
class Rollout(Answer):
    """An answer that the student wrote itself; one number an answer token, in nats, where there are any."""

    log_p: tuple[float, ...] | None = None  # the teacher's, where it is served


class Rollouts:
    """Replaces a share of each step's stored answers by the student's own to the same prompts.

    Agarwal et al. 2024 (GKD), algorithm 1, with the choice made answer by answer instead of batch by batch. Which
    answers, and the random numbers that they are sampled with, depend on the step and the answer alone, so that a
    resumed training sees what an unbroken one does.
    """

    def __init__(
        self, section: OnPolicy, student: LocalModel, max_new_tokens: int, seed: int,
        teacher: ServedTeacher | None = None,
    ) -> None:  # fmt: skip
        """`max_new_tokens` bounds an answer, besides the student's context. A served `teacher` scores the answers."""
        self._section, self._student, self._longest, self._seed = section, student, max_new_tokens, seed
        self._teacher = teacher

    def mix(self, answers: Sequence[Answer], step: int) -> tuple[list[Answer], dict[str, Any]]:
        """The step's answers in their order, with the student's own in place, and what the metrics tell of them."""
        rng = random.Random(f"{self._seed}/{step}/rollouts")
        chosen = [number for number in range(len(answers)) if rng.random() < self._section.fraction]
        own = self._written([answers[number] for number in chosen], step) if chosen else []
        facts: dict[str, Any] = {"rollouts": len(own)}
        if self._teacher is not None:
            before = self._teacher.spending
            scores = self._teacher.score([one.example for one in own])
            own = [replace(one, log_p=log_p) for one, log_p in zip(own, scores, strict=True)]
            facts |= taken_since(self._teacher.spending, before).facts()
        mixed = list(answers)
        for number, one in zip(chosen, own, strict=True):
            mixed[number] = one
        return mixed, facts

    def _written(self, answers: Sequence[Answer], step: int) -> list[Rollout]:
        prompts = [one.example.tokens[: one.example.prompt_length] for one in answers]
        network, limit = self._student.network, self._student.context_tokens
        room = self._longest if limit is None else min(self._longest, limit - max(len(prompt) for prompt in prompts))
        training = network.training
        network.eval()
        try:
            found = self._student.generate(
                prompts, max_new_tokens=max(room, 1), temperature=self._section.temperature,
                seeds=[request_seed(self._seed, f"{step}/{one.prompt_hash}", one.sample) for one in answers],
            )  # fmt: skip
        finally:
            network.train(training)
        return [
            Rollout(**{**_fields(one), "example": Example((*prompt, *own.tokens), len(prompt))})
            for one, prompt, own in zip(answers, prompts, found, strict=True)
        ]


def _fields(answer: Answer) -> dict[str, Any]:
    return {field.name: getattr(answer, field.name) for field in fields(Answer)}
