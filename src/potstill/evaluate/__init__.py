"""Measures the student on held-out prompts, decides what the recipe's `accept:` asks, and writes the report."""

from pathlib import Path

from potstill.config import Recipe
from potstill.progress import Reporter
from potstill.records import StageResult


def evaluate(recipe: Recipe, folder: Path, reporter: Reporter) -> StageResult:
    """Evaluate a run folder with a trained student; leaves evaluation.json and report.html."""
    from potstill.evaluate.stage import evaluate_run

    return evaluate_run(recipe, folder, reporter)


__all__ = ["evaluate"]
