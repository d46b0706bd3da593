"""Intervals of proportions: Wilson's, near the nominal coverage on average, and Clopper-Pearson's, never below it."""

import math

from potstill.stats.interval import CONFIDENCE, Interval, Z

_STEPS = 200  # of a bisection: far more than a float has bits
_TINY = 1e-300


def wilson(successes: float, n: int) -> Interval:
    """The score interval of a proportion (Wilson 1927); unlike value ± z·error it is sound at 0, 1 and small n."""
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials is no proportion")
    share = successes / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(share, low, high, n)


def clopper_pearson(successes: int, n: int) -> Interval:
    """The exact interval of a proportion (Clopper & Pearson 1934): its coverage is 95 % or more, whatever the truth.

    Take it where too narrow would be a false promise, such as for a rate of false alarms. Each end is the proportion
    for which so many successes, or more on that side, have a chance of 2.5 %.
    """
    if n < 1 or not 0 <= successes <= n or successes != int(successes):
        raise ValueError(f"{successes} successes of {n} trials is no proportion of whole cases")
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if successes == 0 else beta_quantile(tail, successes, n - successes + 1)
    high = 1.0 if successes == n else beta_quantile(1 - tail, successes + 1, n - successes)
    return Interval(successes / n, low, high, n)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for 0 ≤ x ≤ 1 and a, b > 0 (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges fast
        return 1 - beta_cdf(1 - x, b, a)
    front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (Lentz 1976)."""
    value = numerator = 1.0
    denominator = 1 / _safe(1 - (a + b) * x / (a + 1))
    value = denominator
    for m in range(1, 100_000):
        for coefficient in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            denominator = 1 / _safe(1 + coefficient * denominator)
            numerator = _safe(1 + coefficient / numerator)
            step = numerator * denominator
            value *= step
        if abs(step - 1) < 1e-15:
            return value
    raise ArithmeticError(f"the incomplete beta function of {x}, {a}, {b} did not converge")


def _safe(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x at which `beta_cdf` is `share`."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if beta_cdf(middle, a, b) < share else (low, middle)
    return (low + high) / 2
