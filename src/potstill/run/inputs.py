"""What each stage reads: the parts of the recipe, and hashes of files outside the run."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from potstill.config import Endpoint, Judging, LmEval, Recipe, Screen, Serving, Task, Teacher, Terms
from potstill.config.evaluation import Evaluate
from potstill.config.judging import JudgeModel
from potstill.run.markers import hash_of_all, hash_or_absent
from potstill.run.record import plain
from potstill.run.terms_stage import layers, permission_files, use_facts

_LATER_IN_EVALUATE = ("speed_batch", "speed_batch_pairs", "price_per_hour_usd", "probes", "self_agreement", "margin")


def terms(recipe: Recipe) -> Mapping[str, Any]:
    """Of the terms stage: the teachers, the facts of the use, and the gate's own decision."""
    from potstill.terms import decide, kinship, own_rules

    # The decision itself is an input: newer rules redo the stage. Its warnings change with the calendar, so not they.
    decision = {name: value for name, value in asdict(decide(recipe)).items() if name != "warnings"}
    if decision["about"] == "teacher":
        del decision["about"]  # as it was before prompts could decide: a finished run stays finished
    several = [one.model_dump(mode="json", exclude={"weight", "tags"}) for one in recipe.more_teachers]
    judge = recipe.screen.judge
    judged: dict[str, Any] = (
        {"judge": judge.model_dump(mode="json", include={"license": True, "endpoint": {"base_url", "model"}})}
        if judge
        else {}
    )
    judging = recipe.evaluate.judge
    asked: Any = {"model": True, "license": True, "endpoint": {"base_url", "model"}}
    if judging is not None:
        of_each = {name: one.model_dump(mode="json", include=asked) for name, one in judging.named.items()}
        judged |= {"evaluation_judges": [of_each, kinship(recipe)]}
    own = own_rules(recipe.terms.rules)
    return {
        "teacher": recipe.teacher.model_dump(mode="json", exclude={"weight", "tags"}),
        **({"own_rules": own} if own else {}),
        **({"more_teachers": several} if several else {}),
        **judged,
        "use": use_facts(recipe),
        **permission_files(recipe),
        "decision": plain(decision),
    }


def prompts(recipe: Recipe) -> Mapping[str, Any]:
    """Of the prompts stage: the section, the source, and who is asked for more."""
    section = recipe.prompts.model_dump(mode="json", exclude={"license"})  # which the terms stage reads
    # Keys that came later count only where they say something: a finished run stays finished.
    later = ("tag", "format", "dataset_split", "job", "job_key", "grow", "tools", "withdrawn", "split")
    said = {key: value for key, value in section.items() if key not in later or value is not None}
    tools = {"tools": [dict(tool) for tool in recipe.collect.tools]} if recipe.collect.tools else {}
    grown = {"grown_by": _asked_of(recipe.prompts.grow.model or recipe.teacher)} if recipe.prompts.grow else {}
    withdrawn = {"withdrawn_file": hash_or_absent(recipe.prompts.withdrawn)} if recipe.prompts.withdrawn else {}
    return {"prompts": said, "prompts_file": hash_of_all(recipe.prompts.source), **tools, **grown, **withdrawn}


def _asked_of(teacher: Teacher) -> list[Any]:
    """Whose words a teacher's are: weights, or a model at a server."""
    endpoint = teacher.endpoint
    return _server(endpoint) if endpoint else [teacher.model, teacher.sha256]


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
        "endpoint": _server(endpoint) if endpoint else None,
        "collect": data,
        **({"asked_again": True} if recipe.asks_again else {}),
        **_several(recipe, "model", "sha256", "tags"),
    }


def _server(endpoint: Endpoint) -> list[Any]:
    """Of a server what its answers depend on."""
    return [endpoint.base_url, endpoint.model, *_special(endpoint)]


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


def collect(recipe: Recipe) -> Mapping[str, Any]:
    """Of the collect stage: the questions, and what they cost."""
    endpoint = recipe.teacher.endpoint
    found = endpoint.price_per_million if endpoint else None
    prices = (
        found.model_dump(mode="json", exclude=None if found.batch_discount else {"batch_discount"}) if found else None
    )
    return {"questions": questions(recipe), "prices": prices}


def screen(recipe: Recipe) -> Mapping[str, Any]:
    """Of the screen stage: the screens, the judge and the evaluation sets."""
    section = recipe.screen
    # Of the judge's server only what its answers depend on, and what they cost; not how it is asked.
    asked = {"base_url", "model", "price_per_million"}
    judge = section.judge.model_dump(mode="json", exclude={"endpoint"}) if section.judge else None
    route: Any = section.judge.endpoint.model_dump(mode="json", include=asked) if section.judge else None
    if section.judge and (special := _special(section.judge.endpoint)):
        route["special"] = special
    schema = section.json_schema
    return {
        "screen": section.model_dump(mode="json", exclude={"judge"}),
        "judge": [judge, route],
        "uses": sorted(recipe.collect.uses),
        "evaluation_sets": [hash_or_absent(one.source) for one in section.contamination],
        "json_schema_file": hash_or_absent(schema) if isinstance(schema, Path) else None,
    }


