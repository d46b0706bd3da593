"""Intervals of figures whose values lie in a known range: never surer than so many prompts allow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.stats import Interval, clopper_pearson, cluster_mean, ratio_of_sums

Floats = NDArray[np.float64]


def mean_in_range(sums: Floats, counts: Floats, low: float, high: float, **draws: Any) -> Interval:
    """sum(sums) / sum(counts) of values from `low` to `high`, one entry a prompt; `draws` are resamples and seed."""
    shares = np.clip((sums - low * counts) / (high - low), 0, counts)
    found = cluster_mean(shares, counts, share=True, **draws)
    first, last = (None if end is None else low + (high - low) * end for end in (found.low, found.high))
    return Interval(low + (high - low) * found.value, first, last, found.n)


def retained(
    student: Floats, teacher: Floats, counts: Floats, low: float, high: float, **draws: Any
) -> Interval | None:
    """Student over teacher, both as sums of values from `low` to `high`, one entry a prompt.

    None where the teacher scores 0, or the metric can be negative, so that the ratio is none.
    """
    at = float(teacher.sum() / counts.sum())
    if low < 0 or at <= 0:
        return None
    return never_certain(ratio_of_sums(student, teacher, **draws), (high - low) / at, 0.0, None)


def never_certain(interval: Interval, most: float, least: float, top: float | None) -> Interval:
    """An interval of width zero, widened by what prompts of another kind could still change.

    Where all n prompts say the same, resampling has nothing to vary. A share of up to u of all prompts, the upper end
    of Clopper and Pearson's interval for 0 of n, can yet be otherwise, and each moves the figure by `most` at most.
    """
    if interval.low is None or interval.high is None or interval.high > interval.low or interval.n < 2:
        return interval
    unseen = clopper_pearson(0, interval.n).high
    reach = most * (unseen if unseen is not None else 1.0)
    low, high = max(interval.value - reach, least), interval.value + reach
    return Interval(interval.value, low, high if top is None else min(high, top), interval.n)
