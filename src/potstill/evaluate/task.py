"""Figures of answers against references: each model's, and how much of the teacher's the student keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.answers import Answer
from potstill.config import Evaluate, Task
from potstill.errors import RecipeError
from potstill.evaluate.metrics import TextMetric, text_metrics
from potstill.evaluate.metrics.labels import confusion_columns, macro_f1
from potstill.evaluate.ranged import mean_in_range, never_certain, retained
from potstill.evaluate.references import Gold, References
from potstill.records import Figure
from potstill.stats import Interval, statistic_of_sums

Floats = NDArray[np.float64]
Labels = Sequence[str | None]  # of each answer; None where an answer names none


@dataclass(frozen=True, slots=True)
class Graded:
    """One model's answers against the references, in the order of the answers that have any."""

    scores: Mapping[str, Floats]  # by metric, (answers,)
    confusion: Floats | None = None  # (answers, 3 · labels), see `confusion_columns`

    @property
    def each(self) -> Mapping[str, Floats]:
        """Scores of single answers. Macro-F1 has none; where it alone is asked, the right labels stand in."""
        if self.confusion is None or "accuracy" in self.scores:
            return self.scores
        return {**self.scores, "accuracy": self.confusion[:, ::3].sum(axis=1)}


class Grader:
    """Grades models on the same held-out answers, and makes figures of their grades.

    `kept` are the numbers of the answers whose prompt has a reference. Raises RecipeError where no usable answer has.
    """

    def __init__(self, task: Task, evaluate: Evaluate, references: References, answers: Sequence[Answer]) -> None:
        self.task, self.references = task, references
        self.kept = [at for at, one in enumerate(answers) if one.prompt_hash in references.by_prompt]
        if not self.kept:
            raise RecipeError(
                f"evaluate.task.references: {references.file}: the prompts with a reference have no usable answer of "
                "the teacher; `potstill status` shows why"
            )
        self._metrics = text_metrics(task)
        self._prompts = [answers[at].prompt_text for at in self.kept]
        self._golds = [references.by_prompt[answers[at].prompt_hash] for at in self.kept]
        order = {key: place for place, key in enumerate(dict.fromkeys(answers[at].prompt_hash for at in self.kept))}
        self._place = np.array([order[answers[at].prompt_hash] for at in self.kept])
        self._counts = np.bincount(self._place).astype(np.float64)
        self._draws = {"resamples": evaluate.resamples, "seed": evaluate.seed}

    def grade(self, texts: Sequence[str], labels: Labels | None = None) -> Graded:
        """Grade the texts of all held-out answers, and the labels of the `kept` ones where the task has labels."""
        own = [texts[at] for at in self.kept]
        scores = {metric.name: self._scored(metric, own) for metric in self._metrics}
        if labels is None:
            return Graded(scores)
        truth = [
            guess if guess in gold.references else gold.references[0]
            for guess, gold in zip(labels, self._golds, strict=True)
        ]
        if "accuracy" in self.task.metrics:
            hits = [guess == true for guess, true in zip(labels, truth, strict=True)]
            scores["accuracy"] = np.array(hits, dtype=np.float64)
        return Graded(scores, confusion_columns(labels, truth, self.references.labels))

    def _scored(self, metric: TextMetric, texts: Sequence[str]) -> Floats:
        def best(text: str, gold: Gold, prompt: str) -> float:
            try:
                return metric.best(text, gold.references, prompt)
            except RecipeError as error:
                raise RecipeError(f"{error}, on an answer to the prompt of {gold.place}") from None

        return np.array([best(*one) for one in zip(texts, self._golds, self._prompts, strict=True)], dtype=np.float64)

    def figures(self, graded: Mapping[str, Graded]) -> dict[str, Figure]:
        """Each metric of each model, the student's without a prefix, and `retention.<metric>` of the student."""
        figures: dict[str, Figure] = {}
        for model, grades in graded.items():
            prefix = "" if model == "student" else f"{model}."
            figures |= {prefix + name: figure for name, figure in self.of_model(grades).items()}
        for name in self.task.names:
            kept = self._retention(name, graded["student"], graded["teacher"])
            if kept is not None:
                figures[f"retention.{name}"] = kept
        return figures

    def of_model(self, grades: Graded) -> dict[str, Figure]:
        """Each metric of one model, without a prefix."""
        return {name: self._mean(name, grades) for name in self.task.names}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """The least and the most of each metric, in the recipe's order."""
        found = {metric.name: (metric.low, metric.high) for metric in self._metrics}
        return {name: found.get(name, (0.0, 1.0)) for name in self.task.names}

    def facts(self, labels_of_teacher: str | None, unnamed: int) -> dict[str, Any]:
        """What evaluation.json says of the task besides its figures."""
        found = self.references
        facts: dict[str, Any] = {
            "metrics": {name: {"low": low, "high": high} for name, (low, high) in self.ranges().items()},
            "references": {
                "file": found.file.name, "rows": found.rows, "unmatched_rows": found.unmatched_rows,
                "prompts": found.prompts, "with_reference": len(found.by_prompt), "graded": len(self._counts),
            },
        }  # fmt: skip
        if labels_of_teacher is not None:
            facts["labels"] = {"count": len(found.labels), "teacher": labels_of_teacher, "teacher_unnamed": unnamed}
        sources = {one.name: one.source_sha256 for one in self._metrics if one.source_sha256 is not None}
        if sources:
            facts["functions"] = sources
        return facts

    def _by_prompt(self, values: Floats) -> Floats:
        return np.bincount(self._place, weights=values, minlength=len(self._counts)).astype(np.float64)

    def _mean(self, name: str, grades: Graded) -> Figure:
        low, high = self.ranges()[name]
        unit = f"{low:g} to {high:g}"
        if name == "macro_f1":
            interval = statistic_of_sums(self._confusion(grades), macro_f1, **self._draws)
            return _figure(never_certain(interval, 1.0, 0.0, 1.0), unit)
        found = mean_in_range(self._by_prompt(grades.scores[name]), self._counts, low, high, **self._draws)
        return _figure(found, unit)

    def _retention(self, name: str, student: Graded, teacher: Graded) -> Figure | None:
        """Student over teacher; None where the teacher scores 0, or the metric can be negative, so that it is none."""
        low, high = self.ranges()[name]
        if name == "macro_f1":
            ours, theirs = self._confusion(student), self._confusion(teacher)
            at = float(macro_f1(theirs.sum(axis=0)))
            if at == 0:
                return None
            interval = statistic_of_sums(np.hstack([ours, theirs]), _ratio_of_macro_f1, **self._draws)
            return _figure(never_certain(interval, 1 / at, 0.0, None), "student / teacher")
        ours, theirs = self._by_prompt(student.scores[name]), self._by_prompt(teacher.scores[name])
        found = retained(ours, theirs, self._counts, low, high, **self._draws)
        return None if found is None else _figure(found, "student / teacher")

    def _confusion(self, grades: Graded) -> Floats:
        """(prompts, 3 · labels)"""
        if grades.confusion is None:
            raise ValueError("macro-F1 takes the labels of the answers")
        table = np.zeros((len(self._counts), grades.confusion.shape[1]))
        np.add.at(table, self._place, grades.confusion)
        return table


def _ratio_of_macro_f1(sums: Floats) -> Floats:
    half = sums.shape[-1] // 2
    found: Floats = macro_f1(sums[..., :half]) / macro_f1(sums[..., half:])
    return found


def _figure(interval: Interval, unit: str) -> Figure:
    return Figure(interval.value, interval.low, interval.high, interval.n, unit)
