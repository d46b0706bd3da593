"""A share with a nuisance held at zero: what a logistic regression says where a covariate has no effect."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from potstill.stats.interval import Interval
from potstill.stats.intervals import statistic_of_weights

Floats = NDArray[np.float64]

# A normal prior on the slope so wide that it says next to nothing (a standard deviation of 10 in log-odds); without one
# there is no finite estimate where the covariate alone tells the outcomes apart.
_PENALTY = 1 / 10**2
_STEPS, _LONGEST_STEP = 100, 2.0


@dataclass(frozen=True, slots=True)
class Controlled:
    """`share` is that at a covariate of zero; `slope` is the change of the log-odds for a covariate of one."""

    share: Interval
    slope: float


def share_at_zero(
    outcomes: ArrayLike, covariate: ArrayLike, prompts: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Controlled:
    """Fit outcome ~ logistic(theta + phi · covariate) and give logistic(theta), with prompts resampled whole.

    `outcomes` lie in [0, 1], one a unit; one between the two counts in parts (Papke & Wooldridge 1996, fractional
    logit). Outcomes that are all 0, or all 1, have that share, whatever the covariate.
    """
    y, x = np.asarray(outcomes, dtype=np.float64), np.asarray(covariate, dtype=np.float64)
    if y.ndim != 1 or y.shape != x.shape or y.size != len(prompts) or y.size == 0:
        raise ValueError("outcomes and covariate must be one number a unit each, with one prompt a unit")
    if not np.isfinite(x).all() or not ((y >= 0) & (y <= 1)).all():
        raise ValueError("outcomes must lie in [0, 1], and the covariate must be finite")
    order = {name: at for at, name in enumerate(dict.fromkeys(prompts))}
    place = np.array([order[name] for name in prompts])

    def shares(weights: Floats) -> Floats:
        return _fit(weights[:, place], y, x)[0]

    share = statistic_of_weights(len(order), shares, resamples=resamples, seed=seed)
    return Controlled(share, float(_fit(np.ones((1, y.size)), y, x)[1][0]))


def _fit(weights: Floats, y: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Shares at zero and slopes (m,) of m weightings (m, n) of the units, by Newton's method on all of them at once."""
    mean = (weights @ y) / weights.sum(axis=1)
    theta, phi = np.zeros(len(weights)), np.zeros(len(weights))
    going = np.flatnonzero((mean > 0) & (mean < 1))
    for _ in range(_STEPS):
        if not going.size:
            break
        own = weights[going]
        p = 1 / (1 + np.exp(-(theta[going, None] + phi[going, None] * x)))
        rest, bend = own * (y - p), own * p * (1 - p)
        g0, g1 = rest.sum(axis=1), rest @ x - _PENALTY * phi[going]
        h00, h01, h11 = bend.sum(axis=1), bend @ x, bend @ x**2 + _PENALTY
        determinant = np.maximum(h00 * h11 - h01**2, 1e-300)
        steps = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0]) / determinant
        steps = np.clip(steps, -_LONGEST_STEP, _LONGEST_STEP)
        theta[going] += steps[0]
        phi[going] += steps[1]
        going = going[np.abs(steps).max(axis=0) > 1e-9]
    share = np.where((mean > 0) & (mean < 1), 1 / (1 + np.exp(-theta)), np.round(mean))
    return share, phi
