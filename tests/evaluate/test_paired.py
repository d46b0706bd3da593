"""Two students on the same prompts: by hand, against the tests that are taken, and what is not called a change."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from potstill import stats
from potstill.errors import PotstillError
from potstill.evaluate.measures import ByPrompt, Measure
from potstill.evaluate.paired import compare_figures, compare_slices, incomparable, shared, worst_first
from potstill.evaluate.prompt_table import NAME, PromptTable, read_prompt_table, write_prompt_table
from potstill.evaluate.slice_kinds import DIMENSIONS, Slice


def table(measures: dict[str, Measure], labels: list[str] | None = None, first: int = 0) -> PromptTable:
    n = len(next(iter(measures.values())).sums)
    slices: dict[str, Any] = {name: [None] * n for name in DIMENSIONS} | ({"label": labels} if labels else {})
    return PromptTable([f"p{at + first}" for at in range(n)], measures, slices)


def right(values: Any) -> Measure:
    found = np.asarray(values, dtype=np.float64)
    return Measure(found, np.ones(len(found)), "0 to 1", np.ones(len(found)), (0.0, 1.0))


def nats(sums: Any, counts: Any) -> Measure:
    return Measure(np.asarray(sums, float), np.asarray(counts, float), "nats a token", more_is_better=False)


def test_right_and_wrong_answers_are_mcnemars() -> None:
    draw = np.random.default_rng(0)
    before, after = draw.random(80) < 0.6, draw.random(80) < 0.85
    [found] = compare_figures(table({"accuracy": right(before)}), table({"accuracy": right(after)}))
    assert (found.test, found.n, found.dimension) == ("McNemar", 80, None)
    assert found.p_value == stats.mcnemar(int((before & ~after).sum()), int((after & ~before).sum()))
    assert (found.old, found.new) == (before.mean(), after.mean())
    expected = stats.cluster_mean(after.astype(float) - before)
    assert (found.difference, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert found.verdict == "better"


def test_means_over_tokens_are_sign_flipped() -> None:
    draw = np.random.default_rng(1)
    counts = draw.integers(3, 30, 60)
    before = draw.gamma(2, 1, 60) * counts
    after = before * 1.3
    [found] = compare_figures(table({"kl_nats": nats(before, counts)}), table({"kl_nats": nats(after, counts)}))
    assert (found.test, found.verdict) == ("sign flip", "worse")
    assert found.p_value == stats.sign_flip(after - before)
    expected = stats.ratio_of_sums(after - before, counts)
    assert (found.difference, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_other_answers_of_the_teacher_weigh_by_their_own_tokens() -> None:
    """Twice as many tokens with the same mean a token: no change."""
    draw = np.random.default_rng(2)
    counts = draw.integers(5, 9, 50)
    sums = draw.gamma(2, 1, 50)
    [found] = compare_figures(table({"kl_nats": nats(sums, counts)}), table({"kl_nats": nats(2 * sums, 2 * counts)}))
    assert found.difference == pytest.approx(0)
    assert (found.p_value, found.verdict) == (1, "no difference shown")


def test_the_same_student_is_never_certain_to_be_the_same() -> None:
    one = table({"accuracy": right([1] * 50 + [0] * 10)})
    [found] = compare_figures(one, one)
    unseen = stats.clopper_pearson(0, 60).high
    assert (found.difference, found.low, found.high, found.p_value) == (0, -unseen, unseen, 1)


def test_p_values_are_adjusted_over_figures() -> None:
    draw = np.random.default_rng(3)
    before, after = draw.random(60) < 0.5, draw.random(60) < 0.72
    measures = [{name: right(values) for name in ("a", "b", "c")} for values in (before, after)]
    rows = compare_figures(table(measures[0]), table(measures[1]))
    assert [one.p_adjusted for one in rows] == pytest.approx([min(1, 3 * one.p_value) for one in rows])


def test_slices_that_changed_are_found_and_no_others() -> None:
    draw = np.random.default_rng(4)
    labels = [f"label {at}" for at in range(5) for _ in range(40)] + ["few"] * 29
    before = draw.random(229) < 0.8
    after = before.copy()
    after[40:80], after[120:160] = draw.random(40) < 0.1, True
    old, new = table({"accuracy": right(before)}, labels), table({"accuracy": right(after)}, labels)
    rows = compare_slices(old, new, ["accuracy"])
    assert len(rows) == 5  # 29 prompts conclude nothing
    changed = {(one.slice, one.verdict) for one in rows if one.verdict != "no difference shown"}
    assert changed == {("label 1", "worse"), ("label 3", "better")}
    assert [one.slice for one in worst_first(rows)][:2] == ["label 1", "label 3"]
    assert {one.dimension for one in rows} == {"label"}


def test_only_shared_prompts_are_compared_in_their_own_order() -> None:
    old, new = table({"a": right(range(10))}), table({"a": right(range(100, 130))}, first=5)
    one, other = shared(old, new)
    assert one.hashes == other.hashes == [f"p{at}" for at in range(5, 10)]
    assert one.measures["a"].sums.tolist() == [5, 6, 7, 8, 9]
    assert other.measures["a"].sums.tolist() == [100, 101, 102, 103, 104]
    assert compare_figures(one, other) == []  # five prompts


def test_a_figure_of_another_unit_is_not_compared() -> None:
    old, new = table({"kl_nats": nats(range(30), [1] * 30)}), table({"kl_nats": nats(range(30), [1] * 30)})
    new = PromptTable(new.hashes, {"kl_nats": Measure(np.ones(30), np.ones(30), "nats a group")}, new.slices)
    assert compare_figures(old, new) == []
    assert incomparable(old, new) == {"kl_nats": "it is in nats a token in the one and nats a group in the other"}


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    measures = {"accuracy": right([1, 0, 1]), "kl_nats": nats([0.5, 1, 2], [3, 0, 4])}
    scores = ByPrompt(["p", "q", "r"], [""] * 3, np.ones(3, dtype=np.int64), [None] * 3, [None] * 3, measures)
    slices = [
        Slice("tag", "a", np.array([True, False, True])),
        Slice("length", "1 token", np.array([False, True, False])),
    ]
    assert write_prompt_table(tmp_path, scores, slices) == NAME
    found = read_prompt_table(tmp_path)
    assert found is not None
    assert found.hashes == ["p", "q", "r"]
    assert found.slices["tag"] == ["a", None, "a"]
    assert found.slices["label"] == [None] * 3
    for name, one in measures.items():
        other = found.measures[name]
        assert (one.sums.tolist(), one.counts.tolist()) == (other.sums.tolist(), other.counts.tolist())
        assert (one.unit, one.range, one.more_is_better) == (other.unit, other.range, other.more_is_better)
        assert (one.teacher is None) == (other.teacher is None)
    assert not list(tmp_path.glob("*.part"))


def test_no_table_is_none_and_a_damaged_one_is_one_line(tmp_path: Path) -> None:
    assert read_prompt_table(tmp_path) is None
    for content in (b"", b"PAR1" * 9):
        (tmp_path / NAME).write_bytes(content)
        with pytest.raises(PotstillError, match=r"per_prompt\.parquet: not a table of figures by prompt") as caught:
            read_prompt_table(tmp_path)
        assert "\n" not in str(caught.value)
