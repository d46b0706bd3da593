"""What the report tells of a decision besides its conditions: defaults, floors, self-agreement, verdicts."""

from pathlib import Path
from typing import Any

import pytest
from sample_run import HOSTILE
from test_report_task import no_drawing, shown, with_task
from test_slice_floors import FLOOR, GOOD, row

from potstill.evaluate.decision import DEFAULTS
from potstill.evaluate.slice_floors import judge_floor
from potstill.evaluate.summary import figure_title

__all__ = ["no_drawing"]  # a fixture that holds for every test here


def decided(floor: dict[str, Any]) -> dict[str, Any]:
    evaluation = with_task()
    evaluation["decision"] |= {"floors": [floor], "defaults": DEFAULTS}
    return evaluation


def test_floors_and_defaults_are_told(tmp_path: Path) -> None:
    text = shown(tmp_path, decided(judge_floor(FLOOR, [*GOOD, row(f"refund {HOSTILE}", 0.1, 0.02, 0.25)])))
    for words in (
        DEFAULTS, "Retention of accuracy in every slice", "≥ 90 %", "the worst of 5 slices: label refund", "✕ missed",
        "Retention of accuracy is below the 90 % asked of every slice in label refund", "widened to hold together",
    ):  # fmt: skip
        assert words in text, words


def test_floors_alone_and_open_ones(tmp_path: Path) -> None:
    evaluation = decided(judge_floor(FLOOR, [row("thin", 0.95, 0.8, 1.1)]))
    evaluation["decision"]["conditions"] = []
    text = shown(tmp_path, evaluation)
    assert "prompts in it" in text
    assert "asks nothing" not in text
    evaluation = decided(judge_floor(FLOOR, [], only_shown=True))
    assert "≥ 90 %, not shown to be missed not measured none ✓ met" in shown(tmp_path, evaluation)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"how": "sampled", "left_out": 0}, "asked every held-out prompt a second time, with other random numbers."),
        ({"how": "collected", "left_out": 2}, "2 answers of the teacher had no usable second one"),
        ({"how": "reordered", "left_out": 1}, "fields of the prompt in another order. 1 answer of the teacher"),
        ({"how": "by construction", "left_out": 0}, "it agrees with itself fully by construction"),
        ({"how": None, "reason": "nobody could", "left_out": 9}, "The teacher was not asked again: nobody could."),
    ],
)
def test_how_the_teacher_was_asked_again(tmp_path: Path, facts: dict[str, Any], words: str) -> None:
    assert words in shown(tmp_path, with_task() | {"self_agreement": facts})


def test_agreement_is_shown_against_the_teachers_own(tmp_path: Path) -> None:
    def figure(value: float) -> dict[str, Any]:
        return {"value": value, "low": value * 0.9, "high": value * 1.1, "n": 60, "unit": ""}

    evaluation = with_task() | {"self_agreement": {"how": "sampled", "answers": 60, "left_out": 0}}
    evaluation["figures"] |= {
        "teacher.chrf_again": figure(60.0), "chrf_again": figure(54.0), "initial_student.chrf_again": figure(9.0),
        "retention.chrf_again": figure(0.9), "teacher_again.accuracy": figure(0.85),
    }  # fmt: skip
    evaluation["equivalence"] = [
        {"figure": "retention.accuracy", "margin": 0.03, "words": "undecided", "needed_n": 2412},
        {"figure": "retention.chrf_again", "margin": 0.03, "words": "different", "needed_n": None},
    ]
    text = shown(tmp_path, evaluation)
    for words in (
        "Figure Teacher Student Initial student Retention Prompts", "60.0", "54.0", "90.0 %", "different 60",
        "undecided; about 2,412 prompts would show equivalence within ±3 %",
        "Metric Teacher Student Teacher asked again Initial student Retention",
    ):  # fmt: skip
        assert words in text, words


def test_a_report_of_an_earlier_run_says_nothing_of_it(tmp_path: Path) -> None:
    assert "read against the teacher" not in shown(tmp_path, with_task())


def test_titles() -> None:
    assert figure_title("teacher.chrf_again") == "chrF with the teacher asked again of teacher"
    assert figure_title("teacher_again.accuracy") == "accuracy of teacher asked again"
    assert figure_title("retention.chrf_again") == "retention of chrF with the teacher asked again"
