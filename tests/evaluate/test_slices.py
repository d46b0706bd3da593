"""Slices of the held-out prompts: how they are cut, figures by hand, and what is called different."""

from typing import Any

import numpy as np
import pytest

from potstill.answers import Answer
from potstill.config import Evaluate
from potstill.evaluate.by_prompt import by_prompt
from potstill.evaluate.fidelity import Positions
from potstill.evaluate.grading import TaskResult
from potstill.evaluate.measures import ByPrompt, Measure
from potstill.evaluate.slice_kinds import Slice, slices_of
from potstill.evaluate.slices import slice_rows
from potstill.evaluate.task import Graded
from potstill.rendering import Example
from potstill.stats import cluster_mean, ratio_of_sums, wilson

EVALUATE = Evaluate(resamples=300)


def share(right: Any, teacher: Any = None) -> Measure:
    values = np.asarray(right, dtype=np.float64)
    theirs = None if teacher is None else np.asarray(teacher, dtype=np.float64)
    return Measure(values, np.ones(len(values)), "0 to 1", theirs, (0.0, 1.0))


def prompts(n: int, **given: Any) -> ByPrompt:
    nothing = [None] * n
    fields = {
        "hashes": [f"p{at}" for at in range(n)], "texts": [""] * n, "lengths": np.ones(n, dtype=np.int64),
        "tags": nothing, "labels": nothing, "measures": {},
    }  # fmt: skip
    return ByPrompt(**(fields | given))


def sliced(scores: ByPrompt) -> list[dict[str, Any]]:
    return slice_rows(scores, slices_of(scores, 0), EVALUATE)


def row(rows: list[dict[str, Any]], name: str, figure: str) -> dict[str, Any]:
    [found] = [one for one in rows if (one["name"], one["figure"]) == (name, figure)]
    return found


def test_swapped_labels_are_named_and_no_others() -> None:
    """Six labels of 40 prompts each; the student mistakes two of them, the teacher is right nine times of ten."""
    draw = np.random.default_rng(0)
    labels = [f"label {at}" for at in range(6) for _ in range(40)]
    teacher = draw.random(240) < 0.9
    student = np.where(np.isin(labels, ["label 1", "label 4"]), draw.random(240) < 0.05, teacher)
    rows = sliced(prompts(240, labels=labels, measures={"chrf": share(student), "accuracy": share(student, teacher)}))
    worse = {one["name"] for one in rows if one["figure"] == "accuracy" and one["against_rest"] == "worse"}
    assert worse == {"label 1", "label 4"}
    assert row(rows, "label 1", "accuracy")["tested"] == "student - teacher"
    inside = np.array([one == "label 1" for one in labels])
    found = row(rows, "label 1", "retention.accuracy")
    expected = ratio_of_sums(student[inside], teacher[inside], resamples=300)
    assert (found["value"], found["low"], found["high"]) == (expected.value, expected.low, expected.high)
    assert found["rest"] == pytest.approx(student[~inside].sum() / teacher[~inside].sum())
    found = row(rows, "label 0", "teacher.accuracy")
    expected = cluster_mean(teacher[:40], share=True, resamples=300)
    assert (found["value"], found["low"], found["high"], found["n"]) == (
        expected.value, expected.low, expected.high, 40,
    )  # fmt: skip


def test_a_slice_that_is_hard_for_the_teacher_too_is_no_loss() -> None:
    labels = ["hard"] * 60 + ["easy"] * 120
    right = np.array([0] * 50 + [1] * 10 + [1] * 120)
    rows = sliced(prompts(180, labels=labels, measures={"chrf": share(right), "accuracy": share(right, right)}))
    assert row(rows, "hard", "accuracy")["against_rest"] == "no difference shown"
    assert row(rows, "hard", "chrf")["against_rest"] == "worse"


def test_random_slices_are_seldom_called_different() -> None:
    """The family-wise rate: any false finding among 12 tests in at most 5 % of the runs."""
    draw, false, runs = np.random.default_rng(5), 0, 30
    for _ in range(runs):
        labels, tags = draw.choice(["a", "b", "c"], 120), draw.choice(["x", "y", "z"], 120)
        kl = Measure(draw.gamma(1, 1, 120), np.ones(120), "nats a token", more_is_better=False)
        measures = {"top1_agreement": share(draw.random(120) < 0.7), "kl_nats": kl}
        scores = prompts(120, labels=list(labels), tags=list(tags), measures=measures)
        rows = slice_rows(scores, slices_of(scores, 0), EVALUATE, permutations=999)
        false += any(one["against_rest"] in ("worse", "better") for one in rows)
    assert false <= 5  # 30 · 0.05 = 1.5; more than 5 with a chance of 0.3 %


def test_less_is_better_in_some_figures() -> None:
    draw = np.random.default_rng(2)
    far = np.where(np.arange(100) < 40, 3.0, 1.0) + draw.normal(0, 0.1, 100)
    tags = ["far"] * 40 + [None] * 60
    rows = sliced(
        prompts(100, tags=tags, measures={"kl_nats": Measure(far, np.ones(100), "nats", more_is_better=False)})
    )
    found = row(rows, "far", "kl_nats")
    assert (found["against_rest"], found["tested"]) == ("worse", "value")
    assert found["p_adjusted"] == pytest.approx(2 * found["p_value"])
    assert row(rows, "no tag", "kl_nats")["against_rest"] == "better"


