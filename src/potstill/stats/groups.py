"""A test of groups of prompts: whether a figure over one group differs from that over all other prompts."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_ENTRIES_AT_ONCE = 1 << 20  # prompts of permuted rows held in memory together: 8 MiB
_ROUNDING = 1e-12  # of equal sums taken in another order, relative to the spread of the prompts


def differs_from_rest(
    sums: ArrayLike, members: ArrayLike, counts: ArrayLike | None = None, *, permutations: int = 10_000, seed: int = 0
) -> Floats:
    """Two-sided p-values (groups,) that a group's sum(sums) / sum(counts) is that of the prompts outside it.

    `sums` and `counts` have one entry a prompt (without `counts` each brings one value), `members` (prompts, groups)
    says which prompts a group has; groups may overlap. Which prompts are the group's is shuffled (`permutations` times,
    the same for every group), and the statistic is the difference over its own standard error, as Welch's t has it
    with prompts as cases. Over that error the test keeps its level, for many prompts, where the group and the rest
    have the same figure and unlike spread, which the plain difference does not (Janssen 1997; Chung & Romano 2013).
    The value is (hits + 1) / (permutations + 1), never 0. It is 1 for a group of fewer than 2 prompts, or without as
    many outside it.
    """
    totals, table = np.asarray(sums, dtype=np.float64), np.asarray(members, dtype=np.float64)
    sizes = np.ones_like(totals) if counts is None else np.asarray(counts, dtype=np.float64)
    n = totals.size
    if totals.ndim != 1 or sizes.shape != totals.shape or table.ndim != 2 or table.shape[0] != n or n == 0:
        raise ValueError("sums and counts take one entry a prompt, members one row a prompt, at least one")
    if not (np.isfinite(totals).all() and np.isfinite(sizes).all()) or (sizes <= 0).any():
        raise ValueError("sums must be finite and counts above 0: leave prompts out that have nothing to measure")
    centred = totals - totals.sum() / sizes.sum() * sizes  # else squares of a large mean would drown small spreads
    parts = np.stack([centred, sizes, centred**2, centred * sizes, sizes**2])  # (5, prompts)
    observed = _studentised(parts @ table, parts.sum(axis=1), table.sum(axis=0), n)
    hits = np.zeros(table.shape[1])
    draw, rows = np.random.default_rng(seed), max(1, _ENTRIES_AT_ONCE // n)
    for start in range(0, permutations, rows):
        order = draw.permuted(np.tile(np.arange(n), (min(rows, permutations - start), 1)), axis=1)
        inside = np.stack([part[order] @ table for part in parts], axis=1)  # (rows, 5, groups)
        found = _studentised(inside, parts.sum(axis=1), table.sum(axis=0), n)
        hits += (found >= observed * (1 - 1e-9)).sum(axis=0)
    return (hits + 1) / (permutations + 1)


def _studentised(inside: Floats, total: Floats, size: Floats, n: int) -> Floats:
    """(…, groups) |difference| / its standard error, of sums inside groups (…, 5, groups); 0 without a difference."""
    outside = total[:, None] - inside
    (mean, error), (rest, error_of_rest) = _mean_and_error(inside, size), _mean_and_error(outside, n - size)
    spread = float(total[2]) / float(total[1] / n) ** 2  # as if one prompt had all of it
    apart = np.where(np.abs(mean - rest) <= _ROUNDING * np.sqrt(spread), 0.0, np.abs(mean - rest))
    error = np.where(error + error_of_rest <= _ROUNDING * spread, 0.0, error + error_of_rest)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(apart == 0, 0.0, apart / np.sqrt(error))  # without spread any difference is endless
    return np.where((size < 2) | (n - size < 2), 0.0, found)


def _mean_and_error(sums: Floats, cases: Floats) -> tuple[Floats, Floats]:
    """The ratio of sums, and the square of its standard error by the delta method."""
    top, bottom, squares, products, bottoms = np.moveaxis(sums, -2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(bottom > 0, top / bottom, 0.0)
        error = (squares - 2 * mean * products + mean**2 * bottoms) / bottom**2 * cases / (cases - 1)
    return mean, np.where(np.isfinite(error), np.maximum(error, 0.0), 0.0)
