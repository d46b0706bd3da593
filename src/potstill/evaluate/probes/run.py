"""Runs all probes of an evaluation: on held-out answers as they are, and on prompts that are asked for their sake."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.answers import Answer
from potstill.config import Recipe
from potstill.errors import RecipeError
from potstill.evaluate.probes.asking import Asked, answers_of, held_out_answers, left_out_refusals, trained_forms
from potstill.evaluate.probes.found import Found, Pair
from potstill.evaluate.probes.held_out import held_out_probes
from potstill.evaluate.probes.own import Probe, read_own, without_a_value
from potstill.evaluate.probes.rates import Case, Comparison, Draws, figure, rate
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import Figure
from potstill.stats import holm


@dataclass(frozen=True, slots=True)
class Probed:
    """Figures `probe.<name>`, and what evaluation.json says of each probe."""

    figures: dict[str, Figure]
    facts: list[dict[str, Any]]


def probe_run(
    recipe: Recipe, folder: Path, answers: Sequence[Answer], texts: Sequence[str], student: LocalModel,
    teacher: LocalModel | None, reporter: Reporter,
) -> Probed:  # fmt: skip
    """Compare the held-out `answers` with the student's own `texts` to the same prompts, and ask what probes ask.

    The student is asked what the teacher refused and screening left out, too. Probes that need answers of the teacher
    are asked of a local one (`teacher`); of the recipe's own file a served teacher has no part.
    Raises RecipeError for a file of probes that cannot be used.
    """
    settings, draws = recipe.evaluate.probes, Draws(recipe.evaluate.resamples, recipe.evaluate.seed)
    own = read_own(recipe)
    pairs = [
        Pair(one.prompt_hash, one.prompt_text, one.text, text) for one, text in zip(answers, texts, strict=True)
    ] + _refused(folder, student, recipe)  # fmt: skip
    found = held_out_probes(pairs, trained_forms(folder, recipe.collect.uses), settings.rare_format)
    figures = {name: one for probe in found for name, one in probe.figures(draws).items()}
    facts = [probe.facts(draws) for probe in found]
    made = _made(folder, settings.made_empty_fields) if teacher is not None else []
    if own or made:
        reporter.say(f"asking {len(own) + len(made):,} probes")
    for group in _groups([*own, *made]):
        told, more = _ask(group, student, teacher, recipe, draws)
        figures |= more
        facts.append(told)
    for told, adjusted in zip(facts, holm([one["p_value"] for one in facts]).tolist(), strict=True):
        told["p_holm"] = adjusted
    return Probed(figures, facts)


def _refused(folder: Path, student: LocalModel, recipe: Recipe) -> list[Pair]:
    refused = left_out_refusals(folder)
    written = answers_of(student, [one for one, _ in refused], recipe)
    return [
        Pair(one.hash, one.messages[-1].content, text, ours, teacher_refused=True)
        for (one, text), ours in zip(refused, written, strict=True)
        if ours is not None
    ]


def _made(folder: Path, most: int) -> list[Probe]:
    """Probes of empty fields, made of held-out prompts in their order."""
    if not most:
        return []
    probes = (without_a_value(one.messages, text) for one, text in held_out_answers(folder) if not one.tools)
    return [one for one in probes if one is not None][:most]


def _groups(probes: Sequence[Probe]) -> list[list[Probe]]:
    groups: dict[tuple[bool, str], list[Probe]] = {}
    for one in probes:
        groups.setdefault((one.made, one.expect), []).append(one)
    return list(groups.values())


def _ask(
    probes: Sequence[Probe], student: LocalModel, teacher: LocalModel | None, recipe: Recipe, draws: Draws
) -> tuple[dict[str, Any], dict[str, Figure]]:
    """One kind of probes: the share in which the student does not do what is expected, and of made ones what it loses.

    What is expected in the recipe's own file is right whatever the teacher does; made ones are only as sure as the
    teacher, so there the figure is over those in which the teacher leaves the fields empty.
    """
    asked = [Asked(one.hash, one.messages) for one in probes]
    ours = _answers(student, "student", probes, asked, recipe)
    theirs: Sequence[str | None] = [None] * len(asked)
    if teacher is not None:
        theirs = _answers(teacher, "teacher", probes, asked, recipe)
    kept = [one.holds(text) for one, text in zip(probes, ours, strict=True)]
    name = f"made_{probes[0].expect}" if probes[0].made else f"own_{probes[0].expect}"
    cases: list[Case] = []
    examples: list[dict[str, str]] = []
    for probe, text, right, before in zip(probes, ours, kept, theirs, strict=True):
        did = before is not None and probe.holds(before)
        cases.append(Case(probe.hash, did if before is not None else True, right))
        if not right:
            told = "the teacher does it" if did else "the teacher does not do it either" if before is not None else ""
            examples.append(Pair(probe.hash, probe.text, before or "", text).example(told))
    if probes[0].made:
        found = Found(name, Comparison(cases), name, None, examples)
        return found.facts(draws), found.figures(draws)
    facts = Found(name, Comparison(cases), name, None, examples).facts(draws)
    if teacher is None:
        facts["teacher"] = None
    missed = rate([not right for right in kept], [one.hash for one in probes], draws)
    return facts, {f"probe.{name}": figure(missed)} if missed is not None else {}


def _answers(
    model: LocalModel, role: str, probes: Sequence[Probe], asked: Sequence[Asked], recipe: Recipe
) -> list[str]:  # fmt: skip
    found = []
    for probe, text in zip(probes, answers_of(model, asked, recipe), strict=True):
        if text is None:
            raise RecipeError(
                f"evaluate.probes: the probe {probe.text[:60]!r} leaves the {role} no room for an answer of "
                f"{recipe.collect.max_new_tokens} tokens; shorten it"
            )
        found.append(text)
    return found
