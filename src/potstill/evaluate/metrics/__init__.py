"""Metrics of one answer against one reference, by name; pure functions, and none of them loads torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from potstill.config import Task
from potstill.config.evaluation import CLASSIFYING, Metric
from potstill.evaluate.metrics.json_fields import json_field_f1, json_valid
from potstill.evaluate.metrics.ngrams import bleu, chrf
from potstill.evaluate.metrics.numbers import numeric_match
from potstill.evaluate.metrics.own import load_own
from potstill.evaluate.metrics.words import exact_match, normalised_match, rouge_l, token_f1
from potstill.texts.schemas import JsonSchema, read_schema


@dataclass(frozen=True, slots=True)
class TextMetric:
    """A metric of answers as texts: `score` takes answer, reference and prompt, and gives `low` to `high`."""

    name: str
    score: Callable[[str, str, str], float]
    low: float = 0.0
    high: float = 1.0
    source_sha256: str | None = None  # of the file of a function of the user's own

    def best(self, answer: str, references: Sequence[str], prompt: str) -> float:
        """The best score of an answer over several references."""
        return max(self.score(answer, reference, prompt) for reference in references)


def text_metrics(task: Task) -> list[TextMetric]:
    """The recipe's metrics of texts, in its order. Raises RecipeError for a schema or a function that is none."""
    named = [_metric(name, task) for name in task.metrics if name not in CLASSIFYING]
    for own in task.functions:
        score, sha256 = load_own(own)
        named.append(TextMetric(own.called, score, *own.range, sha256))
    return named


def _metric(name: Metric, task: Task) -> TextMetric:
    match name:
        case "exact_match":
            return _of_two(name, exact_match)
        case "normalised_match":
            return _of_two(name, normalised_match)
        case "token_f1":
            return _of_two(name, token_f1)
        case "rouge_l":
            return _of_two(name, rouge_l)
        case "bleu":
            return _of_two(name, bleu, 100.0)
        case "reference_chrf":
            return _of_two(name, chrf, 100.0)
        case "numeric_match":
            return _of_two(name, lambda answer, other: numeric_match(answer, other, task.numeric_tolerance))
        case "json_valid":
            given = task.json_schema
            schema = JsonSchema(True) if given is None else read_schema(given, "evaluate.task.json_schema")
            return _of_two(name, lambda answer, _: json_valid(answer, schema))
        case "json_field_f1":
            ordered = task.json_arrays == "ordered"
            return _of_two(name, lambda answer, other: json_field_f1(answer, other, ordered=ordered))
        case _:
            raise ValueError(f"{name} is no metric of texts")


def _of_two(name: str, score: Callable[[str, str], float], high: float = 1.0) -> TextMetric:
    return TextMetric(name, lambda answer, reference, _: score(answer, reference), 0.0, high)


__all__ = ["TextMetric", "text_metrics"]
