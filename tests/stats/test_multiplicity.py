"""Adjusted p-values against scipy, against a published table, and by what they promise."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from potstill import stats

# Benjamini & Hochberg 1995, section 3.2: fifteen p-values of a trial on thrombolysis. At 5 % Bonferroni and Holm find
# three, their own procedure four.
THROMBOLYSIS = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
    1.0000,
]  # fmt: skip


def test_the_published_example() -> None:
    assert int((stats.benjamini_hochberg(THROMBOLYSIS) <= 0.05).sum()) == 4
    assert int((stats.holm(THROMBOLYSIS) <= 0.05).sum()) == 3


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_is_scipys(p_values: list[float]) -> None:
    np.testing.assert_allclose(stats.benjamini_hochberg(p_values), scipy.stats.false_discovery_control(p_values))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.5))
def test_holm_finds_what_stepping_down_finds(p_values: list[float], level: float) -> None:
    """Holm 1979: from the smallest on, while p ≤ level / (tests left)."""
    order, m = np.argsort(p_values, kind="stable"), len(p_values)
    found = np.zeros(m, bool)
    for step, at in enumerate(order):
        if p_values[at] * (m - step) > level:
            break
        found[at] = True
    assert ((stats.holm(p_values) <= level) == found).all()


def test_edges() -> None:
    assert stats.holm([]).size == stats.benjamini_hochberg([]).size == 0
    np.testing.assert_allclose(stats.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    for wrong in ([1.1], [-0.1], [float("nan")], [[0.1]]):
        with pytest.raises(ValueError, match="from 0 to 1"):
            stats.holm(wrong)


def test_simultaneous_intervals_hold_together() -> None:
    """Twenty means of a hundred normal values: all twenty truths are inside in about 95 % of the trials."""
    draw = np.random.default_rng(3)
    values = draw.normal(size=(2000, 20, 100))
    means, errors = values.mean(-1), values.std(-1, ddof=1) / 10
    covered = 0
    for row, error in zip(means, errors, strict=True):
        ends = [stats.Interval(m, m - 1.96 * e, m + 1.96 * e, 100) for m, e in zip(row, error, strict=True)]
        wide = [stats.simultaneous(one, 20) for one in ends]
        covered += all(one.low <= 0 <= one.high for one in wide if one.low is not None and one.high is not None)
    assert covered / 2000 > 0.93


def test_simultaneous_keeps_value_skew_and_sign() -> None:
    alone = stats.Interval(0.5, 0.4, 0.7, 50)
    assert stats.simultaneous(alone, 1) == stats.Interval(0.5, pytest.approx(0.4), pytest.approx(0.7), 50)
    wide = stats.simultaneous(alone, 10)
    wider = scipy.stats.norm.ppf(1 - 0.025 / 10) / scipy.stats.norm.ppf(0.975)
    assert (wide.low, wide.high) == pytest.approx((0.5 - wider * 0.1, 0.5 + wider * 0.2))
    assert stats.simultaneous(stats.Interval(0.1, 0.0, 0.3, 50), 10).low == 0
    below = stats.simultaneous(stats.Interval(-0.1, -0.3, 0.3, 50), 10).low
    assert below is not None
    assert below < -0.3
    assert stats.simultaneous(stats.Interval(0.1, None, None, 1), 10).low is None
    with pytest.raises(ValueError, match="family of 0"):
        stats.simultaneous(alone, 0)
