"""Intervals against scipy, against known coverage, and at their edges."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill import stats


def prompts(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Skewed per-prompt sums (like divergences) and token counts, with a mean of 0.8 a token."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(5, 60, n).astype(float)
    return draw.gamma(2, 0.4, n) * counts, counts


def test_cluster_mean_is_scipys_bca_on_pairs() -> None:
    sums, counts = prompts(60, 0)
    ours = stats.cluster_mean(sums, counts, resamples=20_000)

    def ratio(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return a.sum(axis) / b.sum(axis)

    theirs = scipy.stats.bootstrap(
        (sums, counts), ratio, paired=True, vectorized=True, n_resamples=20_000, batch=1000, method="BCa", rng=1
    ).confidence_interval
    assert ours.value == pytest.approx(sums.sum() / counts.sum())
    assert ours.n == 60
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_plain_mean_is_scipys_bca() -> None:
    values = np.random.default_rng(3).gamma(2, 1, 40)
    ours = stats.cluster_mean(values, resamples=20_000)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=20_000, batch=1000, rng=1).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.02)


def test_a_statistic_of_sums_is_the_ratio_where_it_is_one() -> None:
    sums, counts = prompts(60, 0)
    found = stats.statistic_of_sums(np.column_stack([sums, counts]), lambda rows: rows[:, 0] / rows[:, 1], seed=4)
    expected = stats.ratio_of_sums(sums, counts, seed=4)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert found.n == 60


def test_a_statistic_that_a_resample_may_lack_has_no_ends() -> None:
    columns = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    found = stats.statistic_of_sums(columns, lambda rows: rows[:, 0] / rows[:, 1])
    assert (found.value, found.low, found.high, found.n) == (1, None, None, 3)
    assert stats.statistic_of_sums([[2.0]], lambda rows: rows[:, 0]) == stats.Interval(2, None, None, 1)
    for wrong in ([1.0], [], [[np.nan]]):
        with pytest.raises(ValueError, match="one row a prompt"):
            stats.statistic_of_sums(wrong, lambda rows: rows[:, 0])


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(300):
        sums, counts = prompts(60, seed)
        interval = stats.cluster_mean(sums, counts, resamples=400, seed=seed)
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 0.8 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


def test_tokens_of_a_prompt_stay_together() -> None:
    """Copies of one prompt's tokens add no evidence: with 30 tokens a prompt the interval is as with one."""
    values = np.random.default_rng(0).random(50)
    single = stats.cluster_mean(values)
    many = stats.cluster_mean(30 * values, np.full(50, 30.0))
    assert (many.low, many.high) == pytest.approx((single.low, single.high))


def test_same_seed_same_interval_and_other_seed_another() -> None:
    sums, counts = prompts(30, 1)
    assert stats.cluster_mean(sums, counts, seed=5) == stats.cluster_mean(sums, counts, seed=5)
    assert stats.cluster_mean(sums, counts, seed=5) != stats.cluster_mean(sums, counts, seed=6)


def test_many_prompts_are_resampled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sums, counts = prompts(50, 2)
    whole = stats.cluster_mean(sums, counts)
    monkeypatch.setattr(stats.intervals, "_ENTRIES_AT_ONCE", 170)
    assert stats.cluster_mean(sums, counts) == whole


def test_paired_difference_is_narrower_than_either_part() -> None:
    student, counts = prompts(60, 4)
    initial = student + 0.3 * counts + np.random.default_rng(5).normal(0, 0.01, 60)
    difference, part = stats.cluster_mean(initial - student, counts), stats.cluster_mean(student, counts)
    assert difference.value == pytest.approx(0.3, abs=0.01)
    assert difference.high - difference.low < 0.1 * (part.high - part.low)


def test_ratio_of_sums_is_the_quotient_with_its_interval() -> None:
    tops, bottoms = np.array([3.0, 4, 5, 6]), np.array([4.0, 4, 8, 8])
    found = stats.ratio_of_sums(tops, bottoms)
    assert found.value == pytest.approx(0.75)
    assert found.low <= 0.75 <= found.high


def test_exponential_carries_an_interval_over() -> None:
    logs = np.random.default_rng(0).normal(0.5, 0.2, 40)
    plain = stats.cluster_mean(logs)
    ratio = stats.exponential(plain)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx(
        tuple(map(math.exp, (plain.value, plain.low, plain.high)))
    )
    assert stats.exponential(stats.Interval(0.0, None, None, 1)) == stats.Interval(1.0, None, None, 1)


def test_one_prompt_has_no_interval() -> None:
    assert stats.cluster_mean([3.0], [4.0]) == stats.Interval(0.75, None, None, 1)


def test_prompts_without_tokens_are_left_out() -> None:
    assert stats.cluster_mean([3.0, 0, 2], [4.0, 0, 4]).n == 2


