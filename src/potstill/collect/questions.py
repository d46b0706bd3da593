"""What a local teacher is asked: prompts as tokens, one request for each sample, in batches that never change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.config import Recipe
from potstill.records import Prompt
from potstill.rendering import render_prompt
from potstill.store.journal import Failure, Journal, Request, make_request, request_seed


@dataclass(frozen=True, slots=True)
class Question:
    """A request with the prompt's tokens and the seed of its random numbers."""

    request: Request
    tokens: tuple[int, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Limit:
    """The context of a teacher, in tokens, and how an error row calls that teacher."""

    tokens: int | None
    whose: str = "the teacher's context"


def ask(recipe: Recipe, tokenizer: Any, revision: str, prompts: Sequence[Prompt]) -> list[Question]:
    """The questions of these prompts to the teacher whose weights have this revision."""
    collect = recipe.collect
    questions = []
    for prompt in prompts:
        tokens = tuple(render_prompt(tokenizer, prompt.messages))
        for sample in range(collect.answers_per_prompt):
            seed = request_seed(collect.seed, prompt.hash, sample)
            body = {
                "model": revision,
                "messages": [one.plain for one in prompt.messages],
                "temperature": collect.temperature, "top_p": collect.top_p, "max_tokens": collect.max_new_tokens,
                "seed": seed,
                # Not part of the answer, but kept with it: other signals are other rows.
                "signals": recipe.signals.model_dump(mode="json"),
            }  # fmt: skip
            questions.append(Question(make_request(prompt, sample, body), tokens, seed))
    return questions


def refuse_too_long(
    questions: Sequence[Question], limits: Mapping[str, Limit], max_new_tokens: int, journal: Journal
) -> None:
    """Turn questions that leave no room for an answer into error rows; `limits` is by the hash of the prompt."""
    journal.settle(
        Failure(
            one.request.key,
            f"the prompt takes {len(one.tokens)} tokens; with collect.max_new_tokens {max_new_tokens} that is over "
            f"{limit.whose} of {limit.tokens}",
        )
        for one in questions
        if (limit := limits[one.request.prompt_hash]).tokens is not None
        and len(one.tokens) + max_new_tokens > limit.tokens
    )


def batches(questions: Sequence[Question], size: int) -> Iterator[list[Question]]:
    """Like lengths together, so that little is padded; ties in the order of the prompts."""
    ordered = sorted(questions, key=lambda one: len(one.tokens))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
