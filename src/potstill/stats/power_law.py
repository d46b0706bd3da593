"""A falling error as an inverse power law of the number of examples, and what it says of larger numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from potstill.stats.interval import CONFIDENCE, Interval

Floats = NDArray[np.float64]

_EXPONENTS = np.linspace(0.05, 2.0, 79)  # of n; learning curves fall with 0.05 to 1 (Hestness et al. 2017)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """error(n) = a + b · n^−c, with a, b ≥ 0: `a` is what no number of examples takes away."""

    a: float
    b: float
    c: float

    def at(self, n: float) -> float:
        """The error with n examples."""
        return self.a + self.b * float(n**-self.c)


def fit_power_law(sizes: ArrayLike, errors: ArrayLike) -> PowerLaw:
    """Least squares over the measured errors (k,) at k sizes, c from 0.05 to 2 on a grid."""
    a, b, c = _fit(np.asarray(sizes, dtype=np.float64), np.asarray(errors, dtype=np.float64)[None])
    return PowerLaw(float(a[0]), float(b[0]), float(c[0]))


def extrapolated(sizes: ArrayLike, errors: ArrayLike, n: float, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean error to expect with n examples, from `errors` (prompts, k) of each prompt at k sizes.

    Prompts are drawn with replacement, the law is fitted to the means of each draw, and the interval is that of
    percentiles. It covers which prompts were tried, and not whether errors go on falling by this law.
    """
    places, table = np.asarray(sizes, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    drawn = _drawn_means(table, resamples, seed)
    a, b, c = _fit(places, drawn)
    low, high = np.quantile(a + b * n**-c, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(fit_power_law(places, table.mean(axis=0)).at(n), float(low), float(high), len(table))


def clearly_falls(errors: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> bool:
    """Whether the mean error at the last size is below that at the first, with 97.5 % of the draws of prompts."""
    drawn = _drawn_means(np.asarray(errors, dtype=np.float64), resamples, seed)
    return bool(np.quantile(drawn[:, 0] - drawn[:, -1], (1 - CONFIDENCE) / 2) > 0)


def _drawn_means(table: Floats, resamples: int, seed: int) -> Floats:
    """(resamples, k)"""
    n = len(table)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    means: Floats = times @ table / n
    return means


def _fit(sizes: Floats, errors: Floats) -> tuple[Floats, Floats, Floats]:
    """a, b and c of each row of errors (m, k)."""
    best = np.full(len(errors), np.inf)
    found = tuple(np.zeros(len(errors)) for _ in range(3))
    mean = errors.mean(axis=1)
    for c in _EXPONENTS:
        x = sizes**-c
        b = (errors - mean[:, None]) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        a = mean - b * x.mean()
        alone = errors @ x / (x @ x)  # where a would be negative; an error that rises is flat: b = 0
        a, b = np.where(b < 0, mean, np.where(a < 0, 0, a)), np.where(b < 0, 0, np.where(a < 0, alone, b))
        off = ((errors - a[:, None] - b[:, None] * x) ** 2).sum(axis=1)
        better = off < best
        best = np.where(better, off, best)
        found = tuple(np.where(better, new, old) for new, old in zip((a, b, np.full_like(a, c)), found, strict=True))
    return found[0], found[1], found[2]
