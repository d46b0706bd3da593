"""Grows a run's prompts: asks a model for more of their kind, round by round, until there are enough or no new ones."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from potstill.config import Collect, Growth, NoSignals, Recipe, Teacher
from potstill.errors import PotstillError, RecipeError
from potstill.progress import Reporter
from potstill.prompts import PromptSet
from potstill.prompts.growth import Request, Taken, Written, requests_of_round, take_new
from potstill.records import Prompt
from potstill.store.journal import Journal
from potstill.store.scores import GROWN, write_prices

# A journal of its own, so that a kill or a larger `to` asks nothing twice.
OUTPUTS = tuple(f"{GROWN}/{name}" for name in ("answers.sqlite", "answers.parquet", "prices.json"))
_MOST_A_ROUND = 256
_LEFT_OUT = {
    "no_words": "without a word", "too_long": "over prompts.grow.max_words", "repeated": "that repeat another",
    "alike": "much like another",
}  # fmt: skip
_DRY = 0.05  # a round in which fewer of the wanted prompts are new is the last


def writer_recipe(recipe: Recipe, growth: Growth, budget_usd: float | None) -> Recipe:
    """The recipe by which the writing model is asked: its own teacher, one answer a question, nothing kept but text."""
    collect = Collect(
        max_new_tokens=growth.max_new_tokens, temperature=growth.temperature, top_p=growth.top_p, seed=growth.seed,
        batch_size=recipe.collect.batch_size, signals=NoSignals(kind="none"), budget_usd=budget_usd,
    )  # fmt: skip
    teacher = growth.model or recipe.teacher
    return recipe.model_copy(update={"teacher": teacher, "more_teachers": (), "collect": collect})


def grow(
    recipe: Recipe, growth: Growth, found: PromptSet, folder: Path, reporter: Reporter
) -> tuple[PromptSet, dict[str, Any], frozenset[str]]:
    """The prompts with the grown ones after them, facts for the ledger, and the hashes of the requests that wrote them.

    Raises TermsStopped where the writing model may not be asked, and what `collect` raises; the same call goes on.
    """
    seeds = [one for one in found.prompts if one.split == "train" and _one_turn(one, recipe)]
    if not seeds:
        raise RecipeError("prompts.grow: no training prompt is a single text of the user, so there is none to show")
    writer = writer_recipe(recipe, growth, _budget_left(recipe, folder))
    place = folder / GROWN
    place.mkdir(exist_ok=True)
    write_prices(place, writer.teacher.endpoint.price_per_million if writer.teacher.endpoint else None)
    written: list[Prompt] = []
    asked: list[Request] = []
    rounds = without_list = 0
    left_out: Counter[str] = Counter()
    withdrawn = found.withdrawn.hashes if found.withdrawn is not None else ()
    while (missing := growth.to - len(found.prompts) - len(written)) > 0:
        count = min(_MOST_A_ROUND, math.ceil(missing / growth.wanted))
        questions = requests_of_round(recipe.prompts, growth, seeds, written, rounds, count)
        asked += questions
        answers = _ask(writer, asked, questions, place, reporter)
        taken = take_new(recipe.prompts, growth, [*found.prompts, *written], answers, _name(writer.teacher))
        new = [one for one in taken.prompts if one.hash not in withdrawn][:missing]
        written += new
        rounds += 1
        left_out.update(taken.left_out)
        without_list += taken.without_list
        reporter.say(f"prompts.grow: round {rounds}: {_told(len(questions), len(new), taken)}")
        if len(new) < _DRY * count * growth.wanted:
            reporter.say(
                f"prompts.grow: of {count * growth.wanted:,} prompts wanted in round {rounds} {len(new):,} came and "
                f"were new, so it ends with {len(found.prompts) + len(written):,} of {growth.to:,}"
            )
            break
    facts = {
        "grown": len(written), "growth_requests": len(asked), "growth_rounds": rounds,
        "growth_left_out": dict(left_out), "growth_without_list": without_list,
    }  # fmt: skip
    return replace(found, prompts=(*found.prompts, *written)), facts, frozenset(one.prompt.hash for one in asked)


def describe_growth(recipe: Recipe, prompts: int) -> str:
    """What growing would take, in words for the plan; empty where the recipe asks for none."""
    growth = recipe.prompts.grow
    if growth is None or growth.to <= prompts:
        return ""
    requests = math.ceil((growth.to - prompts) / growth.wanted)
    who = _name(growth.model or recipe.teacher)
    return (
        f"from {prompts:,} to {growth.to:,} prompts, written by {who} in {requests:,} requests or more, before the "
        "first is answered; what stands below is for the source's own prompts"
    )


def _told(requests: int, new: int, taken: Taken) -> str:
    """A round in words."""
    why = "".join(f", {number:,} {_LEFT_OUT[name]}" for name, number in taken.left_out.items())
    silent = f"; {taken.without_list:,} answers held no list" if taken.without_list else ""
    return f"{requests:,} requests, {new:,} new prompt{'' if new == 1 else 's'}{why}{silent}"


def _ask(
    writer: Recipe, asked: Sequence[Request], questions: Sequence[Request], place: Path, reporter: Reporter
) -> list[Written]:
    """What the model wrote to these questions, in their order; all that were ever asked stay in the journal."""
    from potstill.collect import collect
    from potstill.terms import clear

    collect(writer, clear(writer), [one.prompt for one in asked], place, reporter)
    by_prompt = {one.prompt.hash: one for one in questions}
    with Journal(place / "answers.sqlite", read_only=True) as journal:
        rows = {row.prompt_hash: row for row in journal.answers(("ok", "truncated")) if row.prompt_hash in by_prompt}
    return [
        Written(question, rows[identity].key, reply.text, rows[identity].use == "ok")
        for identity, question in by_prompt.items()
        if identity in rows and (reply := rows[identity].reply) is not None
    ]


def _budget_left(recipe: Recipe, folder: Path) -> float | None:
    """What of the recipe's budget the answers of this run have left; those of the writing model count by themselves."""
    budget, journal = recipe.collect.budget_usd, folder / "answers.sqlite"
    if budget is None or not journal.is_file():
        return budget
    with Journal(journal, read_only=True) as answers:
        left = budget - answers.spent_usd()
    if left <= 0:
        raise PotstillError(f"collect.budget_usd: all of {budget:g} USD is spent on answers; a larger one goes on")
    return left


def _one_turn(prompt: Prompt, recipe: Recipe) -> bool:
    """Whether a prompt is one text of the user, besides what the recipe puts before each."""
    users = sum(message.role == "user" for message in prompt.messages)
    return users == 1 + len(recipe.prompts.examples)


def _name(teacher: Teacher) -> str:
    if teacher.endpoint is not None:
        return f"{teacher.endpoint.model} at {urlsplit(teacher.endpoint.base_url).hostname}"
    return str(teacher.model)
