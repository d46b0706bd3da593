"""Tests of paired models against scipy, by enumeration, and by their level."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from potstill import stats
from potstill.stats.comparisons import Alternative


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    n = first + second
    expected = scipy.stats.binomtest(first, n).pvalue if n else 1.0
    assert stats.mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_many_prompts_is_a_number() -> None:
    assert stats.mcnemar(5000, 5200) == pytest.approx(scipy.stats.binomtest(5000, 10_200).pvalue, rel=1e-6)
    assert stats.mcnemar(0, 100_000) == 0.0 or stats.mcnemar(0, 100_000) < 1e-300
    with pytest.raises(ValueError, match="no counts"):
        stats.mcnemar(-1, 2)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_all_sign_flips_are_scipys_exact_test(alternative: Alternative) -> None:
    values = np.random.default_rng(4).normal(0.4, 1, 10)
    theirs = scipy.stats.permutation_test(
        (values,), np.sum, permutation_type="samples", alternative=alternative, n_resamples=np.inf, vectorized=False
    ).pvalue
    assert stats.sign_flip(values, alternative=alternative) == pytest.approx(theirs)


def test_drawn_flips_come_near_the_exact_value_and_are_never_0() -> None:
    values = np.random.default_rng(5).normal(0.3, 1, 40)
    theirs = scipy.stats.ttest_1samp(values, 0).pvalue
    ours = stats.sign_flip(values, permutations=20_000)
    assert ours == pytest.approx(theirs, rel=0.15)
    assert stats.sign_flip(np.ones(40), permutations=999) == 1 / 1000 == stats.smallest_p(40, permutations=999)
    assert stats.sign_flip(values, permutations=2000, seed=1) == stats.sign_flip(values, permutations=2000, seed=1)


def test_equal_models_are_found_different_as_often_as_the_level_says() -> None:
    draw = np.random.default_rng(6)
    found = [stats.sign_flip(draw.normal(0, 1, 12)) <= 0.05 for _ in range(400)]
    assert scipy.stats.binomtest(sum(found), 400, 0.05).pvalue > 0.001


def test_the_smallest_value_is_reached() -> None:
    for n in (1, 3, 6):
        assert stats.sign_flip(np.arange(1, n + 1)) == stats.smallest_p(n) == 2 / 2**n
        assert stats.sign_flip(np.arange(1, n + 1), alternative="greater") == 1 / 2**n
    assert stats.sign_flip([0.0, 0.0]) == 1.0
    for wrong in ([], [[1.0]], [float("nan")]):
        with pytest.raises(ValueError, match="one finite number a prompt"):
            stats.sign_flip(wrong)
    with pytest.raises(ValueError, match="has to be a prompt"):
        stats.smallest_p(0)
