"""The seven stages: what each reads, what it writes, and the room that does its work."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from potstill.config import Endpoint, Recipe, Screen, Task, Teacher, Terms
from potstill.errors import PotstillError, RecipeError
from potstill.progress import Reporter
from potstill.records import StageResult, content_hash
from potstill.run.markers import hash_of_all, hash_or_absent, read_marker
from potstill.run.record import plain

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


def _terms_reads(recipe: Recipe) -> Mapping[str, Any]:
    from potstill.terms import decide, own_rules

    # The decision itself is an input: newer rules redo the stage. Its warnings change with the calendar, so not they.
    decision = {name: value for name, value in asdict(decide(recipe)).items() if name != "warnings"}
    if decision["about"] == "teacher":
        del decision["about"]  # as it was before prompts could decide: a finished run stays finished
    several = [one.model_dump(mode="json", exclude={"weight", "tags"}) for one in recipe.more_teachers]
    judge = recipe.screen.judge
    judged = (
        {"judge": judge.model_dump(mode="json", include={"license": True, "endpoint": {"base_url", "model"}})}
        if judge
        else {}
    )
    own = own_rules(recipe.terms.rules)
    return {
        "teacher": recipe.teacher.model_dump(mode="json", exclude={"weight", "tags"}),
        **({"own_rules": own} if own else {}),
        **({"more_teachers": several} if several else {}),
        **judged,
        "use": _use(recipe),
        **_permission_files(recipe),
        "decision": plain(decision),
    }


def _use(recipe: Recipe) -> dict[str, Any]:
    """The facts of the recipe; keys that came later count only where they say something."""
    data = recipe.use.model_dump(mode="json")
    for permission in (data["permission"], *data["more_permissions"]):
        for key in ("clears", "expires"):
            if permission is not None and not permission[key]:
                del permission[key]
    if not data["more_permissions"]:
        del data["more_permissions"]
    return data


def _permission_files(recipe: Recipe) -> dict[str, Any]:
    first, more = recipe.use.permission, recipe.use.more_permissions
    several = {"more_permission_files": [hash_or_absent(one.file) for one in more]} if more else {}
    return {"permission_file": hash_or_absent(first.file) if first else None, **several}


def _prompts_reads(recipe: Recipe) -> Mapping[str, Any]:
    section = recipe.prompts.model_dump(mode="json", exclude={"license"})  # which the terms stage reads
    # Keys that came later count only where they say something: a finished run stays finished.
    later = ("tag", "format", "dataset_split", "job", "job_key", "grow", "tools", "withdrawn")
    said = {key: value for key, value in section.items() if key not in later or value is not None}
    tools = {"tools": [dict(tool) for tool in recipe.collect.tools]} if recipe.collect.tools else {}
    grown = {"grown_by": _asked_of(recipe.prompts.grow.model or recipe.teacher)} if recipe.prompts.grow else {}
    withdrawn = {"withdrawn_file": hash_or_absent(recipe.prompts.withdrawn)} if recipe.prompts.withdrawn else {}
    return {"prompts": said, "prompts_file": hash_of_all(recipe.prompts.source), **tools, **grown, **withdrawn}


def _asked_of(teacher: Teacher) -> list[str | None]:
    """Whose words a teacher's are: weights, or a model at a server."""
    endpoint = teacher.endpoint
    return [endpoint.base_url, endpoint.model] if endpoint else [teacher.model, teacher.sha256]


def questions(recipe: Recipe) -> dict[str, Any]:
    """Everything besides the prompts that can change what the teacher answers, or what is kept of it."""
    endpoint = recipe.teacher.endpoint
    data = _filled(recipe)["collect"]
    for name in ("budget_usd", "train_on_truncated", "mode", "batch"):
        del data[name]
    for name in ("tools", "tool_choice", "response_format"):
        if data[name] is None:
            del data[name]  # as it was before there were any: a finished run stays finished
    return {
        "model": recipe.teacher.model,
        "sha256": recipe.teacher.sha256,
        "endpoint": [endpoint.base_url, endpoint.model, *_special(endpoint)] if endpoint else None,
        "collect": data,
        **_several(recipe, "model", "sha256", "tags"),
    }


def _special(endpoint: Endpoint) -> list[Any]:
    """What this server alone is asked, where it is anything."""
    limit = [endpoint.token_limit_field] if endpoint.token_limit_field != "max_tokens" else []
    return [*limit, *([dict(endpoint.extra_body)] if endpoint.extra_body else [])]


def _several(recipe: Recipe, *keys: str) -> dict[str, Any]:
    """These keys of every teacher, where there are several: with one, a stage reads what it did before there could be.

    Weights are not among what collecting reads: they say what is made of the teachers' distributions, not what is kept.
    """
    if not recipe.more_teachers:
        return {}
    return {"teachers": {name: one.model_dump(mode="json", include=set(keys)) for name, one in recipe.teachers.items()}}


