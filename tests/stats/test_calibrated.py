"""Shares corrected by labels: against scipy, in their limits, and by how often their intervals hold the truth."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from potstill import stats

SIMULATIONS = 400


@pytest.mark.parametrize("degrees", [1, 2, 5, 19, 200, 5000])
def test_students_t_is_scipys(degrees: int) -> None:
    assert stats.student_t(degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=1e-9)


def test_a_judge_of_no_worth_leaves_the_interval_of_the_labels_alone() -> None:
    draw = np.random.default_rng(0)
    truths, predicted = draw.integers(0, 2, 40).astype(float), np.full(40, 0.5)
    found = stats.prediction_powered(truths, predicted, np.full(500, 0.5))
    classical = scipy.stats.ttest_1samp(truths, 0).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((truths.mean(), classical.low, classical.high))
    alone = stats.prediction_powered(truths, truths, [])
    assert (alone.value, alone.low) == pytest.approx((found.value, found.low))


def test_a_perfect_judge_counts_for_as_many_labels() -> None:
    draw = np.random.default_rng(1)
    every = draw.integers(0, 2, 2000).astype(float)
    found = stats.prediction_powered(every[:50], every[:50], every[50:])
    alone = stats.prediction_powered(every[:50], every[:50], [])
    assert width(found) < 0.35 * width(alone)
    assert found.value == pytest.approx(every.mean(), abs=0.02)


def width(interval: stats.Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def holds(interval: stats.Interval, truth: float) -> bool:
    assert interval.low is not None
    return interval.low <= truth <= interval.low + width(interval)


def judged(draw: np.random.Generator, truth: np.ndarray, right: float) -> np.ndarray:
    """A judge that is right so often, on either side."""
    return np.where(draw.random(truth.size) < right, truth, 1 - truth)


def test_prediction_powered_intervals_hold_the_truth() -> None:
    share, hits, bias = 0.3, 0, []
    for seed in range(SIMULATIONS):
        draw = np.random.default_rng(seed)
        truth = (draw.random(240) < share).astype(float)
        judge = np.where(draw.random(240) < 0.25, 1.0, truth)  # likes one side: its own share is far off
        found = stats.prediction_powered(truth[:40], judge[:40], judge[40:])
        hits += holds(found, share)
        bias.append(found.value - share)
        assert found.n == 40
    assert 0.92 <= hits / SIMULATIONS <= 0.99
    assert abs(np.mean(bias)) < 0.01


def test_corrected_shares_hold_the_truth_and_the_naive_one_does_not() -> None:
    share, hits, naive, bias = 0.3, 0, 0, []
    for seed in range(SIMULATIONS):
        draw = np.random.default_rng(seed)
        measured = judged(draw, (draw.random(200) < share).astype(float), 0.8)
        labels = draw.integers(0, 2, 80).astype(float)  # pairs of another model, with another share
        found = stats.corrected_share(measured, labels, judged(draw, labels, 0.8))
        assert found is not None
        hits += holds(found, share)
        bias.append(found.value - share)
        uncorrected = stats.wilson(measured.sum(), 200)
        naive += holds(uncorrected, share)
    assert 0.92 <= hits / SIMULATIONS <= 0.99
    assert naive / SIMULATIONS < 0.5
    assert abs(np.mean(bias)) < 0.02


def test_it_is_rogan_and_gladens_estimator() -> None:
    """Sensitivity = specificity = 0.9, measured share 0.42: (0.42 + 0.9 - 1) / (0.9 + 0.9 - 1) = 0.4."""
    truths = np.repeat([0.0, 1.0], 50)
    predicted = np.concatenate([np.repeat([0.0, 1.0], [45, 5]), np.repeat([1.0, 0.0], [45, 5])])
    measured = np.repeat([1.0, 0.0], [42, 58])
    found = stats.corrected_share(measured, truths, predicted)
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert found.n == 100


def test_a_judge_that_is_right_half_the_time_corrects_nothing() -> None:
    draw = np.random.default_rng(2)
    labels = draw.integers(0, 2, 100).astype(float)
    assert stats.corrected_share([0.0, 1.0] * 50, labels, judged(draw, labels, 0.5)) is None
    assert stats.corrected_share([0.0, 1.0] * 50, labels, 1 - labels) is None
    assert stats.corrected_share([0.0, 1.0], [0.5, 0.5], [1.0, 0.0]) is None
    assert stats.corrected_share([1.0], labels, labels) is None


def test_nothing_that_varies_is_not_nothing_unknown() -> None:
    found = stats.prediction_powered([1.0] * 30, [1.0] * 30, [1.0] * 100)
    assert (found.value, found.high) == (1, 1)
    assert found.low == stats.wilson(30, 30).low
    perfect = stats.corrected_share([1.0, 0.0] * 50, [1.0, 0.0] * 15, [1.0, 0.0] * 15)
    assert perfect is not None
    assert width(perfect) > 0.19
    assert stats.prediction_powered([1.0], [1.0], [0.0]).low is None
    with pytest.raises(ValueError, match="one each"):
        stats.prediction_powered([], [], [1.0])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        stats.prediction_powered([2.0, 1.0], [1.0, 0.0], [1.0])


@given(
    st.floats(-1, 1), st.floats(1e-6, 0.1), st.floats(0.2, 1), st.floats(1e-6, 0.005), st.floats(1.9, 2.1)
)  # fmt: skip
def test_fiellers_ends_solve_their_equation(top: float, tv: float, bottom: float, bv: float, t: float) -> None:
    found = stats.fieller(top, tv, bottom, bv, t)
    assert (found is None) == (bottom**2 <= t**2 * bv)
    for r in found or ():
        assert (top - r * bottom) ** 2 == pytest.approx(t**2 * (tv + r**2 * bv), rel=1e-6, abs=1e-9)
