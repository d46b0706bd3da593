"""Equivalence within a margin: the two one-sided tests, and what an interval cannot say."""

import numpy as np
import pytest
import scipy.stats

from potstill import stats


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.01, 0.01, "equivalent within the margin"),
        (0.005, 0.015, "equivalent within the margin, though different"),
        (0.01, 0.03, "different"),
        (-0.03, 0.01, "undecided"),
        (-0.02, 0.02, "undecided"),  # the margin itself is not within it
    ],
)
def test_the_four_answers(low: float, high: float, words: str) -> None:
    middle = stats.Interval((low + high) / 2, low, high, 50)
    assert stats.within_margin(middle, 0.02).words == words
    ratio = stats.Interval(1 + (low + high) / 2, 1 + low, 1 + high, 50)
    assert stats.within_margin(ratio, 0.02, equal=1.0).words == words


def test_it_is_two_one_sided_tests() -> None:
    """Against t-tests at 2.5 % each way, on data whose interval is Student's."""
    draw = np.random.default_rng(7)
    for _ in range(50):
        values = draw.normal(0.05, 0.3, 30)
        ends = scipy.stats.t.interval(0.95, 29, values.mean(), scipy.stats.sem(values))
        above = scipy.stats.ttest_1samp(values, -0.15, alternative="greater").pvalue
        below = scipy.stats.ttest_1samp(values, 0.15, alternative="less").pvalue
        found = stats.within_margin(stats.Interval(values.mean(), *ends, 30), 0.15)
        assert found.equivalent == (max(above, below) < 0.025)


def test_no_ends_decide_nothing_and_no_margin_is_refused() -> None:
    assert stats.within_margin(stats.Interval(0.0, None, None, 1), 0.1).words == "undecided"
    with pytest.raises(ValueError, match="no room"):
        stats.within_margin(stats.Interval(0.0, -0.1, 0.1, 9), 0.0)