def _collect_reads(recipe: Recipe) -> Mapping[str, Any]:
    endpoint = recipe.teacher.endpoint
    found = endpoint.price_per_million if endpoint else None
    prices = (
        found.model_dump(mode="json", exclude=None if found.batch_discount else {"batch_discount"}) if found else None
    )
    return {"questions": questions(recipe), "prices": prices}


def _screen_reads(recipe: Recipe) -> Mapping[str, Any]:
    section = recipe.screen
    # Of the judge's server only what its answers depend on, and what they cost; not how it is asked.
    asked = {"base_url", "model", "price_per_million"}
    judge = section.judge.model_dump(mode="json", exclude={"endpoint"}) if section.judge else None
    route = section.judge.endpoint.model_dump(mode="json", include=asked) if section.judge else None
    schema = section.json_schema
    return {
        "screen": section.model_dump(mode="json", exclude={"judge"}),
        "judge": [judge, route],
        "uses": sorted(recipe.collect.uses),
        "evaluation_sets": [hash_or_absent(one.source) for one in section.contamination],
        "json_schema_file": hash_or_absent(schema) if isinstance(schema, Path) else None,
    }


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
    # The report shows what was screened out and why; without a word on it in the recipe it reads what it always did.
    screened = {} if recipe.screen == Screen() else {"screen": _screen_reads(recipe)}
    return {
        "name": recipe.name,
        "teacher": {"model": recipe.teacher.model, "sha256": recipe.teacher.sha256},
        **_several(recipe, "model", "sha256", "weight", "tags"),
        "evaluate": recipe.evaluate.model_dump(mode="json", exclude={"task"}),
        "uses": sorted(recipe.collect.uses),
        "accept": dict(recipe.accept),
        **screened,
        **({"task": _task_reads(recipe, recipe.evaluate.task)} if recipe.evaluate.task is not None else {}),
    }


def _task_reads(recipe: Recipe, task: Task) -> dict[str, Any]:
    """What is compared with references, and the files that hold them, a schema or a function."""
    schema = task.json_schema
    source = recipe.prompts.source if task.references is None else task.references
    return {
        "task": task.model_dump(mode="json"),
        "references_file": hash_of_all(source),
        "json_schema_file": hash_or_absent(schema) if isinstance(schema, Path) else None,
        "functions": [hash_or_absent(one.file) if one.file is not None else None for one in task.functions],
    }


def _export_reads(recipe: Recipe) -> Mapping[str, Any]:
    given = (recipe.export.licence_files, recipe.export.notice_files)
    texts = [{rule: hash_or_absent(path) for rule, path in one.items()} for one in given]
    told = _filled(recipe)  # the papers tell of all of the recipe, and name every layer's terms
    # As it was before there were these keys: a finished run stays finished.
    if recipe.evaluate.task is None:
        del told["evaluate"]["task"]
    if recipe.prompts.withdrawn is None:
        del told["prompts"]["withdrawn"]
    return {"recipe": told, "layers": layers(recipe), **({"texts": texts} if any(texts) else {})}


def layers(recipe: Recipe) -> list[dict[str, Any]]:
    """Every layer of terms that binds a teacher, with its rule's document and obligations, for the papers."""
    from potstill.terms import decide_each
    from potstill.terms.rules import in_force, rules

    with in_force(recipe.terms.rules):
        known = {rule.id: rule for rule in rules()}
    kept = ("kind", "document", "version_or_date", "url", "obligations")
    return [
        {"teacher": teacher, "name": name, "rule": rule}
        | (plain({key: getattr(known[rule], key) for key in kept}) if rule in known else {})
        for teacher, decision in decide_each(recipe).items()
        for name, rule, _ in decision.layers
    ]


