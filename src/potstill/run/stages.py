"""The six stages: what each reads, what it writes, and the room that does its work."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from potstill.config import Recipe
from potstill.errors import PotstillError, RecipeError
from potstill.progress import Reporter
from potstill.records import StageResult, content_hash
from potstill.run.markers import hash_or_absent, read_marker

StageName = Literal["terms", "prompts", "collect", "train", "evaluate", "export"]
STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)

_JOURNAL = "answers.sqlite"


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


def _terms_reads(recipe: Recipe) -> Mapping[str, Any]:
    from potstill.terms import decide

    permission = recipe.use.permission
    # The decision itself is an input: newer rules redo the stage. Its warnings change with the calendar, so not they.
    decision = {name: value for name, value in asdict(decide(recipe)).items() if name != "warnings"}
    several = [one.model_dump(mode="json", exclude={"weight", "tags"}) for one in recipe.more_teachers]
    return {
        "teacher": recipe.teacher.model_dump(mode="json", exclude={"weight", "tags"}),
        **({"more_teachers": several} if several else {}),
        "use": recipe.use.model_dump(mode="json"),
        "permission_file": hash_or_absent(permission.file) if permission else None,
        "decision": plain(decision),
    }


def _prompts_reads(recipe: Recipe) -> Mapping[str, Any]:
    section = recipe.prompts.model_dump(mode="json", exclude={"tag"} if recipe.prompts.tag is None else None)
    return {"prompts": section, "prompts_file": hash_or_absent(recipe.prompts.source)}


def questions(recipe: Recipe) -> dict[str, Any]:
    """Everything besides the prompts that can change what the teacher answers, or what is kept of it."""
    endpoint = recipe.teacher.endpoint
    data = _filled(recipe)["collect"]
    for name in ("budget_usd", "train_on_truncated"):
        del data[name]
    return {
        "model": recipe.teacher.model,
        "sha256": recipe.teacher.sha256,
        "endpoint": [endpoint.base_url, endpoint.model] if endpoint else None,
        "collect": data,
        **_several(recipe, "model", "sha256", "tags"),
    }


def _several(recipe: Recipe, *keys: str) -> dict[str, Any]:
    """These keys of every teacher, where there are several: with one, a stage reads what it did before there could be.

    Weights are not among what collecting reads: they say what is made of the teachers' distributions, not what is kept.
    """
    if not recipe.more_teachers:
        return {}
    return {"teachers": {name: one.model_dump(mode="json", include=set(keys)) for name, one in recipe.teachers.items()}}


def _collect_reads(recipe: Recipe) -> Mapping[str, Any]:
    endpoint = recipe.teacher.endpoint
    prices = endpoint.price_per_million.model_dump(mode="json") if endpoint and endpoint.price_per_million else None
    return {"questions": questions(recipe), "prices": prices}


def _train_reads(recipe: Recipe) -> Mapping[str, Any]:
    train = recipe.trained_with | {"objective": recipe.objective.model_dump(mode="json")}
    del train["checkpoint_every_s"]  # says when to save, not what comes out
    endpoint = recipe.teacher.endpoint
    scores = {"scored_by": [endpoint.base_url, endpoint.model]} if endpoint and recipe.scores_rollouts else {}
    return scores | {
        "teacher": {"model": recipe.teacher.model, "sha256": recipe.teacher.sha256},
        **_several(recipe, "model", "sha256", "weight", "tags"),
        "signals": recipe.signals.model_dump(mode="json"),
        "train_on_truncated": recipe.collect.train_on_truncated,
        "student": recipe.student.model_dump(mode="json"),
        "train": train,
        "fine_tuning": "fine_tuning" in recipe.evaluate.baselines,  # trained here, because only training trains
    }


def _evaluate_reads(recipe: Recipe) -> Mapping[str, Any]:
    return {
        "name": recipe.name,
        "teacher": {"model": recipe.teacher.model, "sha256": recipe.teacher.sha256},
        **_several(recipe, "model", "sha256", "weight", "tags"),
        "evaluate": recipe.evaluate.model_dump(mode="json"),
        "uses": sorted(recipe.collect.uses),
        "accept": dict(recipe.accept),
    }


def _export_reads(recipe: Recipe) -> Mapping[str, Any]:
    return {"recipe": _filled(recipe)}  # the model card tells of all of it


STAGES: tuple[Stage, ...] = (
    Stage("terms", 1, (), _terms_reads),
    Stage("prompts", 1, (), _prompts_reads),
    Stage("collect", 2, ("prompts",), _collect_reads),
    Stage("train", 1, ("collect",), _train_reads),
    Stage("evaluate", 2, ("terms", "prompts", "collect", "train"), _evaluate_reads, ("evaluation.json", "report.html")),
    Stage("export", 1, ("terms", "train", "evaluate"), _export_reads, ("export",)),
)


def stages_until(until: str | None) -> tuple[Stage, ...]:
    """The stages up to and with `until`; all of them for None. Raises RecipeError for a name that is none."""
    if until is None:
        return STAGES
    names = [stage.name for stage in STAGES]
    if until not in names:
        raise RecipeError(f"--until {until}: no such stage; there are {', '.join(names)}")
    return STAGES[: names.index(until) + 1]


def _filled(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data, with the defaults that depend on the teacher's kind written out."""
    data = recipe.model_dump(mode="json")
    data["collect"]["signals"] = recipe.signals.model_dump(mode="json")
    data["train"]["objective"] = recipe.objective.model_dump(mode="json")
    return data


