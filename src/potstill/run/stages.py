"""The seven stages: in which order, after which others, and the room that does the work of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from potstill.config import Recipe
from potstill.errors import PotstillError, RecipeError
from potstill.progress import Reporter
from potstill.records import StageResult, content_hash
from potstill.run import inputs
from potstill.run.despite import despite
from potstill.run.lm_eval import check_lm_eval
from potstill.run.markers import read_marker
from potstill.run.prompts_stage import prepare_prompts
from potstill.run.terms_stage import layers, pass_gate

StageName = Literal["terms", "prompts", "collect", "screen", "train", "evaluate", "export"]
STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)

_JOURNAL = "answers.sqlite"
_NOTHING_SCREENED = content_hash("")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a run, skipped while what it reads is unchanged and what it left is still there."""

    name: StageName
    # Raise it when a change of the code would leave other files for the same inputs.
    code_version: int
    after: tuple[StageName, ...]  # the stages whose results it reads
    reads: Callable[[Recipe], Mapping[str, Any]]  # the parts of the recipe, and hashes of files outside the run
    # What is thrown away before the stage starts, so that no verdict of earlier inputs is left to be read meanwhile.
    # `collect` and `train` have none: they bind each half-made piece to its inputs themselves and go on from there.
    discards: tuple[str, ...] = ()


STAGES: tuple[Stage, ...] = (
    Stage("terms", 1, (), inputs.terms),
    Stage("prompts", 1, (), inputs.prompts),
    Stage("collect", 2, ("prompts",), inputs.collect),
    Stage("screen", 1, ("collect",), inputs.screen),
    Stage("train", 1, ("collect", "screen"), inputs.train),
    Stage(
        "evaluate",
        3,
        ("terms", "prompts", "collect", "screen", "train"),
        inputs.evaluate,
        ("evaluation.json", "report.html", "per_prompt.parquet"),
    ),
    Stage("export", 2, ("terms", "prompts", "collect", "screen", "train", "evaluate"), inputs.export, ("export",)),
)


def stages_until(until: str | None) -> tuple[Stage, ...]:
    """The stages up to and with `until`; all of them for None. Raises RecipeError for a name that is none."""
    if until is None:
        return STAGES
    names = [stage.name for stage in STAGES]
    if until not in names:
        raise RecipeError(f"--until {until}: no such stage; there are {', '.join(names)}")
    return STAGES[: names.index(until) + 1]


def stage_inputs(stage: Stage, recipe: Recipe, folder: Path) -> dict[str, str]:
    """Hashes of everything that a stage depends on, by name; stages before it count with their result."""
    found = {name: content_hash(value) for name, value in stage.reads(recipe).items()}
    for earlier in stage.after:
        marker = read_marker(folder, earlier)
        if earlier == "screen" and marker is not None and marker.result_hash == _NOTHING_SCREENED:
            continue  # the inputs are what they were before there was this stage: a finished run stays finished
        found[f"stage {earlier}"] = marker.result_hash if marker else "not finished"
    if stage.name == "export" and (reason := despite(folder)) is not None:
        found["despite"] = content_hash(reason)
    return found


def result_hash(stage: StageName, outputs: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    """What later stages depend on: the output files; for `terms`, which writes none, the clearance itself; for `screen`
    which answers it leaves out besides those whose replies say so.

    The journal also holds answers of earlier recipes; the answers that count are in answers.parquet.
    """
    if stage == "terms":
        return content_hash(dict(facts))
    if stage == "screen":
        return content_hash(facts["left_out_sha256"])
    return content_hash({name: found for name, found in outputs.items() if PurePosixPath(name).name != _JOURNAL})


def perform(stage: StageName, recipe: Recipe, folder: Path, reporter: Reporter) -> StageResult:
    """Do a stage's work. Rooms are imported here, when they are needed: only some of them load torch."""
    match stage:
        case "terms":
            return pass_gate(recipe)
        case "prompts":
            return prepare_prompts(recipe, folder, reporter)
        case "collect":
            from potstill.collect import collect
            from potstill.store.prompts import StoredPrompts
            from potstill.terms import clear

            # Asked again rather than read back from the marker: only the gate makes a Clearance.
            return collect(recipe, clear(recipe), StoredPrompts(folder / "prompts.parquet"), folder, reporter)
        case "screen":
            from potstill.collect.screening import screen
            from potstill.terms import clear_judge

            return screen(recipe, clear_judge(recipe), folder, reporter)
        case "train":
            from potstill.terms import clear
            from potstill.train import train

            check_lm_eval(recipe)  # hours of training must not end at a package that is not there
            return train(recipe, folder, reporter, clear(recipe) if recipe.scores_rollouts else None)
        case "evaluate":
            from potstill.evaluate import evaluate

            if recipe.evaluate.judge is None:
                return evaluate(recipe, folder, reporter)
            from potstill.collect.judging import Judges
            from potstill.terms import clear_judges

            return evaluate(recipe, folder, reporter, Judges(recipe, clear_judges(recipe), folder, reporter).ask)
        case "export":
            from potstill.export import export

            facts = {**clearance_facts(folder), "layers": layers(recipe)}
            return export(recipe, facts, folder, despite=despite(folder))


def clearance_facts(folder: Path) -> Mapping[str, Any]:
    """The clearance as the terms stage recorded it."""
    marker = read_marker(folder, "terms")
    if marker is None:
        raise PotstillError(f"{folder}: the terms stage has not finished")
    return marker.facts
