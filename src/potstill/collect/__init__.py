"""Asks the teacher, with the terms gate's clearance in hand, and keeps every answer in the journal."""

from collections.abc import Sequence
from pathlib import Path

from potstill.config import Recipe
from potstill.errors import TermsStopped
from potstill.progress import Reporter
from potstill.records import Clearance, Prompt, StageResult
from potstill.store.prompts import fields


def collect(
    recipe: Recipe, clearance: Clearance, prompts: Sequence[Prompt], folder: Path, reporter: Reporter
) -> StageResult:
    """Have the recipe's teachers answer every prompt that has no answer yet; there is no other way to its outputs.

    Leaves answers.sqlite, answers.parquet and, for local teachers with sampled or top_k signals, signals/. Raises
    TermsStopped without a Clearance, RecipeError for a prompt that no teacher takes part in.
    """
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    for tag in {tag for (tag,) in fields(prompts, "tag")}:
        recipe.shares(tag)
    if recipe.teacher.endpoint is not None:
        from potstill.collect.endpoint import collect_endpoint

        return collect_endpoint(recipe, clearance, prompts, folder, reporter)
    if recipe.more_teachers:
        from potstill.collect.several import collect_several

        return collect_several(recipe, clearance, prompts, folder, reporter)
    from potstill.collect.local import collect_local

    return collect_local(recipe, clearance, prompts, folder, reporter)


__all__ = ["collect"]