STAGES: tuple[Stage, ...] = (
    Stage("terms", 1, (), _terms_reads),
    Stage("prompts", 1, (), _prompts_reads),
    Stage("collect", 2, ("prompts",), _collect_reads),
    Stage("screen", 1, ("collect",), _screen_reads),
    Stage("train", 1, ("collect", "screen"), _train_reads),
    Stage(
        "evaluate",
        2,
        ("terms", "prompts", "collect", "screen", "train"),
        _evaluate_reads,
        ("evaluation.json", "report.html"),
    ),
    Stage("export", 2, ("terms", "prompts", "collect", "screen", "train", "evaluate"), _export_reads, ("export",)),
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
    # As it was before there were these keys: a finished run stays finished.
    if recipe.terms == Terms():
        del data["terms"]
    if recipe.prompts.license is None:
        del data["prompts"]["license"]
    data["use"] = _use(recipe)
    return data


def resolved(recipe: Recipe) -> Mapping[str, Any]:
    """What a run folder keeps as recipe.yaml: every key, defaults filled in, paths absolute."""
    return _filled(recipe)


def stage_inputs(stage: Stage, recipe: Recipe, folder: Path) -> dict[str, str]:
    """Hashes of everything that a stage depends on, by name; stages before it count with their result."""
    inputs = {name: content_hash(value) for name, value in stage.reads(recipe).items()}
    for earlier in stage.after:
        marker = read_marker(folder, earlier)
        if earlier == "screen" and marker is not None and marker.result_hash == _NOTHING_SCREENED:
            continue  # the inputs are what they were before there was this stage: a finished run stays finished
        inputs[f"stage {earlier}"] = marker.result_hash if marker else "not finished"
    return inputs


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
            return _terms(recipe)
        case "prompts":
            return _prompts(recipe, folder, reporter)
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

            return train(recipe, folder, reporter, clear(recipe) if recipe.scores_rollouts else None)
        case "evaluate":
            from potstill.evaluate import evaluate

            return evaluate(recipe, folder, reporter)
        case "export":
            from potstill.export import export

            return export(recipe, {**clearance_facts(folder), "layers": layers(recipe)}, folder)


def clearance_facts(folder: Path) -> Mapping[str, Any]:
    """The clearance as the terms stage recorded it."""
    marker = read_marker(folder, "terms")
    if marker is None:
        raise PotstillError(f"{folder}: the terms stage has not finished")
    return marker.facts


def _terms(recipe: Recipe) -> StageResult:
    from potstill.export import check_before
    from potstill.terms import clear, clear_judge, decide, decide_each, own_rules

    facts: dict[str, Any] = {**asdict(clear(recipe)), "url": decide(recipe).url}
    if recipe.more_teachers:
        kept = ("teacher", "verdict", "rule", "document", "section", "version_or_date", "url", "obligations", "reason")
        facts["teachers"] = {
            name: {key: value for key, value in asdict(one).items() if key in kept}
            for name, one in decide_each(recipe).items()
        }
    if own := own_rules(recipe.terms.rules):
        facts["own_rules"] = own
    if judge := clear_judge(recipe):  # before anything is paid for, not when the answers are there
        facts["judge"] = {"model": judge.teacher, "verdict": judge.verdict, "rule": judge.rule, "reason": judge.reason}
    # What export refuses for the terms' sake would otherwise stop the run after everything has been paid for.
    check_before(recipe, {**facts, "layers": layers(recipe)})
    recorded = [
        {**said, "sha256": hash_or_absent(one.file)}
        for said, one in zip(_each_permission(recipe), recipe.use.permissions.values(), strict=True)
    ]
    if recipe.use.permission is not None:
        facts["permission"] = recorded.pop(0)
    if recorded:
        facts["more_permissions"] = recorded
    return StageResult((), facts)


def _each_permission(recipe: Recipe) -> list[dict[str, Any]]:
    use = _use(recipe)
    return [one for one in (use["permission"], *use.get("more_permissions", ())) if one is not None]


def _prompts(recipe: Recipe, folder: Path, reporter: Reporter) -> StageResult:
    from potstill.prompts import load_prompts, with_tools
    from potstill.store.prompts import write_prompts

    found = load_prompts(recipe.prompts)
    reporter.say(f"prompts: {found.source_line()}")
    if found.answered and recipe.prompts.license is None:
        reporter.say(
            "prompts: warning: the answers in the source are somebody's outputs: where a prompt holds some, the "
            "terms of whoever made them bind too; give prompts.license where you know it"
        )
    for tag in dict.fromkeys(prompt.tag for prompt in found.prompts):
        recipe.shares(tag)  # a prompt that no teacher takes part in stops the run here, before anything is asked
    outputs, asked = ["prompts.parquet"], frozenset[str]()
    grown: dict[str, Any] = {}
    if recipe.prompts.grow is not None:
        from potstill.run.growing import OUTPUTS, grow

        found, grown, asked = grow(recipe, recipe.prompts.grow, found, folder, reporter)
        outputs += OUTPUTS
    if found.withdrawn is not None:
        from potstill.run.withdrawal import forget_others

        forget_others(recipe, folder, {prompt.hash for prompt in found.prompts}, asked, reporter)
        grown["withdrawn"] = asdict(found.withdrawn)
    write_prompts(with_tools(found.prompts, recipe.collect.tools or ()), folder / "prompts.parquet")
    if recipe.evaluate.task is not None:  # before anything is paid for, not when the student is there
        _check_task(recipe, recipe.evaluate.task, folder, reporter)
    holdout = sum(prompt.split == "holdout" for prompt in found.prompts)
    facts = {
        "rows": found.rows, "exact_duplicates": found.exact_duplicates, "near_duplicates": found.near_duplicates,
        "train": len(found.prompts) - holdout, "holdout": holdout, "format": found.format, "answered": found.answered,
        "refused": found.refused, "refused_for": dict(found.refused_for),
        "source_sha256": hash_of_all(recipe.prompts.source), **grown,
    }  # fmt: skip
    return StageResult(tuple(outputs), facts)


def _check_task(recipe: Recipe, task: Task, folder: Path, reporter: Reporter) -> None:
    from potstill.evaluate.metrics import text_metrics
    from potstill.evaluate.references import read_references

    text_metrics(task)
    reporter.say(read_references(recipe, task, folder).line())
