"""Asks the teacher, with the terms gate's clearance in hand, and keeps every answer in the journal."""

from collections.abc import Sequence
from pathlib import Path

from potstill.config import Recipe
from potstill.errors import TermsStopped
from potstill.progress import Reporter
from potstill.records import Clearance, Prompt, StageResult


def collect(
    recipe: Recipe, clearance: Clearance, prompts: Sequence[Prompt], folder: Path, reporter: Reporter
) -> StageResult:
    """Have the recipe's teacher answer every prompt that has no answer yet; there is no other way to its outputs.

    Leaves answers.sqlite, answers.parquet and, for a local teacher with sampled or top_k signals, signals/. Raises
    TermsStopped without a Clearance.
    """
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    if recipe.teacher.endpoint is not None:
        from potstill.collect.endpoint import collect_endpoint

        return collect_endpoint(recipe, clearance, prompts, folder, reporter)
    from potstill.collect.local import collect_local

    return collect_local(recipe, clearance, prompts, folder, reporter)


__all__ = ["collect"]