def test_perfect_share_gets_wilsons_interval_and_not_width_zero() -> None:
    found = stats.cluster_mean([5.0] * 25, [5.0] * 25, share=True)
    assert found == stats.wilson(25, 25)
    assert found.low < 0.9
    assert stats.cluster_mean([5.0] * 25, [5.0] * 25).low == 1.0


def test_denominator_that_can_vanish_has_no_interval() -> None:
    assert stats.ratio_of_sums([1.0, 1.0], [0.0, 2.0]).low is None


@pytest.mark.parametrize(
    ("sums", "counts"),
    [([1.0], [1.0, 2.0]), ([1.0], [-1.0]), ([1.0], [0.0]), ([math.nan], [1.0]), ([], []), ([[1.0]], [[1.0]])],
)
def test_what_is_no_sample_is_refused(sums: list[float], counts: list[float]) -> None:
    with pytest.raises(ValueError, match=r"sums|counts|counted"):
        stats.cluster_mean(sums, counts)


@pytest.mark.parametrize("n", [6, 7, 12, 30, 101])
def test_median_ratio_is_scipys_order_statistic_interval(n: int) -> None:
    draw = np.random.default_rng(n)
    teacher, student = draw.gamma(20, 1, n), draw.gamma(20, 0.6, n)
    found = stats.median_ratio(teacher, student)
    theirs = scipy.stats.quantile_test(teacher / student, p=0.5).confidence_interval(0.95)
    assert found.value == pytest.approx(np.median(teacher / student))
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_median_ratio_of_few_pairs_is_students_t_on_logarithms(n: int) -> None:
    ratios = np.exp(np.random.default_rng(n).normal(0.5, 0.05, n))
    found = stats.median_ratio(ratios, np.ones(n))
    theirs = scipy.stats.ttest_1samp(np.log(ratios), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(theirs.low), math.exp(theirs.high)), rel=1e-6)
    assert found.low <= found.value <= found.high


def test_one_interrupted_timing_moves_neither_median_nor_ends() -> None:
    teacher, student = np.linspace(1.9, 2.1, 12), np.ones(12)
    calm = stats.median_ratio(teacher, student)
    student[11] = 0.01
    assert stats.median_ratio(teacher, student) == calm


@pytest.mark.parametrize(("tops", "bottoms"), [([1.0], [1.0, 2.0]), ([], []), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_what_is_no_timing_is_refused(tops: list[float], bottoms: list[float]) -> None:
    with pytest.raises(ValueError, match="timings"):
        stats.median_ratio(tops, bottoms)


@given(n=st.integers(1, 400), data=st.data())
@settings(max_examples=50, deadline=None)
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    found = stats.wilson(successes, n)
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilson_refuses_what_is_no_proportion() -> None:
    with pytest.raises(ValueError, match="no proportion"):
        stats.wilson(3, 2)


def test_needed_n_is_the_size_of_a_z_test() -> None:
    # 0.62 ± 0.05 from 60 prompts, 0.60 asked: error 0.0255, so ((1.96 + 0.842) · 0.0255 / 0.02)² · 60.
    assert stats.needed_n(0.62, 0.57, 0.67, 60, 0.60) == math.ceil(60 * (2.801585 / 1.959964 * 0.05 / 0.02) ** 2)


def test_needed_n_reads_the_end_towards_the_threshold() -> None:
    assert stats.needed_n(0.62, 0.60, 0.80, 60, 0.61) < stats.needed_n(0.62, 0.60, 0.80, 60, 0.63)


def test_needed_n_has_the_power_that_it_promises() -> None:
    value, error, threshold = 0.62, 0.4, 0.60
    half = 1.959964 * error / math.sqrt(60)
    n = stats.needed_n(value, value - half, value + half, 60, threshold)
    means = np.random.default_rng(0).normal(value, error / math.sqrt(n), 20_000)
    assert (means - 1.959964 * error / math.sqrt(n) >= threshold).mean() == pytest.approx(0.8, abs=0.01)


def test_needed_n_where_no_number_decides() -> None:
    assert stats.needed_n(0.60, 0.55, 0.65, 60, 0.60) is None


def test_needed_alike_is_where_clopper_pearson_reaches() -> None:
    """Twenty shares all 1: so many more of their kind bring the lower end to 0.97."""
    low = stats.clopper_pearson(0, 20).high
    needed = stats.needed_alike(1.0, 1 - low, 20, 0.97)
    assert stats.clopper_pearson(0, needed).high <= 0.03 < stats.clopper_pearson(0, needed - 1).high
    assert stats.needed_alike(1.0, 0.9, 20, 1.0) is None
    assert stats.needed_alike(1.0, 1.0, 20, 0.9) is None
    assert stats.needed_alike(1.0, 0.99, 1, 0.0) == 1
