"""The share at a covariate of zero against scipy's optimum, and on outcomes whose truth is known."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill import stats


def theirs(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Share and slope that maximise the same penalised likelihood, found by scipy."""

    def loss(at: np.ndarray) -> float:
        z = at[0] + at[1] * x
        return float((np.logaddexp(0, z) - y * z).sum() + 0.5 * at[1] ** 2 / 10**2)

    best = scipy.optimize.minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x
    return float(scipy.special.expit(best[0])), float(best[1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 60))
def test_it_is_the_penalised_optimum(seed: int, n: int) -> None:
    draw = np.random.default_rng(seed)
    x, y = np.tanh(draw.normal(0.3, 1, n)), draw.choice([0.0, 0.25, 0.5, 1.0], n)
    found = stats.share_at_zero(y, x, [str(at) for at in range(n)], resamples=10)
    if 0 < y.mean() < 1:
        share, slope = theirs(y, x)
        assert found.share.value == pytest.approx(share, abs=2e-5)
        assert found.slope == pytest.approx(slope, abs=2e-4)
    else:
        assert found.share.value == y.mean()


def test_length_that_explains_everything_is_taken_out() -> None:
    """The judge has log-odds 2 · length and nothing else; the student is longer in most pairs."""
    draw = np.random.default_rng(1)
    x = np.tanh(draw.normal(0.8, 1, 1500))
    y = (draw.random(1500) < scipy.special.expit(2 * x)).astype(float)
    found = stats.share_at_zero(y, x, [str(at) for at in range(1500)], resamples=400)
    assert y.mean() > 0.62
    assert found.share.low is not None
    assert found.share.high is not None
    assert found.share.low < 0.5 < found.share.high
    assert found.slope == pytest.approx(2, abs=0.35)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    truth, hits, runs = float(scipy.special.expit(0.4)), 0, 120
    for seed in range(runs):
        draw = np.random.default_rng(seed)
        x = np.tanh(draw.normal(0, 1, 80))
        y = (draw.random(80) < scipy.special.expit(0.4 + 1.0 * x)).astype(float)
        share = stats.share_at_zero(y, x, [str(at) for at in range(80)], resamples=300, seed=seed).share
        assert share.low is not None
        assert share.high is not None
        hits += share.low <= truth <= share.high
    assert hits / runs > 0.88  # 95 % nominal; three standard errors of 120 runs are 6 points


def test_sides_are_alike() -> None:
    draw = np.random.default_rng(3)
    x, y = np.tanh(draw.normal(0.5, 1, 50)), draw.choice([0.0, 0.5, 1.0], 50)
    prompts = [str(at // 2) for at in range(50)]
    one, other = stats.share_at_zero(y, x, prompts), stats.share_at_zero(1 - y, -x, prompts)
    assert one.share.value == pytest.approx(1 - other.share.value)
    assert one.slope == pytest.approx(other.slope)
    assert one.share.n == 25


def test_what_cannot_be_fitted() -> None:
    apart = stats.share_at_zero([0, 0, 1, 1], [-1, -0.5, 0.5, 1], list("abcd"), resamples=50)
    assert np.isfinite(apart.slope)
    assert apart.share.value == pytest.approx(0.5, abs=1e-6)
    assert stats.share_at_zero([1, 1], [0.1, 0.2], ["a", "b"]).share.value == 1
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        stats.share_at_zero([2, 1], [0.1, 0.2], ["a", "b"])
    with pytest.raises(ValueError, match="one number a unit"):
        stats.share_at_zero([1], [0.1, 0.2], ["a", "b"])
