"""The student's figures prompt by prompt: what slices, the worst examples and a later run's comparison are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from potstill.answers import Answer
from potstill.evaluate.fidelity import Positions
from potstill.evaluate.grading import TaskResult
from potstill.evaluate.ranged import mean_in_range, retained
from potstill.stats import Interval, cluster_mean

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure as Σ sums / Σ counts over prompts; of a metric against references the teacher's sums stand beside."""

    sums: Floats  # (prompts,)
    counts: Floats  # (prompts,), 0 for a prompt with nothing to measure
    unit: str
    teacher: Floats | None = None  # (prompts,)
    range: tuple[float, float] | None = None  # of single values; None: there is no greatest one
    more_is_better: bool = True

    def mean(self, of: NDArray[np.bool_], *, teacher: bool = False, **draws: Any) -> Interval | None:
        """The figure over some prompts, (prompts,) true for each, or the teacher's; None where nothing is measured."""
        sums = self.teacher if teacher else self.sums
        there = of & (self.counts > 0)
        if sums is None or not there.any():
            return None
        if self.range is None:
            return cluster_mean(sums[there], self.counts[there], **draws)
        return mean_in_range(sums[there], self.counts[there], *self.range, **draws)

    def retention(self, of: NDArray[np.bool_], **draws: Any) -> Interval | None:
        """Student over teacher, prompts in pairs; None where there is no such ratio."""
        there = of & (self.counts > 0)
        if self.teacher is None or self.range is None or not there.any():
            return None
        return retained(self.sums[there], self.teacher[there], self.counts[there], *self.range, **draws)

    @property
    def loss(self) -> Floats:
        """(prompts,) sums of what the student is worse by: than the teacher where there is one, else than 0."""
        worse = self.sums if self.teacher is None else self.sums - self.teacher
        return -worse if self.more_is_better else worse


@dataclass(frozen=True, slots=True)
class ByPrompt:
    """The held-out prompts that have a usable answer, in their order, with everything measured on them."""

    hashes: Sequence[str]
    texts: Sequence[str]
    lengths: NDArray[np.int64]  # tokens of the rendered prompt, the student's
    tags: Sequence[str | None]
    labels: Sequence[str | None]  # the right one, where the task has labels
    measures: Mapping[str, Measure] = field(default_factory=dict)

    @property
    def task_metrics(self) -> list[str]:
        """The measures against references."""
        return [name for name, one in self.measures.items() if one.teacher is not None]


def by_prompt(
    answers: Sequence[Answer], positions: Positions, chrf: Sequence[float], task: TaskResult | None
) -> ByPrompt:
    """Add up a student's values over each prompt; `positions` and `chrf` are of the answers in their order."""
    first: dict[str, int] = {}
    for at, one in enumerate(answers):
        first.setdefault(one.prompt_hash, at)
    order = {key: place for place, key in enumerate(first)}
    place = np.array([order[one.prompt_hash] for one in answers])

    def summed(values: ArrayLike, of: NDArray[np.int64] = place) -> Floats:
        return np.bincount(of, weights=np.asarray(values, dtype=np.float64), minlength=len(order)).astype(np.float64)

    measures: dict[str, Measure] = {}
    counts, unit = summed(positions.lengths), positions.unit
    if positions.agree is not None:
        agree = summed(positions.sums(positions.agree))
        measures["top1_agreement"] = Measure(agree, counts, f"share of {unit}s", range=(0.0, 1.0))
    if positions.kl is not None:
        kl = summed(positions.sums(positions.kl))
        measures["kl_nats"] = Measure(kl, counts, f"nats a {unit}", more_is_better=False)
    if positions.total_variation is not None:
        apart = summed(positions.sums(positions.total_variation))
        spread = f"0 to 1, a {unit}"
        measures["total_variation"] = Measure(apart, counts, spread, range=(0.0, 1.0), more_is_better=False)
    measures["chrf"] = Measure(summed(chrf), summed(np.ones(len(answers))), "0 to 100", range=(0.0, 100.0))
    labels: Sequence[str | None] = [None] * len(order)
    if task is not None:
        kept = place[list(task.kept)]
        graded = summed(np.ones(len(kept)), kept)
        student, teacher = task.graded["student"], task.graded["teacher"]
        for name, scores in student.each.items():
            low, high = task.ranges.get(name, (0.0, 1.0))
            theirs = summed(teacher.each[name], kept)
            measures[name] = Measure(summed(scores, kept), graded, f"{low:g} to {high:g}", theirs, (low, high))
        if student.confusion is not None:
            labels = [task.shown[at] for at in first.values()]
    return ByPrompt(
        tuple(first),
        [answers[at].prompt_text for at in first.values()],
        np.array([answers[at].example.prompt_length for at in first.values()], dtype=np.int64),
        [answers[at].tag for at in first.values()],
        labels,
        measures,
    )
