"""Answers side by side for the report: some spread over all, and those on which the student does worst."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.answers import Answer
from potstill.evaluate.fidelity import Positions
from potstill.evaluate.grading import TaskResult

Floats = NDArray[np.float64]

_SPREAD, _WORST = 8, 6


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The held-out answers, what the student and the untrained student wrote to the same prompts, and how they did."""

    held: Sequence[Answer]
    positions: Positions
    answers: Sequence[str]
    chrf: Sequence[float]
    initial: Sequence[str] | None
    task: TaskResult | None

    def spread(self) -> list[dict[str, Any]]:
        """From the best followed to the worst, evenly spaced: no picking of good ones."""
        order = np.argsort(self._divergence(), kind="stable")
        chosen = np.linspace(0, len(order) - 1, min(_SPREAD, len(order))).round().astype(int)
        return [self._example(at) for at in order[np.unique(chosen)].tolist()]

    def worst(self) -> dict[str, Any]:
        """The answers with the greatest loss, at most one a prompt, and what it was judged by.

        By the task's metrics, what the student scores less than the teacher, as a share of each metric's range; between
        equals, and where it loses nothing, by KL divergence, else by how unlikely it finds the teacher's answer.
        """
        loss, divergence = self._loss(), self._divergence()
        by_task = bool((loss > 0).any())
        order = [at for at in np.lexsort((-divergence, -loss)).tolist() if loss[at] > 0 or not by_task]
        first: dict[str, int] = {}
        for at in order:
            first.setdefault(self.held[at].prompt_hash, at)
        by = "task" if by_task else "kl_nats" if self.positions.kl is not None else "cross_entropy"
        return {"by": by, "examples": [self._example(at) for at in list(first.values())[:_WORST]]}

    def _divergence(self) -> Floats:
        """(answers,) nats a position from the teacher: KL divergence, else cross-entropy of the teacher's answer."""
        found = self.positions
        return found.sums(found.kl if found.kl is not None else -found.log_q) / np.maximum(found.lengths, 1)

    def _loss(self) -> Floats:
        """(answers,) the mean over the task's metrics of (teacher - student) / range; 0 without a reference."""
        found = np.zeros(len(self.held))
        if self.task is not None:
            losses = [
                (theirs - self.task.graded["student"].each[name]) / _width(self.task.ranges, name)
                for name, theirs in self.task.graded["teacher"].each.items()
            ]
            found[list(self.task.kept)] = np.mean(losses, axis=0)
        return found

    def _example(self, at: int) -> dict[str, Any]:
        found, length = self.positions, self.positions.lengths[at]
        start = int(found.lengths[:at].sum())
        own = slice(start, start + int(length))
        return {
            "prompt": self.held[at].prompt_text, "teacher": self.held[at].text, "student": self.answers[at],
            "initial_student": self.initial[at] if self.initial is not None else None,
            "top1_agreement": _mean(found.agree, own), "kl_nats": _mean(found.kl, own), "chrf": self.chrf[at],
            **self._graded(at),
        }  # fmt: skip

    def _graded(self, at: int) -> dict[str, Any]:
        """The reference, and each metric of the student and the teacher on this answer."""
        if self.task is None:
            return {}
        shown: dict[str, Any] = {"reference": self.task.shown[at]}
        if at in self.task.kept:
            place, graded = list(self.task.kept).index(at), self.task.graded
            student, teacher = graded["student"].each, graded["teacher"].each
            shown["scores"] = {
                name: {"student": float(student[name][place]), "teacher": float(teacher[name][place])}
                for name in student
            }
        return shown


def _mean(values: Floats | None, own: slice) -> float | None:
    """None where the figure is not measured, or the answer has no position, as one of nothing but an end may."""
    return None if values is None or not len(values[own]) else float(values[own].mean())


def _width(ranges: Mapping[str, tuple[float, float]], name: str) -> float:
    low, high = ranges.get(name, (0.0, 1.0))
    return high - low
