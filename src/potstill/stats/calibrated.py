"""Shares that a fallible judge measured, corrected by some true labels; intervals carry both uncertainties."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from potstill.stats.interval import CONFIDENCE, Interval
from potstill.stats.proportions import beta_quantile, clopper_pearson, wilson

Floats = NDArray[np.float64]


def student_t(degrees: int) -> float:
    """The two-sided 95 % quantile of Student's t: t² / (degrees + t²) follows a beta distribution (DLMF 8.17)."""
    if degrees < 1:
        raise ValueError("there has to be a degree of freedom")
    x = beta_quantile(CONFIDENCE, 0.5, degrees / 2)
    return math.sqrt(degrees * x / (1 - x))


def prediction_powered(truths: ArrayLike, predicted: ArrayLike, unlabelled: ArrayLike) -> Interval:
    """The mean of the truth in [0, 1] from n cases with truth and prediction and N with the prediction alone.

    mean(truths) + w · (mean(unlabelled) - mean(predicted)), with w = cov / (var · (1 + n/N)) cut to [0, 1]: prediction-
    powered inference (Angelopoulos et al. 2023, Science 382) with the power tuning of PPI++ (Angelopoulos, Duchi &
    Zrnic 2023, arXiv:2311.01453). A prediction without worth gets the weight 0, so the interval is then that of the
    truths alone. The variance is var(truths - w · predicted)/n + w² · var(unlabelled)/N: what the labels leave open,
    and what the cases do. Cases must be independent, and those with a truth a random part of all. Student's t with
    n - 1 degrees; `n` of the interval counts the cases with a truth.
    """
    y, f, rest = (_shares(one) for one in (truths, predicted, unlabelled))
    if y.shape != f.shape or y.size == 0:
        raise ValueError(f"{y.size} truths and {f.size} predictions of them; they need one each, at least one")
    n, others = y.size, rest.size
    if n == 1:
        return Interval(float(y[0]), None, None, 1)
    weight = 0.0
    if others > 1:
        spread = float(np.concatenate([f, rest]).var(ddof=1))
        if spread > 0:
            weight = min(max(float(np.cov(y, f)[0, 1]) / (spread * (1 + n / others)), 0.0), 1.0)
    value = float(y.mean()) + (weight * float(rest.mean() - f.mean()) if others else 0.0)
    value = min(max(value, 0.0), 1.0)
    variance = float((y - weight * f).var(ddof=1)) / n
    if others > 1:
        variance += weight**2 * float(rest.var(ddof=1)) / others
    if variance <= 1e-15:  # all truths are alike: nothing varies, and yet not everything is known
        alike = wilson(value * n, n)
        return Interval(value, alike.low, alike.high, n)
    half = student_t(n - 1) * math.sqrt(variance)
    return Interval(value, max(value - half, 0.0), min(value + half, 1.0), n)


def corrected_share(measured: ArrayLike, truths: ArrayLike, predicted: ArrayLike) -> Interval | None:
    """A share of preferences that a judge measured, undone of its errors as other cases with a truth show them.

    `measured` are the judge's preferences in [0, 1] (½ a tie); `truths` and `predicted` those of the people and of the
    judge on the cases with labels. A judge without a liking for a side has E[J - ½ | H] = k · (H - ½), so the share is
    ½ + (mean(measured) - ½) / k: Rogan & Gladen's estimator (1978) with sensitivity = specificity = (1 + k) / 2.
    k = Σ (H-½)(J-½) / Σ (H-½)². The interval is Fieller's (1954) of the ratio, with Student's t: it carries the
    uncertainty of k as well as that of the measured share. None where k is not sure to be above 0: such a judge tells
    nothing of what people prefer.
    """
    w, h, j = (_shares(one) for one in (measured, truths, predicted))
    if h.shape != j.shape or w.size < 2 or h.size < 2:
        return None
    weight = float(((h - 0.5) ** 2).sum())
    if weight == 0:
        return None  # people called every case a tie
    products = (h - 0.5) * (j - 0.5)
    k = float(products.sum()) / weight
    n = h.size
    residuals = products - k * (h - 0.5) ** 2
    k_variance = n / (n - 1) * float((residuals**2).sum()) / weight**2
    t = student_t(min(n, w.size) - 1)
    if k_variance <= 1e-15:  # the judge never erred here; up to a share u of cases it may, and each costs 2 of k
        k_variance = (2 * (clopper_pearson(0, n).high or 1.0) / t) ** 2
    shift = float(w.mean()) - 0.5
    found = fieller(shift, float(w.var(ddof=1)) / w.size, k, k_variance, t)
    if found is None or k <= 0:
        return None
    low, high = found
    low, value, high = (min(max(0.5 + one, 0.0), 1.0) for one in (low, shift / k, high))
    return Interval(value, low, high, min(n, w.size))


def fieller(
    top: float, top_variance: float, bottom: float, bottom_variance: float, t: float
) -> tuple[float, float] | None:
    """The ends of Fieller's interval (1954) of top / bottom, both normal and independent; None where it is unbounded.

    All r with (top - r · bottom)² ≤ t² · (top_variance + r² · bottom_variance): bounded exactly where `bottom` differs
    from 0 at that level.
    """
    a = bottom**2 - t**2 * bottom_variance
    if a <= 0:
        return None
    b, c = top * bottom, top**2 - t**2 * top_variance
    root = math.sqrt(max(b**2 - a * c, 0.0))
    return (b - root) / a, (b + root) / a


def _shares(values: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not ((found >= 0) & (found <= 1)).all():
        raise ValueError("preferences must be numbers in [0, 1], in one dimension")
    return found
