"""Agreement of raters against published examples, by hand, and at the edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill import stats

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: four observers, twelve units, gaps.
GAP = math.nan
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, GAP, GAP, GAP],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, GAP, 3],
        [GAP, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, GAP],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, GAP],
    ]
).T
UNITS = [f"u{at}" for at in range(12)]


@pytest.mark.parametrize(("metric", "published"), [("nominal", 0.743), ("interval", 0.849)])
def test_alpha_is_krippendorffs_own_example(metric: "stats.agreement.Metric", published: float) -> None:
    found = stats.krippendorff_alpha(OBSERVERS, UNITS, metric=metric)
    assert found is not None
    assert found.value == pytest.approx(published, abs=5e-4)
    assert found.n == 11  # the last unit has one rating
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_kappa_of_a_table_by_hand() -> None:
    # 20 both yes, 5 and 10 on one side, 15 both no: p_o = 0.7, p_e = 0.5, kappa = 0.4.
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    found = stats.cohen_kappa(first, second, [str(at) for at in range(50)])
    assert found is not None
    assert found.value == pytest.approx(0.4)
    # The standard error of Fleiss, Cohen & Everitt 1969 is 0.127 here; the bootstrap must be near it.
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(0.127, rel=0.15)


def test_prompts_are_resampled_whole() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.integers(0, 2, 30), draw.integers(0, 2, 30)
    alone = stats.cohen_kappa(first, second, [str(at) for at in range(30)])
    tenfold = stats.cohen_kappa(np.tile(first, 10), np.tile(second, 10), [str(at) for at in range(30)] * 10)
    assert tenfold == alone  # ten copies of a prompt's rating are no new prompt


def test_raters_who_never_differ_are_not_certain() -> None:
    same = [0, 1] * 15
    prompts = [str(at) for at in range(30)]
    for found in (
        stats.cohen_kappa(same, same, prompts),
        stats.krippendorff_alpha(np.array([same, same]).T, prompts),
        stats.krippendorff_alpha(np.array([same, same]).T, prompts, metric="interval"),
    ):
        assert found is not None
        assert found.value == found.high == 1
        assert found.low is not None
        assert 0.7 < found.low < 0.8  # 1 - 0.116 / ½


def test_without_variety_there_is_no_agreement_beyond_chance() -> None:
    prompts = ["a", "b", "c"]
    assert stats.cohen_kappa([1, 1, 1], [1, 1, 1], prompts) is None
    assert stats.krippendorff_alpha([[1, 1], [1, 1], [1, 1]], prompts) is None
    assert stats.krippendorff_alpha([[1, 1], [1, math.nan], [math.nan, 2]], prompts) is None
    with pytest.raises(ValueError, match="one each"):
        stats.cohen_kappa([1], [1, 2], prompts)
    with pytest.raises(ValueError, match="units by raters"):
        stats.krippendorff_alpha([1, 2, 3], prompts)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=40))
def test_kappa_and_alpha_lie_below_1_and_do_not_mind_the_order_of_raters(pairs: list[tuple[int, int]]) -> None:
    first, second = (list(one) for one in zip(*pairs, strict=True))
    prompts = [str(at) for at in range(len(pairs))]
    found = stats.cohen_kappa(first, second, prompts, resamples=50)
    turned = stats.cohen_kappa(second, first, prompts, resamples=50)
    assert (found is None) == (turned is None)
    if found is not None and turned is not None:
        assert found.value == pytest.approx(turned.value)
        assert found.value <= 1
    alpha = stats.krippendorff_alpha(pairs, prompts, resamples=50)
    assert alpha is None or alpha.value <= 1
