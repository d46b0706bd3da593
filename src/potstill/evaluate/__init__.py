"""Measures the student on held-out prompts, decides what the recipe's `accept:` asks, and writes the report."""

from collections.abc import Callable
from pathlib import Path

from potstill.config import Recipe
from potstill.progress import Reporter
from potstill.records import JudgeReplies, StageResult


def evaluate(
    recipe: Recipe, folder: Path, reporter: Reporter, ask_judge: Callable[..., JudgeReplies] | None = None
) -> StageResult:
    """Evaluate a run folder with a trained student; leaves evaluation.json and report.html.

    `ask_judge` asks a judge of the recipe's `evaluate.judge` (`collect.judging.Judges.ask`); needed where there is one.
    """
    from potstill.evaluate.stage import evaluate_run

    return evaluate_run(recipe, folder, reporter, ask_judge)


__all__ = ["evaluate"]
