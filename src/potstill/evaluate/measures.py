"""The student's figures prompt by prompt, and intervals of them over any of the prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def rows(self, chosen: NDArray[np.int64]) -> "Measure":
        """The same for these prompts, by number, in this order."""
        teacher = None if self.teacher is None else self.teacher[chosen]
        return Measure(self.sums[chosen], self.counts[chosen], self.unit, teacher, self.range, self.more_is_better)

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
