"""Many tests at once: p-values and intervals adjusted so that the family of them keeps its error rate."""

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from potstill.stats.interval import CONFIDENCE, Interval, Z

Floats = NDArray[np.float64]


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values (m,) that bound the chance of any false finding, under any dependence (Holm 1979).

    The i-th smallest becomes the largest (m - j + 1)·p_(j) of all j ≤ i, at most 1.
    """
    values, order = _checked(p_values)
    m = values.size
    steps = np.maximum.accumulate(values[order] * np.arange(m, 0, -1))
    return _in_place(np.minimum(steps, 1.0), order)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Adjusted p-values (m,) that bound the expected share of false findings (Benjamini and Hochberg 1995).

    The i-th smallest becomes the smallest m/j·p_(j) of all j ≥ i. It holds for independent tests and for such as depend
    positively on each other (Benjamini & Yekutieli 2001).
    """
    values, order = _checked(p_values)
    m = values.size
    steps = values[order] * m / np.arange(1, m + 1)
    return _in_place(np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0), order)


def simultaneous(interval: Interval, family: int) -> Interval:
    """One of `family` intervals that together leave out any of their truths with a chance of 5 % (Bonferroni).

    Each end moves away from the value by z(1 - 0.025 / family) / z(0.975): exact for a normal estimate, and keeps an
    interval skewed that is. One that was not below 0 stays so, as of shares and ratios.
    """
    if family < 1:
        raise ValueError(f"a family of {family} intervals is none")
    if interval.low is None or interval.high is None:
        return interval
    wider = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / family) / Z
    low = interval.value - wider * (interval.value - interval.low)
    high = interval.value + wider * (interval.high - interval.value)
    return Interval(interval.value, max(low, 0.0) if interval.low >= 0 else low, high, interval.n)


def _checked(p_values: ArrayLike) -> tuple[Floats, NDArray[np.intp]]:
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values are numbers from 0 to 1, in one dimension")
    return values, np.argsort(values, kind="stable")


def _in_place(adjusted: Floats, order: NDArray[np.intp]) -> Floats:
    found = np.empty_like(adjusted)
    found[order] = adjusted
    return found
