"""Intervals for means and ratios over prompts, by resampling whole prompts, and for ratios of timings."""

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from potstill.stats.interval import CONFIDENCE, Interval, Z
from potstill.stats.proportions import wilson

Floats = NDArray[np.float64]

_NORMAL = NormalDist()
# Student's t, two-sided 95 %, by degrees of freedom (any table of t; tests compare it with scipy).
_T_95 = {1: 12.706204736, 2: 4.302652730, 3: 3.182446305, 4: 2.776445105}
_ENTRIES_AT_ONCE = 1 << 20  # resampled entries held in memory together: 8 MiB of indices


def cluster_mean(
    sums: ArrayLike, counts: ArrayLike | None = None, *, share: bool = False, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean of per-token values, sum(sums) / sum(counts), with prompts as the unit that is resampled.

    `sums` and `counts` have one entry a prompt (without `counts`, each prompt brings one value). Tokens of one answer
    depend on each other, so they stay together: drawing tokens singly would make the interval too narrow. Prompts
    without a token are left out. For a paired difference of two models pass the difference of their sums.

    `share=True` says that every single value lies in [0, 1]. Should all prompts then have the same mean, resampling
    has nothing to vary; the answer is Wilson's interval with each prompt as one trial, not one of width zero.
    """
    totals = _vector(sums, "sums")
    sizes = np.ones_like(totals) if counts is None else _vector(counts, "counts")
    if sizes.shape != totals.shape:
        raise ValueError(f"sums has {totals.size} entries and counts has {sizes.size}; they need one a prompt")
    if (sizes < 0).any() or (totals[sizes == 0] != 0).any():
        raise ValueError("counts must not be negative, and a prompt without tokens must have the sum 0")
    totals, sizes = totals[sizes > 0], sizes[sizes > 0]
    result = ratio_of_sums(totals, sizes, resamples=resamples, seed=seed)
    if share and totals.size > 1 and np.ptp(totals / sizes) == 0:
        return wilson(result.value * totals.size, totals.size)
    return result


def ratio_of_sums(numerators: ArrayLike, denominators: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """sum(numerators) / sum(denominators) with one entry a prompt in each, prompts resampled in pairs.

    The interval is BCa (Efron 1987, "Better bootstrap confidence intervals"; ends, bias and jackknife acceleration
    as in Efron & Tibshirani 1993, "An introduction to the bootstrap", eq. 14.10, 14.14 and 14.15). It is taken over
    the plain percentile interval because per-prompt divergences are skewed and a ratio is biased: BCa corrects both
    to second order, and like the percentile interval it carries over through any monotone transform (see
    `exponential`). Equal `seed`, `resamples` and number of prompts draw the same prompts, so that figures of one run
    are resampled together.

    With one prompt, or where a resample can have the denominator 0, both ends are None.
    """
    tops, bottoms = _vector(numerators, "numerators"), _vector(denominators, "denominators")
    if tops.shape != bottoms.shape:
        raise ValueError(f"{tops.size} numerators and {bottoms.size} denominators; they need one each a prompt")
    if tops.size == 0 or bottoms.sum() == 0:
        raise ValueError("nothing was counted: the denominators sum to 0")
    value = float(tops.sum() / bottoms.sum())
    if tops.size == 1:
        return Interval(value, None, None, 1)
    drawn = _resample(tops, bottoms, resamples, seed)
    rest = bottoms.sum() - bottoms
    if not np.isfinite(drawn).all() or (rest == 0).any():
        return Interval(value, None, None, tops.size)
    low, high = _bca(value, drawn, (tops.sum() - tops) / rest)
    return Interval(value, low, high, tops.size)


def statistic_of_sums(
    columns: ArrayLike, statistic: Callable[[Floats], Floats], *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """A statistic of sums over prompts, such as macro-F1 of counts, with prompts resampled whole; BCa as above.

    `columns` are (prompts, k); `statistic` takes sums (m, k) to values (m,), each from one row. Equal `seed`,
    `resamples` and number of prompts draw the prompts that `ratio_of_sums` draws. With one prompt, or where a resample
    has no finite value, both ends are None.
    """
    table = np.asarray(columns, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] == 0 or not np.isfinite(table).all():
        raise ValueError("columns must be finite numbers, one row a prompt, at least one row")
    n, total = table.shape[0], table.sum(axis=0)
    value = float(statistic(total[None])[0])
    if n == 1:
        return Interval(value, None, None, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.concatenate(
            [statistic(_times_drawn(chosen, n) @ table) for chosen in _drawn_prompts(n, resamples, seed)]
        )
        left_out = statistic(total - table)
    return _from_draws(value, drawn, left_out)


def statistic_of_weights(
    n: int, statistic: Callable[[Floats], Floats], *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """A statistic of `n` prompts that is no function of sums, such as a fitted curve's; prompts resampled whole, BCa.

    `statistic` takes how often each prompt counts (m, n) to values (m,), each from one row. Draws and ends are those
    of `statistic_of_sums`.
    """
    if n < 1:
        raise ValueError("there has to be a prompt")
    value = float(statistic(np.ones((1, n)))[0])
    if n == 1:
        return Interval(value, None, None, 1)
    drawn = np.concatenate([statistic(_times_drawn(chosen, n)) for chosen in _drawn_prompts(n, resamples, seed)])
    step = max(1, _ENTRIES_AT_ONCE // n)
    places = (np.arange(start, min(start + step, n)) for start in range(0, n, step))
    left_out = np.concatenate([statistic((np.arange(n) != some[:, None]).astype(np.float64)) for some in places])
    return _from_draws(value, drawn, left_out)


def exponential(interval: Interval) -> Interval:
    """exp of a figure and of its ends: a mean log ratio becomes a ratio, such as that of two perplexities."""
    low, high = (None if end is None else math.exp(end) for end in (interval.low, interval.high))
    return Interval(math.exp(interval.value), low, high, interval.n)


def median_ratio(numerators: ArrayLike, denominators: ArrayLike) -> Interval:
    """The median of the ratios of paired timings, with an interval that one interrupted timing can't move.

    From six pairs on, the interval is that of order statistics (David & Nagaraja 2003, "Order Statistics", ch. 7):
    the narrowest symmetric pair whose binomial coverage is at least 95 %, whatever the distribution. Fewer pairs can
    not reach 95 % that way; from two to five the interval is Student's t on the logarithms of the ratios, widened
    where needed to hold the median. One pair has no interval.
    """
    tops, bottoms = _vector(numerators, "numerators"), _vector(denominators, "denominators")
    if tops.shape != bottoms.shape or tops.size == 0:
        raise ValueError(f"{tops.size} numerators and {bottoms.size} denominators; timings come in pairs, at least one")
    if (tops <= 0).any() or (bottoms <= 0).any():
        raise ValueError("timings must be above 0")
    ratios = np.sort(tops / bottoms)
    value, n = float(np.median(ratios)), ratios.size
    if n == 1:
        return Interval(value, None, None, 1)
    rank = _order_rank(n)
    if rank:
        return Interval(value, float(ratios[rank - 1]), float(ratios[n - rank]), n)
    logs = np.log(ratios)
    half = _T_95[n - 1] * float(logs.std(ddof=1)) / math.sqrt(n)
    low, high = math.exp(float(logs.mean()) - half), math.exp(float(logs.mean()) + half)
    return Interval(value, min(low, value), max(high, value), n)


def needed_n(value: float, low: float, high: float, n: int, threshold: float, power: float = 0.8) -> int | None:
    """How many cases would place the whole interval on one side of `threshold`, if `value` is the truth.

    The standard error is read off the interval's end towards the threshold, (end - value) / z, and shrinks as
    1/sqrt(n). The answer asks for `power`, the chance that the measured interval then clears the threshold:
    n · ((z + z_power) · error / (value - threshold))², the usual size of a z-test (Cohen 1988, "Statistical Power
    Analysis"). None where the value lies on the threshold itself: no number of cases decides that.
    """
    distance = abs(value - threshold)
    spread = value - low if threshold < value else high - value
    if distance == 0:
        return None
    needed = n * ((Z + _NORMAL.inv_cdf(power)) / Z * max(spread, 0.0) / distance) ** 2
    return max(math.ceil(needed), 1) if math.isfinite(needed) else None


def needed_alike(value: float, end: float, n: int, threshold: float) -> int | None:
    """As `needed_n`, where all n cases said the same and the interval reaches to `end` because others still could.

    What it reaches is in proportion to u(n) = 1 - 0.025^(1/n), the share of cases that can be otherwise for all that n
    alike show (Clopper & Pearson 1934), so m with u(m) = u(n)·|value - threshold| / |value - end| cases reach the
    threshold. None where the value lies on the threshold, or there is nothing to reach.
    """
    distance, reach = abs(value - threshold), abs(value - end)
    if distance == 0 or reach == 0:
        return None
    tail = (1 - CONFIDENCE) / 2
    unseen = (1 - tail ** (1 / n)) * distance / reach
    return 1 if unseen >= 1 else max(math.ceil(math.log(tail) / math.log1p(-unseen)), 1)


def _vector(values: ArrayLike, name: str) -> Floats:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError(f"{name} must be one finite number a prompt, in one dimension")
    return vector


def _resample(tops: Floats, bottoms: Floats, resamples: int, seed: int) -> Floats:
    """The ratio in each of `resamples` draws of all prompts with replacement."""
    ratios = []
    for chosen in _drawn_prompts(tops.size, resamples, seed):
        with np.errstate(divide="ignore", invalid="ignore"):  # the caller looks for what is not finite
            ratios.append(tops[chosen].sum(axis=1) / bottoms[chosen].sum(axis=1))
    return np.concatenate(ratios)


def _drawn_prompts(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Indices (m, n) of drawn prompts, some resamples at a time; the same for equal arguments."""
    draw = np.random.default_rng(seed)
    rows = max(1, _ENTRIES_AT_ONCE // n)
    for start in range(0, resamples, rows):
        yield draw.integers(0, n, size=(min(rows, resamples - start), n))


def _times_drawn(chosen: NDArray[np.int64], n: int) -> Floats:
    """(m, n) how often each prompt is among those chosen (m, n)."""
    rows = np.arange(len(chosen))[:, None] * n
    counts: Floats = np.bincount((chosen + rows).ravel(), minlength=chosen.size).reshape(-1, n).astype(np.float64)
    return counts


def _from_draws(value: float, drawn: Floats, left_out: Floats) -> Interval:
    """The BCa interval of resampled and jackknife values, one a prompt; no ends where one is not finite."""
    n = left_out.size
    if not (math.isfinite(value) and np.isfinite(drawn).all() and np.isfinite(left_out).all()):
        return Interval(value, None, None, n)
    low, high = _bca(value, drawn, left_out)
    return Interval(value, low, high, n)


def _bca(value: float, drawn: Floats, left_out: Floats) -> tuple[float, float]:
    """Ends of the BCa interval from the resampled values and the jackknife values (each prompt left out once)."""
    deviations = left_out.mean() - left_out
    squares = float((deviations**2).sum())
    if squares == 0 or np.ptp(drawn) == 0:  # every prompt says the same
        return value, value
    acceleration = float((deviations**3).sum()) / (6 * squares**1.5)
    below = (float((drawn < value).mean()) + float((drawn <= value).mean())) / 2
    edge = 1 / (2 * drawn.size)  # keeps the bias correction finite where all draws fall on one side
    bias = _NORMAL.inv_cdf(min(max(below, edge), 1 - edge))
    shares = [_NORMAL.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in (-Z, Z)]
    low, high = np.quantile(drawn, shares)
    return float(low), float(high)


def _order_rank(n: int) -> int:
    """The largest k whose interval from the k-th smallest to the k-th largest covers the median with 95 %; 0: none."""
    tail, rank = 0.0, 0
    for k in range(n // 2):
        tail += math.comb(n, k) / 2**n
        if 2 * tail > 1 - CONFIDENCE:
            break
        rank = k + 1
    return rank
