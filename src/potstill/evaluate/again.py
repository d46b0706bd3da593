"""The teacher's other answers to the held-out prompts: what it says when it is asked again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from potstill.answers import Answer
from potstill.config import Recipe
from potstill.evaluate.answering import write_answers
from potstill.evaluate.held_out import HeldOut
from potstill.evaluate.reordering import reordered
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import Prompt
from potstill.rendering import render_prompt
from potstill.store.journal import request_seed
from potstill.store.prompts import StoredPrompts

How = Literal["collected", "sampled", "reordered", "by construction"]
_ANOTHER = 1  # the number of the sample that a local teacher is asked for; the collected one has the number 0


@dataclass(frozen=True, slots=True)
class Again:
    """`texts` has another answer of the teacher for each held-out answer, None where there is none.

    `how`: it was *collected* beside the first; a local teacher *sampled* it now, with other random numbers; one that
    always answers alike was asked with the prompt's fields *reordered*; or, without such fields, it is the same *by
    construction*. None: there is none at all, and `reason` says why.
    """

    texts: Sequence[str | None]
    how: How | None
    reason: str = ""


def ask_again(
    recipe: Recipe, folder: Path, held: HeldOut, teachers: Mapping[str, LocalModel], reporter: Reporter
) -> Again:
    """The teacher's other answers. An endpoint is not asked here: what it was asked is in the journal."""
    none: list[str | None] = [None] * len(held.answers)
    if recipe.evaluate.self_agreement is False:
        return Again(none, None, "the recipe says evaluate.self_agreement: false")
    if recipe.collect.answers_per_prompt > 1 or recipe.asks_again:
        return _collected(held.answers)
    if not teachers:
        reason = "an endpoint is asked again only with evaluate.self_agreement: true, or two answers to each prompt"
        return Again(none, None, reason)
    if recipe.collect.temperature > 0:
        reporter.say(f"asking the teacher again: {len(held.answers):,} held-out prompts")
        tokens = [one.example.tokens[: one.example.prompt_length] for one in held.teacher_answers]
        return Again(_written(recipe, held, teachers, tokens), "sampled")
    return _reordered(recipe, folder, held, teachers, reporter)


def _collected(answers: Sequence[Answer]) -> Again:
    """Each answer's neighbour among the usable ones to the same prompt; after the last comes the first."""
    by_prompt: dict[str, list[int]] = {}
    for at, one in enumerate(answers):
        by_prompt.setdefault(one.prompt_hash, []).append(at)
    texts: list[str | None] = [None] * len(answers)
    for places in by_prompt.values():
        for at, neighbour in zip(places, [*places[1:], places[0]], strict=True):
            texts[at] = answers[neighbour].text if neighbour != at else None
    if all(one is None for one in texts):
        return Again(texts, None, "no held-out prompt has a second usable answer")
    return Again(texts, "collected")


def _reordered(
    recipe: Recipe, folder: Path, held: HeldOut, teachers: Mapping[str, LocalModel], reporter: Reporter
) -> Again:
    wanted = {one.prompt_hash for one in held.answers}
    turned = {
        prompt.hash: other
        for prompt in StoredPrompts(folder / "prompts.parquet")
        if prompt.hash in wanted and (other := _turned(prompt)) is not None
    }
    if not turned:
        return Again([one.text for one in held.answers], "by construction")
    reporter.say(f"asking the teacher again, with fields in another order: {len(turned):,} held-out prompts")
    tokens: list[Sequence[int] | None] = []
    for one in held.answers:
        other = turned.get(one.prompt_hash)
        # All teachers are asked in the tokens of the first one's template, as collecting does.
        asked = next(iter(teachers.values()))
        tokens.append(None if other is None else render_prompt(asked.tokenizer, other.messages, other.tools))
    return Again(_written(recipe, held, teachers, tokens), "reordered")


def _turned(prompt: Prompt) -> Prompt | None:
    """The prompt with the fields of its last turn in another order; None where that has none."""
    *before, last = prompt.messages
    text = reordered(last.content)
    return None if text is None else replace(prompt, messages=(*before, replace(last, content=text)))


def _written(
    recipe: Recipe, held: HeldOut, teachers: Mapping[str, LocalModel], tokens: Sequence[Sequence[int] | None]
) -> list[str | None]:
    """Another answer to each prompt by the teacher that wrote the first; None for no prompt, or an unusable answer."""
    texts: list[str | None] = [None] * len(tokens)
    room = recipe.collect.max_new_tokens
    for name, teacher in teachers.items():
        limit = teacher.context_tokens
        places = [
            at
            for at, (one, prompt) in enumerate(zip(held.answers, tokens, strict=True))
            if prompt is not None and recipe.writer(one.tag) == name and (limit is None or len(prompt) + room <= limit)
        ]
        prompts = [prompt for at in places if (prompt := tokens[at]) is not None]
        seeds = [request_seed(recipe.collect.seed, held.answers[at].prompt_hash, _ANOTHER) for at in places]
        for at, one in zip(places, write_answers(teacher, prompts, seeds, recipe.collect), strict=True):
            usable = one.text.strip() and (not one.cut or "truncated" in recipe.collect.uses)
            texts[at] = one.text if usable else None
    return texts
