"""The prompts stage: reads, grows and writes the prompts, and checks what a task needs of them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from potstill.config import Recipe, Task
from potstill.progress import Reporter
from potstill.records import StageResult
from potstill.run.markers import hash_of_all


def prepare_prompts(recipe: Recipe, folder: Path, reporter: Reporter) -> StageResult:
    """Leave prompts.parquet, and the journal of what was grown. Raises RecipeError for prompts that cannot be used."""
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
    if recipe.evaluate.lm_eval is not None:
        from potstill.evaluate.lm_eval import check_tasks

        reporter.say(f"lm-eval {check_tasks(recipe.evaluate.lm_eval)} knows {', '.join(recipe.evaluate.lm_eval.tasks)}")
    if recipe.evaluate.judge is not None and recipe.evaluate.judge.calibration is not None:
        from potstill.evaluate.judging.labels import read_rows

        rows, _ = read_rows(recipe.evaluate.judge.calibration)
        reporter.say(f"evaluate.judge.calibration: {len(rows):,} preferences of people")
    if recipe.evaluate.probes.file is not None:
        from potstill.evaluate.probes.own import read_own

        read_own(recipe)
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
