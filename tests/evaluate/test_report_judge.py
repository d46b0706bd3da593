"""The report's section on judges: figures, the flag, each judge, and the replies that said nothing."""

from typing import Any

from potstill.evaluate.reporting.judge import judge_section
from potstill.evaluate.summary import figure_title, format_value, summary_lines


def figure(value: float, n: int = 40) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": n, "unit": ""}


def evaluation(**judge: Any) -> dict[str, Any]:
    one = {
        "name": "j", "model": "big-judge", "win_rate": figure(0.4), "replies": 80, "cost_usd": 0.25,
        "orders": {"both_usable": 36, "same": 30, "first_place": 4, "second_place": 1, "half_a_tie": 1},
        "unusable": [{"why": "no verdict in its last line", "replies": 8, "example": "<b>Both</b> are fine"}],
    }  # fmt: skip
    outcomes = {"student": 10, "teacher": 18, "tie": 8, "no_verdict": 4}
    return {
        "figures": {
            "judge.win_rate": figure(0.4), "judge.kappa": figure(0.3), "initial_student.judge.win_rate": figure(0.2),
            "teacher.judge.rubric_score": figure(8), "retention.judge.rubric_score": figure(0.9),
        },
        "judge": {
            "judges": [one], "pairs": 40, "identical": 2, "outcomes": outcomes, "bounds": [0.35, 0.45],
            "length": {"mean_difference": -12.4, "spread": 30.0, "slope": 0.7}, **judge,
        },
        "terms": {"evaluation_judges": [{"name": "j", "kinship": "it is the teacher itself"}]},
    }  # fmt: skip


def test_what_the_judges_said_and_that_one_is_not_independent() -> None:
    found = judge_section(evaluation(), ["initial_student"])
    assert found is not None
    assert "Of 40 pairs the student's answer was better in 10, the teacher's in 18, and 8 were ties" in found["says"]
    assert "4 got no verdict" in found["says"]
    assert found["kin"][0].startswith("j is not independent: it is the teacher itself.")
    assert [row["title"] for row in found["rows"]] == ["Judged win rate", "Agreement of the two judges"]
    assert found["rows"][0]["cells"] == [
        {"value": "40.0 %", "interval": "30.0 to 50.0 %"}, {"value": "20.0 %", "interval": "10.0 to 30.0 %"},
    ]  # fmt: skip
    notes = " ".join(found["notes"])
    assert "Were all of them lost it would be 35.0 %, were all won 45.0 %" in notes
    assert "12 characters shorter on average" in notes
    assert "go with the longer answer: its odds change by a factor of 2.01" in notes
    assert "The teacher's own score is 8.00" in notes
    assert found["judges"][0]["silent"] == "8 of 80"
    assert found["judges"][0]["same"] == "30 of 36"
    assert found["unusable"][0]["replies"] == "8"
    assert found["thin"] is None


def test_what_was_not_measured_is_said() -> None:
    thin = evaluation(
        length={"declined": "12 prompts with a verdict, and a curve takes 20"},
        calibration={"file": "labels.csv", "own_pairs": 3, "declined": "3 labelled prompts", "same_verdict": 0.5},
    )
    thin["figures"]["judge.win_rate"]["n"] = 12
    found = judge_section(thin, [])
    assert found is not None
    assert found["thin"] == "12 held-out prompts"
    notes = " ".join(found["notes"])
    assert "There is no length-controlled win rate: 12 prompts" in notes
    assert "The win rate is not corrected: 3 labelled prompts" in notes
    assert judge_section({"figures": {}}, []) is None
    bare = judge_section({"judge": {"judges": [{"name": "j"}]}}, [])
    assert bare is not None
    assert bare["rows"] == bare["kin"] == bare["unusable"] == []


def test_figures_of_judges_have_names_and_units() -> None:
    assert figure_title("judge.win_rate") == "judged win rate"
    assert figure_title("initial_student.judge.win_rate") == "judged win rate of initial student"
    assert figure_title("retention.judge.rubric_score") == "retention of judged score"
    assert format_value("initial_student.judge.win_rate", 0.25) == "25.0 %"
    assert format_value("judge.rubric_score", 7.5) == "7.50"
    assert format_value("retention.judge.rubric_score", 0.5) == "50.0 %"
    assert format_value("judge.kappa", 0.5) == "0.50"
    assert any("judged win rate" in line for line in summary_lines(evaluation()))