def train(recipe: Recipe) -> Mapping[str, Any]:
    """Of the train stage: the student, the objective and the signals."""
    train = recipe.trained_with | {"objective": recipe.objective.model_dump(mode="json")}
    del train["checkpoint_every_s"]  # says when to save, not what comes out
    endpoint = recipe.teacher.endpoint
    scores = {"scored_by": _server(endpoint)} if endpoint and recipe.scores_rollouts else {}
    return scores | {
        "teacher": {"model": recipe.teacher.model, "sha256": recipe.teacher.sha256},
        **_several(recipe, "model", "sha256", "weight", "tags"),
        "signals": recipe.signals.model_dump(mode="json"),
        "train_on_truncated": recipe.collect.train_on_truncated,
        "student": recipe.student.model_dump(mode="json"),
        "train": train,
        "fine_tuning": "fine_tuning" in recipe.evaluate.baselines,  # trained here, because only training trains
    }


def evaluate(recipe: Recipe) -> Mapping[str, Any]:
    """Of the evaluate stage: what is measured, and what is accepted."""
    # The report shows what was screened out and why; without a word on it in the recipe it reads what it always did.
    screened = {} if recipe.screen == Screen() else {"screen": screen(recipe)}
    return {
        "name": recipe.name,
        "teacher": {"model": recipe.teacher.model, "sha256": recipe.teacher.sha256},
        **_several(recipe, "model", "sha256", "weight", "tags"),
        "evaluate": _evaluate_section(recipe) | _judging_reads(recipe.evaluate.judge),
        **({"probes_file": hash_or_absent(file)} if (file := recipe.evaluate.probes.file) is not None else {}),
        "uses": sorted(recipe.collect.uses),
        "accept": dict(recipe.accept) if recipe.accept is not None else None,
        **screened,
        **({"task": _task_reads(recipe, recipe.evaluate.task)} if recipe.evaluate.task is not None else {}),
        **({"lm_eval": _lm_eval_reads(recipe.evaluate.lm_eval)} if recipe.evaluate.lm_eval is not None else {}),
    }


def _lm_eval_reads(section: LmEval) -> dict[str, Any]:
    """The tasks and the folder that holds them; which interpreter runs them does not count."""
    included = section.include_path
    return {
        "lm_eval": section.model_dump(mode="json", exclude={"python", "batch_size"}),
        "tasks": hash_of_all(included) if included is not None else None,
    }


def _judging_reads(judging: Judging | None) -> dict[str, Any]:
    """What judges are asked, who they are and what they cost, not how servers are asked; and the people's preferences.

    Without judges nothing is added to what the section says itself, as it was before there could be any.
    """
    if judging is None:
        return {}
    left_out: Any = {"judges", "batch_size", "budget_usd"}
    return {
        "judge": judging.model_dump(mode="json", exclude=left_out),
        "judges": {name: _judge_reads(one) for name, one in judging.named.items()},
        "calibration_file": hash_or_absent(judging.calibration) if judging.calibration is not None else None,
    }


def _judge_reads(judge: JudgeModel) -> dict[str, Any]:
    asked: Any = {"model": True, "sha256": True, "endpoint": {"base_url", "model", "price_per_million", "extra_body"}}
    found: dict[str, Any] = judge.model_dump(mode="json", include=asked)
    if judge.endpoint is not None and judge.endpoint.token_limit_field != "max_tokens":
        found["endpoint"]["token_limit_field"] = judge.endpoint.token_limit_field
    return found


def _evaluate_section(recipe: Recipe) -> dict[str, Any]:
    """The section without what has files of its own; keys that came later stand in it where they ask for more."""
    data = recipe.evaluate.model_dump(mode="json", exclude={"task", "lm_eval"})
    plain = Evaluate().model_dump(mode="json")
    return {key: value for key, value in data.items() if key not in _LATER_IN_EVALUATE or value != plain[key]}


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


def export(recipe: Recipe) -> Mapping[str, Any]:
    """Of the export stage: all of the recipe, every layer of terms and the texts to put beside the weights."""
    given = (recipe.export.licence_files, recipe.export.notice_files)
    texts = [{rule: hash_or_absent(path) for rule, path in one.items()} for one in given]
    told = _filled(recipe)  # the papers tell of all of the recipe, and name every layer's terms
    # As it was before there were these keys: a finished run stays finished.
    own = {name: told["evaluate"][name] for name in ("task", "lm_eval") if told["evaluate"][name] is not None}
    told["evaluate"] = {**_evaluate_section(recipe), **own}
    if recipe.prompts.withdrawn is None:
        del told["prompts"]["withdrawn"]
    return {"recipe": told, "layers": layers(recipe), **({"texts": texts} if any(texts) else {})}


def _filled(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data, with the defaults that depend on the teacher's kind written out."""
    data = recipe.model_dump(mode="json")
    data["collect"]["signals"] = recipe.signals.model_dump(mode="json")
    data["train"]["objective"] = recipe.objective.model_dump(mode="json")
    # As it was before there were these keys: a finished run stays finished.
    if recipe.terms == Terms():
        del data["terms"]
    if recipe.serving == Serving():
        del data["serving"]
    if recipe.prompts.license is None:
        del data["prompts"]["license"]
    data["use"] = use_facts(recipe)
    return data


def resolved(recipe: Recipe) -> Mapping[str, Any]:
    """What a run folder keeps as recipe.yaml: every key, defaults filled in, paths absolute."""
    return _filled(recipe)
