"""The test of a group against the rest: against scipy, by its level, and where there is no spread."""

import numpy as np
import pytest
import scipy.stats

from potstill import stats


def welch(one: np.ndarray, other: np.ndarray, axis: int = -1) -> np.ndarray:
    found: np.ndarray = np.abs(scipy.stats.ttest_ind(one, other, equal_var=False, axis=axis).statistic)
    return found


def test_it_is_the_permutation_test_of_welchs_statistic() -> None:
    draw = np.random.default_rng(1)
    values = np.concatenate([draw.normal(0.7, 2, 30), draw.normal(0, 1, 70)])
    members = np.stack([np.arange(100) < 30, np.arange(100) % 2 == 0], axis=1)
    ours = stats.differs_from_rest(values, members, permutations=20_000)
    for group, p_value in zip(members.T, ours, strict=True):
        theirs = scipy.stats.permutation_test(
            (values[group], values[~group]), welch, n_resamples=5000, alternative="greater", vectorized=True, rng=2
        ).pvalue
        assert p_value == pytest.approx(theirs, abs=0.02)
    alone = stats.differs_from_rest(values, members[:, :1], permutations=20_000)
    assert alone[0] == ours[0]


def test_tokens_are_weighed_by_their_prompts() -> None:
    """Ratios of sums: a group of long answers with the same share differs in nothing."""
    draw = np.random.default_rng(3)
    counts = np.where(np.arange(120) < 40, 60, 5)
    sums = draw.binomial(counts, 0.5)
    members = (np.arange(120) < 40)[:, None]
    assert stats.differs_from_rest(sums, members, counts)[0] > 0.05
    assert stats.differs_from_rest(sums, members)[0] == pytest.approx(1 / 10_001)  # by prompt it would


def test_it_keeps_its_level_where_spreads_differ() -> None:
    """A small group that spreads more: the plain difference would be called one far too often."""
    draw, hits, rounds = np.random.default_rng(4), 0, 200
    members = (np.arange(150) < 30)[:, None]
    for _ in range(rounds):
        values = np.concatenate([draw.normal(0, 3, 30), draw.normal(0, 1, 120)])
        hits += stats.differs_from_rest(values, members, permutations=199)[0] <= 0.05
    low = stats.clopper_pearson(hits, rounds).low
    assert low is not None
    assert low <= 0.05


def test_without_spread_any_difference_is_the_most_there_can_be() -> None:
    members = (np.arange(80) < 40)[:, None]
    assert stats.differs_from_rest(np.arange(80) < 40, members)[0] == pytest.approx(1 / 10_001)
    assert stats.differs_from_rest(np.full(80, 0.1), members)[0] == 1
    assert stats.differs_from_rest(np.arange(80) < 40, np.ones((80, 1)))[0] == 1  # there is no rest
    assert stats.differs_from_rest(np.full(80, 0.3) * 7, members, np.full(80, 7))[0] == 1


@pytest.mark.parametrize(
    ("sums", "members", "counts"),
    [
        ([1.0, 2.0], [[1.0]], None),
        ([1.0], [[1.0]], [0.0]),
        ([float("nan")], [[1.0]], None),
        ([], np.zeros((0, 1)), None),
    ],
)
def test_what_is_no_group_is_refused(sums: list[float], members: list[list[float]], counts: list[float] | None) -> None:
    with pytest.raises(ValueError, match="prompt"):
        stats.differs_from_rest(sums, members, counts)