def test_small_slices_are_shown_and_not_tested() -> None:
    tags = ["large"] * 100 + ["small"] * 29
    right = np.array([1] * 100 + [0] * 29)
    rows = sliced(prompts(129, tags=tags, measures={"top1_agreement": share(right)}))
    small = row(rows, "small", "top1_agreement")
    assert (small["small"], small["p_value"], small["p_adjusted"], small["against_rest"]) == (True, None, None, None)
    assert small["high"] == wilson(0, 29).high
    assert not row(rows, "large", "top1_agreement")["small"]
    assert row(rows, "large", "top1_agreement")["p_value"] is None  # the rest is too small to set it against


def test_prompts_without_a_reference_count_nowhere() -> None:
    counts = np.array([1.0] * 40 + [0.0] * 40)
    metric = Measure(counts * 0.5, counts, "0 to 1", counts, (0.0, 1.0))
    rows = sliced(prompts(80, tags=["a"] * 50 + ["b"] * 30, measures={"chrf": share([1] * 80), "token_f1": metric}))
    assert row(rows, "a", "token_f1")["n"] == 40
    assert not [one for one in rows if one["name"] == "b" and "token_f1" in one["figure"]]
    assert row(rows, "b", "chrf")["n"] == 30


def test_lengths_are_cut_into_bins_of_enough_prompts() -> None:
    lengths = np.random.default_rng(1).integers(8, 200, 130)
    found = [one for one in slices_of(prompts(130, lengths=lengths), 0) if one.dimension == "length"]
    assert len(found) == 4
    assert sum(one.n for one in found) == 130
    assert all(one.n >= 30 for one in found)
    for one in found:
        low, high = one.name.removesuffix(" tokens").split(" to ")
        assert (int(low), int(high)) == (lengths[one.members].min(), lengths[one.members].max())
    assert not slices_of(prompts(59, lengths=np.arange(59)), 0)
    assert not slices_of(prompts(500), 0)  # all of one length
    [first, second] = slices_of(prompts(90, lengths=np.array([1] * 50 + [7] * 40)), 0)
    assert (first.name, second.name) == ("1 token", "7 tokens")


def test_clusters_take_enough_prompts() -> None:
    texts = ["lost card stolen", "flight hotel trip"] * 70
    found = slices_of(prompts(140, texts=texts), 0)
    assert {(one.dimension, one.n) for one in found} == {("cluster", 70)}
    assert not slices_of(prompts(110, texts=texts[:110]), 0)


def test_a_tag_a_prompt_is_cut_off_at_the_largest() -> None:
    tags = ["often"] * 50 + [f"once {at}" for at in range(300)]
    found = slices_of(prompts(350, tags=tags), 0)
    assert len(found) == 200
    assert found[0].name == "often"


def test_nothing_to_slice_is_no_row() -> None:
    assert slice_rows(prompts(3, measures={"chrf": share([1, 0, 1])}), [], EVALUATE) == []
    one = Slice("tag", "a", np.array([True, False, False]))
    [only] = slice_rows(prompts(3, measures={"chrf": share([1, 0, 1])}), [one], EVALUATE)
    assert (only["value"], only["low"], only["n"]) == (1, None, 1)


def test_values_are_added_up_by_prompt() -> None:
    """Two samples of the first prompt, one of the second; the second has no reference."""
    answers = [
        Answer(f"k{at}", prompt, at, f"text of {prompt}", "", Example((1,) * length, 3), tag)
        for at, (prompt, length, tag) in enumerate([("p", 5, "a"), ("p", 4, "a"), ("q", 6, None)])
    ]
    kl = np.array([0.1, 0.2, 0.3, 1.0, 1.0, 1.0])
    found_positions = Positions(np.array([2, 1, 3]), -kl, -kl, kl, np.array([1.0, 0, 1, 1, 1, 0]), kl / 2)
    graded = {
        "student": Graded({}, np.array([[1.0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 1, 0]])),
        "teacher": Graded({}, np.array([[1.0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])),
    }
    task = TaskResult({}, {}, ["yes", "yes", None], graded, [0, 1], {"macro_f1": (0.0, 1.0)})
    found = by_prompt(answers, found_positions, [50.0, 70.0, 10.0], task)
    assert (found.hashes, found.tags, found.labels) == (("p", "q"), ["a", None], ["yes", None])
    assert found.lengths.tolist() == [3, 3]
    sums = {name: (one.sums.tolist(), one.counts.tolist()) for name, one in found.measures.items()}
    assert sums["kl_nats"] == (pytest.approx([0.6, 3.0]), [3, 3])
    assert sums["top1_agreement"] == ([2, 2], [3, 3])
    assert sums["total_variation"] == (pytest.approx([0.3, 1.5]), [3, 3])
    assert sums["chrf"] == ([120, 10], [2, 1])
    assert sums["accuracy"] == ([1, 0], [2, 0])  # macro-F1 has no value of one answer: right labels stand in
    assert found.measures["accuracy"].loss.tolist() == [1, 0]
    assert found.task_metrics == ["accuracy"]
