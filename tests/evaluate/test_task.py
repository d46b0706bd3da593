"""Figures against references: by hand, clustered by prompt, and never surer than the prompts allow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from potstill.answers import Answer
from potstill.config import Evaluate, OwnMetric, Task
from potstill.errors import RecipeError
from potstill.evaluate.decision import decide
from potstill.evaluate.references import Gold, References
from potstill.evaluate.task import Grader
from potstill.rendering import Example
from potstill.stats import clopper_pearson, cluster_mean, ratio_of_sums, wilson


def answers(count: int, samples: int = 1) -> list[Answer]:
    example = Example((1, 2, 3), 1)
    return [
        Answer(f"k{prompt}.{sample}", f"p{prompt}", sample, f"prompt {prompt}", "", example)
        for prompt in range(count)
        for sample in range(samples)
    ]


def grader(golds: dict[str, tuple[str, ...]], given: list[Answer], labels: tuple[str, ...] = (), **task: Any) -> Grader:
    found = {prompt: Gold(texts, f"gold.jsonl:{at + 1}") for at, (prompt, texts) in enumerate(golds.items())}
    references = References(
        found, labels, Path("gold.jsonl"), len(golds), 0, 0, len({one.prompt_hash for one in given})
    )
    return Grader(Task(reference_field="gold", **task), Evaluate(resamples=500), references, given)


def test_each_metric_of_each_model_and_what_is_kept() -> None:
    golds = {f"p{at}": ("yes", "aye") for at in range(40)}  # the last ten prompts have none
    given = answers(50)
    one = grader(golds, given, metrics=("exact_match", "token_f1"))
    teacher = ["yes"] * 35 + ["no"] * 15
    student = ["aye"] * 28 + ["no"] * 12 + ["yes"] * 10
    graded = {"teacher": one.grade(teacher), "student": one.grade(student), "initial_student": one.grade(["no"] * 50)}
    figures = one.figures(graded)
    assert set(figures) == {
        f"{of}{name}"
        for name in ("exact_match", "token_f1")
        for of in ("", "teacher.", "initial_student.", "retention.")
    }
    right = np.arange(40) < 28
    expected = cluster_mean(right, share=True, resamples=500)
    found = figures["exact_match"]
    assert (found.value, found.low, found.high, found.n) == pytest.approx((28 / 40, expected.low, expected.high, 40))
    assert figures["teacher.exact_match"].value == 35 / 40
    assert figures["initial_student.exact_match"].value == 0
    kept = ratio_of_sums(right, np.arange(40) < 35, resamples=500)
    found = figures["retention.exact_match"]
    assert (found.value, found.low, found.high) == pytest.approx((28 / 35, kept.low, kept.high))
    assert found.unit == "student / teacher"


def test_samples_of_one_prompt_are_one_case() -> None:
    golds = {f"p{at}": ("yes",) for at in range(30)}
    single, many = answers(30), answers(30, 4)
    texts = ["yes" if at % 3 else "no" for at in range(30)]
    first = grader(golds, single, metrics=("exact_match",))
    second = grader(golds, many, metrics=("exact_match",))
    alone = first.figures({"teacher": first.grade(["yes"] * 30), "student": first.grade(texts)})
    repeated = [text for text in texts for _ in range(4)]
    fourfold = second.figures({"teacher": second.grade(["yes"] * 120), "student": second.grade(repeated)})
    for name, figure in alone.items():
        assert fourfold[name].n == 30
        assert (figure.low, figure.high) == pytest.approx((fourfold[name].low, fourfold[name].high))


def test_scores_to_100_and_own_ranges(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def signed(answer, reference):\n    return 1 if answer == reference else -1\n")
    own = OwnMetric(function=f"{tmp_path}/own.py:signed", range=(-1, 1))
    one = grader({f"p{at}": ("yes",) for at in range(30)}, answers(30), metrics=("reference_chrf",), functions=(own,))
    graded = {"teacher": one.grade(["yes"] * 30), "student": one.grade(["yes"] * 15 + ["no"] * 15)}
    figures = one.figures(graded)
    assert figures["reference_chrf"].value == pytest.approx(50)
    assert figures["reference_chrf"].unit == "0 to 100"
    assert figures["signed"].value == 0
    assert figures["signed"].unit == "-1 to 1"
    assert "retention.signed" not in figures  # a ratio of what may be negative says nothing
    assert one.facts(None, 0)["functions"].keys() == {"signed"}


def test_where_all_prompts_say_the_same_nothing_is_certain() -> None:
    one = grader({f"p{at}": ("yes",) for at in range(60)}, answers(60), metrics=("exact_match",))
    same = one.grade(["yes"] * 60)
    figures = one.figures({"teacher": same, "student": same})
    assert (figures["exact_match"].low, figures["exact_match"].high) == (wilson(60, 60).low, 1)
    unseen = clopper_pearson(0, 60).high
    assert unseen is not None
    found = figures["retention.exact_match"]
    assert (found.value, found.low, found.high) == pytest.approx((1, 1 - unseen, 1 + unseen))
    assert decide(figures, {"retention.exact_match": ">= 0.97"}, ("exact_match",))["word"] == "inconclusive"
    assert decide(figures, {"retention.exact_match": ">= 0.9"}, ("exact_match",))["word"] == "ship"


def test_a_teacher_that_scores_nothing_leaves_no_retention() -> None:
    one = grader({f"p{at}": ("yes",) for at in range(30)}, answers(30), metrics=("exact_match",))
    figures = one.figures({"teacher": one.grade(["no"] * 30), "student": one.grade(["yes"] * 30)})
    assert "retention.exact_match" not in figures
    decision = decide(figures, {"retention.exact_match": ">= 0.9"}, ("exact_match",))
    assert decision["reason"] == "retention of exact match was not measured"


def test_a_retention_without_an_interval_decides_nothing() -> None:
    """The teacher is right on one prompt of 30: a resample may have none, and then there is no ratio."""
    one = grader({f"p{at}": ("yes",) for at in range(30)}, answers(30), metrics=("exact_match",))
    right = ["yes"] + ["no"] * 29
    figures = one.figures({"teacher": one.grade(right), "student": one.grade(right)})
    assert figures["retention.exact_match"].low is None
    decision = decide(figures, {"retention.exact_match": ">= 0.9"}, ("exact_match",))
    assert decision["reason"] == "retention of exact match is 100.00 %, and its prompts give no interval"
    assert decision["exit_code"] == 5


def test_fewer_than_20_prompts_conclude_nothing() -> None:
    one = grader({f"p{at}": ("yes",) for at in range(19)}, answers(19), metrics=("exact_match",))
    same = one.grade(["yes"] * 19)
    figures = one.figures({"teacher": same, "student": same})
    for name in ("exact_match", "teacher.exact_match", "retention.exact_match"):
        decision = decide(figures, {name: ">= 0.1"}, ("exact_match",))
        assert decision["exit_code"] == 5
        assert "19 held-out prompts, and nothing can be concluded from fewer than 20" in decision["reason"]


def test_labels_by_hand() -> None:
    truth = ["a"] * 20 + ["b"] * 20
    golds = {f"p{at}": (label,) for at, label in enumerate(truth)}
    one = grader(golds, answers(40), ("a", "b", "c"), metrics=("accuracy", "macro_f1"))
    texts = [""] * 40
    student = ["a"] * 15 + ["b"] * 5 + ["b"] * 20
    teacher = [*truth[:39], None]
    figures = one.figures({"teacher": one.grade(texts, teacher), "student": one.grade(texts, student)})
    assert figures["accuracy"].value == 35 / 40
    assert figures["teacher.accuracy"].value == 39 / 40
    ours = (2 * 15 / (2 * 15 + 5) + 2 * 20 / (2 * 20 + 5)) / 2  # of a: 5 misses; of b: 5 false alarms; of c: nothing
    theirs = (1 + 2 * 19 / (2 * 19 + 1)) / 2
    assert figures["macro_f1"].value == pytest.approx(ours)
    assert figures["teacher.macro_f1"].value == pytest.approx(theirs)
    kept = figures["retention.macro_f1"]
    assert kept.value == pytest.approx(ours / theirs)
    assert kept.low is not None
    assert kept.high is not None
    assert kept.low < kept.value < kept.high
    assert one.facts("named", 1)["labels"] == {"count": 3, "teacher": "named", "teacher_unnamed": 1}


def test_of_several_right_labels_any_counts() -> None:
    one = grader({"p0": ("a", "b")}, answers(1), ("a", "b", "c"), metrics=("accuracy",))
    for guess, value in (("a", 1), ("b", 1), ("c", 0), (None, 0)):
        graded = one.grade([""], [guess])
        assert one.figures({"teacher": graded, "student": graded})["accuracy"].value == value


def test_a_function_that_raises_names_the_row(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def score(answer, reference):\n    return int(answer)\n")
    own = OwnMetric(function=f"{tmp_path}/own.py:score")
    one = grader({"p0": ("1",), "p1": ("1",)}, answers(2), functions=(own,))
    with pytest.raises(RecipeError) as caught:
        one.grade(["1", "one"])
    assert str(caught.value).endswith("'one'), on an answer to the prompt of gold.jsonl:2")


def test_references_whose_prompts_have_no_answer_are_one_line() -> None:
    with pytest.raises(RecipeError, match=r"gold\.jsonl: the prompts with a reference have no usable answer"):
        grader({"other": ("yes",)}, answers(3), metrics=("exact_match",))