def resolved(recipe: Recipe) -> Mapping[str, Any]:
    """What a run folder keeps as recipe.yaml: every key, defaults filled in, paths absolute."""
    return _filled(recipe)


def stage_inputs(stage: Stage, recipe: Recipe, folder: Path) -> dict[str, str]:
    """Hashes of everything that a stage depends on, by name; stages before it count with their result."""
    inputs = {name: content_hash(value) for name, value in stage.reads(recipe).items()}
    for earlier in stage.after:
        marker = read_marker(folder, earlier)
        inputs[f"stage {earlier}"] = marker.result_hash if marker else "not finished"
    return inputs


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON holds them (tuples become lists), so that what is compared is what was written."""
    data: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return data


def result_hash(stage: StageName, outputs: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    """What later stages depend on: the output files; for `terms`, which writes none, the clearance itself.

    The journal also holds answers of earlier recipes; the answers that count are in answers.parquet.
    """
    if stage == "terms":
        return content_hash(dict(facts))
    return content_hash({name: found for name, found in outputs.items() if name != _JOURNAL})


def perform(stage: StageName, recipe: Recipe, folder: Path, reporter: Reporter) -> StageResult:
    """Do a stage's work. Rooms are imported here, when they are needed: only some of them load torch."""
    match stage:
        case "terms":
            return _terms(recipe)
        case "prompts":
            return _prompts(recipe, folder)
        case "collect":
            from potstill.collect import collect
            from potstill.store.prompts import StoredPrompts
            from potstill.terms import clear

            # Asked again rather than read back from the marker: only the gate makes a Clearance.
            return collect(recipe, clear(recipe), StoredPrompts(folder / "prompts.parquet"), folder, reporter)
        case "train":
            from potstill.terms import clear
            from potstill.train import train

            return train(recipe, folder, reporter, clear(recipe) if recipe.scores_rollouts else None)
        case "evaluate":
            from potstill.evaluate import evaluate

            return evaluate(recipe, folder, reporter)
        case "export":
            from potstill.export import export

            return export(recipe, clearance_facts(folder), folder)


def clearance_facts(folder: Path) -> Mapping[str, Any]:
    """The clearance as the terms stage recorded it."""
    marker = read_marker(folder, "terms")
    if marker is None:
        raise PotstillError(f"{folder}: the terms stage has not finished")
    return marker.facts


def _terms(recipe: Recipe) -> StageResult:
    from potstill.export.obligations import check_name
    from potstill.terms import clear, decide, decide_each

    facts: dict[str, Any] = {**asdict(clear(recipe)), "url": decide(recipe).url}
    if recipe.more_teachers:
        kept = ("teacher", "verdict", "rule", "document", "section", "version_or_date", "url", "obligations", "reason")
        facts["teachers"] = {
            name: {key: value for key, value in asdict(one).items() if key in kept}
            for name, one in decide_each(recipe).items()
        }
    # A name that the terms forbid would otherwise stop the export, after everything has been paid for.
    check_name(recipe, facts)
    permission = recipe.use.permission
    if permission is not None:
        facts["permission"] = {**permission.model_dump(mode="json"), "sha256": hash_or_absent(permission.file)}
    return StageResult((), facts)


def _prompts(recipe: Recipe, folder: Path) -> StageResult:
    from potstill.prompts import load_prompts
    from potstill.store.prompts import write_prompts

    found = load_prompts(recipe.prompts)
    for tag in dict.fromkeys(prompt.tag for prompt in found.prompts):
        recipe.shares(tag)  # a prompt that no teacher takes part in stops the run here, before anything is asked
    write_prompts(found.prompts, folder / "prompts.parquet")
    holdout = sum(prompt.split == "holdout" for prompt in found.prompts)
    facts = {
        "rows": found.rows, "exact_duplicates": found.exact_duplicates, "near_duplicates": found.near_duplicates,
        "train": len(found.prompts) - holdout, "holdout": holdout,
    }  # fmt: skip
    return StageResult(("prompts.parquet",), facts)
