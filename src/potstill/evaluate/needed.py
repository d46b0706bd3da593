"""How many cases would decide a condition, also where all cases said the same."""

import math

from potstill.stats import needed_alike, needed_n


def cases_needed(value: float, low: float, high: float, n: int, threshold: float) -> int | None:
    """How many cases would place the whole interval on one side of `threshold`, if `value` is the truth.

    Where all n cases said the same an interval shrinks as 1/n and not as 1/√n: a share at its edge (one end is the
    value itself), and a retention of exactly 1 with even ends, as `never_certain` makes them.
    """
    even = value == 1 and math.isclose(value - low, high - value, rel_tol=1e-9)
    if low < high and (value in (low, high) or even):
        return needed_alike(value, low if threshold < value else high, n, threshold)
    return needed_n(value, low, high, n, threshold)
