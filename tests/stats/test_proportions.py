"""Exact intervals of proportions against scipy, and their coverage."""

import math
from typing import Any

import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from potstill import stats
from potstill.stats.proportions import beta_cdf


@pytest.mark.parametrize(
    ("successes", "n"),
    [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (7, 1000), (1, 3000), (999_000, 1_000_000), (3, 10_000_000)],
)
def test_clopper_pearson_is_scipys(successes: int, n: int) -> None:
    ours = stats.clopper_pearson(successes, n)
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(method="exact")
    assert (ours.value, ours.n) == (successes / n, n)
    assert ours.low == pytest.approx(theirs.low, rel=1e-9, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, rel=1e-9, abs=1e-12)


def test_no_case_of_a_hundred_is_the_textbook_bound() -> None:
    assert stats.clopper_pearson(0, 100).high == pytest.approx(1 - 0.025 ** (1 / 100))


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.5])
def test_clopper_pearson_covers_at_least_95_percent(share: float) -> None:
    n = 60
    covered = 0.0
    for successes in range(n + 1):
        found = stats.clopper_pearson(successes, n)
        assert found.low is not None
        assert found.high is not None
        if found.low <= share <= found.high:
            covered += math.comb(n, successes) * share**successes * (1 - share) ** (n - successes)
    assert covered >= 0.95


@given(st.floats(0, 1, allow_subnormal=False), st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_the_incomplete_beta_function_is_scipys(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(float(scipy.special.betainc(a, b, x)), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("successes", "n"), [(-1, 10), (11, 10), (1.5, 10), (0, 0)])
def test_what_is_no_proportion_is_refused(successes: Any, n: int) -> None:
    with pytest.raises(ValueError, match="is no proportion"):
        stats.clopper_pearson(successes, n)
