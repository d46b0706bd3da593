"""What changed between two runs: recipe, data, figures, slices and decision, with how sure each change is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError
from potstill.evaluate.decision import FIDELITY
from potstill.evaluate.paired import (
    MIN_PROMPTS_IN_COMMON,
    Paired,
    compare_figures,
    compare_slices,
    incomparable,
    shared,
)
from potstill.evaluate.prompt_table import NAME, PromptTable, read_prompt_table
from potstill.records import content_hash
from potstill.run.folder import read_recipe
from potstill.run.inputs import resolved
from potstill.run.overlap import AnswersChange, PromptsChange, answers_change, prompts_change
from potstill.run.summary import read_evaluation

_OF_SLICES = ("top1_agreement", "kl_nats", "chrf")  # and the metrics against references


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One key of the recipe; a side is None where it has no such key."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class FigureChange:
    """A figure of evaluation.json, as each run has it: value, low, high, n and unit; None where it has none."""

    figure: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Everything that differs between an old run and a new one."""

    old: str
    new: str
    recipe: Sequence[FieldChange]
    prompts: PromptsChange
    answers: AnswersChange
    decision: tuple[Mapping[str, Any], Mapping[str, Any]]
    figures: Sequence[FigureChange]
    shared_prompts: int  # held-out ones with figures in both
    paired: Sequence[Paired]  # over these
    slices: Sequence[Paired]  # of the new run, over these
    notes: Sequence[str]  # what could not be compared, and why


def diff(old: Path, new: Path) -> RunDiff:
    """Compare two evaluated runs.

    Raises RecipeError for a folder that is no run, PotstillError for a run without an evaluation or a damaged file.
    """
    recipes = [_flat(dict(resolved(read_recipe(folder)))) for folder in (old, new)]
    evaluations = [_evaluation(folder) for folder in (old, new)]
    prompts, answers = prompts_change(old, new), answers_change(old, new)
    tables = [read_prompt_table(folder) for folder in (old, new)]
    notes = [
        f"{folder}: has no {NAME}, because it was evaluated by an earlier Potstill; `potstill run {folder}/recipe.yaml "
        f"--out {folder}` evaluates it again"
        for folder, table in zip((old, new), tables, strict=True)
        if table is None
    ]
    changes = _changes(*recipes)
    common = 0
    paired: list[Paired] = []
    slices: list[Paired] = []
    if tables[0] is not None and tables[1] is not None:
        common, paired, slices, more = _paired(*shared(tables[0], tables[1]))
        notes += more
        if answers.held_out_different and paired:
            notes.append(
                f"the teacher's answers to {answers.held_out_different:,} held-out prompts are not the same in both "
                "runs, and fidelity is measured along them"
            )
        if any(one.field.startswith("evaluate.task") for one in changes):
            notes.append("evaluate.task is not the same in both runs, so a metric of one name may be another one")
    return RunDiff(
        str(old), str(new), changes, prompts, answers,
        (evaluations[0]["decision"], evaluations[1]["decision"]), _figures(*evaluations), common, paired, slices, notes,
    )  # fmt: skip


def _paired(old: PromptTable, new: PromptTable) -> tuple[int, list[Paired], list[Paired], list[str]]:
    common = len(new.hashes)
    notes = [f"{name} cannot be compared: {reason}" for name, reason in incomparable(old, new).items()]
    if common < MIN_PROMPTS_IN_COMMON:
        notes.append(
            f"{common:,} held-out prompts are measured in both runs, and nothing can be concluded from fewer than "
            f"{MIN_PROMPTS_IN_COMMON}"
        )
    chosen = [name for name, one in new.measures.items() if one.teacher is not None or name in _OF_SLICES]
    if "top1_agreement" in chosen:
        chosen.remove("chrf")
    return common, compare_figures(old, new), compare_slices(old, new, chosen), notes


def _evaluation(folder: Path) -> dict[str, Any]:
    if not (folder / "evaluation.json").is_file():
        raise PotstillError(
            f"{folder}: not evaluated yet, so there are no figures to compare; `potstill status {folder}` says how far "
            "it is"
        )
    found = read_evaluation(folder)
    if not isinstance(found.get("figures"), dict) or not isinstance(found.get("decision"), dict):
        raise PotstillError(f"{folder / 'evaluation.json'}: holds no figures and decision; delete it and run again")
    return found


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of a recipe by its dotted name; a list is one leaf."""
    if not isinstance(value, Mapping) or not value:
        return {name: value}
    parts = (_flat(one, f"{name}.{key}" if name else str(key)) for key, one in value.items())
    return {key: one for part in parts for key, one in part.items()}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[FieldChange]:
    names = dict.fromkeys([*old, *new])
    changed = (name for name in names if content_hash(old.get(name)) != content_hash(new.get(name)))
    return [FieldChange(name, old.get(name), new.get(name)) for name in changed]


def _figures(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[FigureChange]:
    """The student's figures, those of fidelity first, then the others and the baselines'."""
    names = dict.fromkeys([*old["figures"], *new["figures"]])
    order = sorted(names, key=lambda name: (name.count(".") > 0, name not in FIDELITY))
    return [FigureChange(name, old["figures"].get(name), new["figures"].get(name)) for name in order]
