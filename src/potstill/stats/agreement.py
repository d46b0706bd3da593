"""How far raters agree beyond chance: Cohen's kappa of two, Krippendorff's alpha of any number with gaps."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from potstill.stats.interval import Interval
from potstill.stats.intervals import statistic_of_sums
from potstill.stats.proportions import clopper_pearson

Floats = NDArray[np.float64]
Metric = Literal["nominal", "interval"]


def cohen_kappa(
    first: ArrayLike, second: ArrayLike, prompts: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Interval | None:
    """Cohen's kappa (1960) of two raters: (p_o - p_e) / (1 - p_e), with p_o the share of units on which they agree.

    p_e is the share that raters with these frequencies of categories would agree on by chance. One entry a unit;
    `prompts` says which prompt a unit belongs to, and prompts are resampled whole. None where one category is all that
    either rater gave: there is no chance to be better than.
    """
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape or one.ndim != 1 or one.size != len(prompts) or one.size == 0:
        raise ValueError(
            f"{one.size} and {other.size} ratings of {len(prompts)} units; they need one each, and one unit"
        )
    kinds, codes = np.unique(np.concatenate([one, other]), return_inverse=True)
    size = len(kinds)
    cells = codes[: one.size] * size + codes[one.size :]
    table = np.eye(size * size)[cells]

    def kappa(sums: Floats) -> Floats:
        counts = sums.reshape(-1, size, size)
        total = counts.sum(axis=(1, 2))
        agreed = np.trace(counts, axis1=1, axis2=2) / total
        chance = (counts.sum(axis=2) * counts.sum(axis=1)).sum(axis=1) / total**2
        found: Floats = (agreed - chance) / (1 - chance)
        return found

    shares = np.bincount(codes[: one.size], minlength=size) * np.bincount(codes[one.size :], minlength=size)
    return _resampled(table, prompts, kappa, 1 - float(shares.sum()) / one.size**2, 1.0, resamples, seed)


def krippendorff_alpha(
    ratings: ArrayLike, prompts: Sequence[str], *, metric: Metric = "nominal", resamples: int = 2000, seed: int = 0
) -> Interval | None:
    """Krippendorff's alpha, 1 - D_o / D_e: observed disagreement within units over that of all values by chance.

    `ratings` are (units, raters), NaN where a rater gave none; units with fewer than two ratings say nothing. Two
    values disagree by whether they differ (nominal) or by their squared difference (interval). Krippendorff 2011,
    "Computing Krippendorff's alpha-reliability"; prompts are resampled whole. None where fewer than two units have two
    ratings, or all values are the same.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(prompts):
        raise ValueError("ratings must be units by raters, with one prompt a unit")
    paired = (~np.isnan(table)).sum(axis=1) >= 2
    table, names = table[paired], [prompt for prompt, keep in zip(prompts, paired, strict=True) if keep]
    if len(table) < 2:
        return None
    if metric == "interval":
        columns, worst = _squares(table), float(np.nanmax(table) - np.nanmin(table)) ** 2
        statistic: Callable[[Floats], Floats] = _alpha_of_squares
    else:
        columns, worst, statistic = _coincidences(table), 1.0, _alpha_of_coincidences
    expected = float(_expected(columns.sum(axis=0), metric))
    return _resampled(columns, names, statistic, expected, worst, resamples, seed)


def _coincidences(table: Floats) -> Floats:
    """(units, 1 + categories): disagreeing pairs over (raters - 1), then how often each value was given."""
    kinds = np.unique(table[~np.isnan(table)])
    counts = (table[:, :, None] == kinds).sum(axis=1).astype(np.float64)
    given = counts.sum(axis=1)
    observed = (given**2 - (counts**2).sum(axis=1)) / (given - 1)
    return np.column_stack([observed, counts])


def _alpha_of_coincidences(sums: Floats) -> Floats:
    observed, counts = sums[:, 0], sums[:, 1:]
    total = counts.sum(axis=1)
    differing = total**2 - (counts**2).sum(axis=1)
    found: Floats = 1 - (total - 1) * observed / differing
    return found


def _squares(table: Floats) -> Floats:
    """(units, 4): squared differences within the unit over (raters - 1), ratings, their sum and sum of squares."""
    given = (~np.isnan(table)).sum(axis=1).astype(np.float64)
    total, squares = np.nansum(table, axis=1), np.nansum(table**2, axis=1)
    observed = 2 * (given * squares - total**2) / (given - 1)
    return np.column_stack([observed, given, total, squares])


def _alpha_of_squares(sums: Floats) -> Floats:
    observed, given, total, squares = sums.T
    found: Floats = 1 - (given - 1) * observed / (2 * (given * squares - total**2))
    return found


def _expected(sums: Floats, metric: Metric) -> float:
    """D_e of these sums."""
    if metric == "interval":
        _, given, total, squares = sums
        return float(2 * (given * squares - total**2) / (given * (given - 1)))
    counts = sums[1:]
    total = counts.sum()
    return float((total**2 - (counts**2).sum()) / (total * (total - 1)))


def _resampled(
    rows: Floats, prompts: Sequence[str], statistic: Callable[[Floats], Floats], expected: float, worst: float,
    resamples: int, seed: int,
) -> Interval | None:  # fmt: skip
    """The statistic with prompts resampled; None where chance alone agrees always.

    Raters who never differ leave nothing to resample. Of all units a share of up to u, the upper end of Clopper and
    Pearson's interval for none of n, may yet differ, each by `worst` at most: the lower end is 1 - u · worst/expected.
    """
    if expected <= 1e-12:
        return None
    order = {name: at for at, name in enumerate(dict.fromkeys(prompts))}
    columns = np.zeros((len(order), rows.shape[1]))
    np.add.at(columns, [order[name] for name in prompts], rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = statistic_of_sums(columns, statistic, resamples=resamples, seed=seed)
    if found.low is not None and found.low == found.high and found.n > 1:
        unseen = clopper_pearson(0, found.n).high or 1.0
        return Interval(found.value, max(found.value - unseen * worst / expected, -1.0), found.high, found.n)
    return found
