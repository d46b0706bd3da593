"""A falling error as inverse power laws of the number of examples, and what these say of larger numbers."""

from dataclasses import dataclass
from typing import Literal

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


def extrapolated(
    sizes: ArrayLike,
    errors: ArrayLike,
    n: float,
    law: Literal["error", "odds"],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean error to expect with n examples, from `errors` (prompts, k) of each prompt at k sizes.

    `law` "error" is that of `fit_power_law`. "odds" has the odds of an error fall, e / (1 − e) = b · n^−c, fitted as a
    line of log odds in log n: where there are many kinds of answers, errors fall late and then fast, which the first
    law does not follow (it has a floor, and this one has none). Neither is known to be right; the two are bounds.

    Prompts are drawn with replacement, the law is fitted to the means of each draw, and the interval is that of
    percentiles. It covers which prompts were tried, and not whether errors go on falling by this law.
    """
    places, table = np.asarray(sizes, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    read = _by_error if law == "error" else _by_odds
    drawn = read(places, _drawn_means(table, resamples, seed), n, len(table))
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    value = read(places, table.mean(axis=0)[None], n, len(table))[0]
    return Interval(float(value), float(low), float(high), len(table))


def _by_error(sizes: Floats, errors: Floats, n: float, _: int) -> Floats:
    """(m,) what the first law, fitted to each row of errors (m, k), gives with n examples."""
    a, b, c = _fit(sizes, errors)
    found: Floats = a + b * n**-c
    return found


def _by_odds(sizes: Floats, errors: Floats, n: float, prompts: int) -> Floats:
    """(m,) what the second law gives; an error of none or all of the prompts counts as half a prompt from it."""
    least = 0.5 / prompts
    odds = np.log(np.clip(errors, least, 1 - least) / np.clip(1 - errors, least, 1 - least))
    x = np.log(sizes)
    slope = np.minimum((odds - odds.mean(axis=1, keepdims=True)) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum(), 0)
    found: Floats = 1 / (1 + np.exp(-(odds.mean(axis=1) + slope * (np.log(n) - x.mean()))))
    return found


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
