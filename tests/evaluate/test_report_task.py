"""The report's section on the task: what was compared, each model's figures, and retention; hostile names stay text."""

import re
from pathlib import Path
from typing import Any

import pytest
from sample_run import HOSTILE, sample_evaluation, write_sample_run
from test_report import Outline

from potstill.evaluate import plots
from potstill.evaluate.report import write_report
from potstill.evaluate.summary import figure_title, format_threshold, format_value, summary_lines


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes the time, and is tested elsewhere."""
    monkeypatch.setattr(plots, "_render", lambda name, draw, height_px: {"wide": "<svg/>", "narrow": "<svg/>"})


def with_task(graded: int = 60) -> dict[str, Any]:
    """A made-up evaluation with a task."""

    def figure(value: float, low: float | None, high: float | None) -> dict[str, Any]:
        return {"value": value, "low": low, "high": high, "n": graded, "unit": ""}

    evaluation = sample_evaluation()
    evaluation["figures"] |= {
        "accuracy": figure(0.868, 0.772, 0.931),
        "teacher.accuracy": figure(0.883, 0.79, 0.943),
        "initial_student.accuracy": figure(0.017, 0.003, 0.08),
        "retention.accuracy": figure(0.983, 0.921, 1.041),
        "politeness": figure(3.25, 3.0, 3.5),
        "teacher.politeness": figure(0, 0, 0.2),
    }
    evaluation["task"] = {
        "metrics": {"accuracy": {"low": 0, "high": 1}, "politeness": {"low": 0, "high": 5}},
        "references": {
            "file": "test.csv", "rows": 3080, "unmatched_rows": 3017, "prompts": 70, "with_reference": 63,
            "graded": graded,
        },
        "labels": {"count": 77, "teacher": "named", "teacher_unnamed": 4},
    }  # fmt: skip
    for example in evaluation["examples"]:
        example["reference"] = f"the truth about {example['prompt']}"
    return evaluation


def shown(folder: Path, evaluation: dict[str, Any]) -> str:
    page = write_report(write_sample_run(folder, evaluation)).read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", Outline(page.replace("<", " <")).text)  # cells stand apart


def test_every_part_is_told(tmp_path: Path) -> None:
    text = shown(tmp_path, with_task())
    for words in (
        "Answers to 60 of 70 held-out prompts are compared with the references in test.csv.",
        "3 prompts with a reference counted for no model, because the teacher has no usable answer there.",
        "Each of 77 labels was scored as the whole answer", "4 of its answers name none, which counts as wrong",
        "Metric Teacher Student Initial student Retention Prompts",
        "88.3 % 79.0 to 94.3 % 86.8 % 77.2 to 93.1 % 1.7 % 0.3 to 8.0 % 98.3 % 92.1 to 104.1 % 60",
        "Politeness A function of the recipe's own, from 0.00 to 5.00; more is better. 0.00 0.00 to 0.20",
        "3.25 3.00 to 3.50 not measured none the teacher scores 0 60",
        "Reference the truth about What is a mortgage?",
    ):  # fmt: skip
        assert words in text, words
    assert "Nothing can be concluded about the task" not in text


def test_baselines_without_a_language_model_have_a_column(tmp_path: Path) -> None:
    evaluation = with_task()
    for name, value in (("majority", 0.02), ("tfidf", 0.81)):
        evaluation["figures"][f"{name}.accuracy"] = {"value": value, "low": None, "high": None, "n": 60, "unit": ""}
    evaluation["task"]["closed_set"] = {"answers": 900, "named": 890}
    text = shown(tmp_path, evaluation)
    for words in (
        "Both learned from the 890 of the teacher's 900 training answers that name one label.",
        "Initial student The most frequent label TF-IDF with logistic regression Retention",
        "1.7 % 0.3 to 8.0 % 2.0 % 81.0 % 98.3 %",
    ):
        assert words in text, words
    assert figure_title("tfidf.accuracy") == "accuracy of TF-IDF with logistic regression"


def test_few_prompts_are_said_loudly(tmp_path: Path) -> None:
    text = shown(tmp_path, with_task(graded=19))
    assert "Nothing can be concluded about the task: it was measured on 19 held-out prompts" in text


def test_without_a_task_the_page_has_no_section(tmp_path: Path) -> None:
    text = shown(tmp_path, sample_evaluation() | {"slices": []})  # which the made-up run has by a metric
    assert "references" not in text
    assert "Retention" not in text


@pytest.mark.parametrize("value", [None, "text", [], {}, {"metrics": {HOSTILE: None}}, {"metrics": {"accuracy": 7}}])
def test_any_part_may_be_missing_or_of_another_kind(tmp_path: Path, value: Any) -> None:
    page = write_report(write_sample_run(tmp_path, with_task() | {"task": value})).read_text(encoding="utf-8")
    assert {tag for tag, _ in Outline(page).tags}.isdisjoint({"script", "img"})


def test_figures_in_words() -> None:
    assert figure_title("retention.token_f1") == "retention of token F1"
    assert figure_title("teacher.reference_chrf") == "chrF against references of teacher"
    assert format_value("retention.politeness", 0.9731) == "97.3 %"
    assert format_threshold("retention.bleu", 0.97) == "97 %"
    assert format_value("politeness", 3.257) == "3.26"
    lines = summary_lines(with_task())
    assert [line.split("  ")[1] for line in lines if "ccuracy" in line] == ["accuracy", "retention of accuracy"]


def test_a_condition_on_retention_is_counted_in_prompts(tmp_path: Path) -> None:
    evaluation = with_task()
    evaluation["decision"]["conditions"] = [
        {"figure": "retention.accuracy", "operator": ">=", "threshold": 0.97, "value": 0.983, "low": 0.921,
         "high": 1.041, "met": "undecided", "needed_n": 2100}
    ]  # fmt: skip
    assert "Retention of accuracy ≥ 97 % 98.30 % 92.10 to 104.10 % ? undecided needs about 2,100 prompts" in shown(
        tmp_path, evaluation
    )


def test_the_page_goes_from_the_decision_down_to_how_it_came_to_be(tmp_path: Path) -> None:
    folder = write_sample_run(tmp_path, with_task())
    (folder / "screening.json").write_text('{"used": {"train": 1, "holdout": 1}, "reasons": {}}', encoding="utf-8")
    page = write_report(folder).read_text(encoding="utf-8")
    order = ["conditions", "quality", "models", "costs", "figures", "task", "slices", "examples", "training", "data",
             "screening", "terms", "reproduce", "limits"]  # fmt: skip
    assert [name for name in re.findall(r'<h2 id="(\w+)"', page) if name in order] == order
    assert page.index('class="word"') < page.index('<h2 id="conditions"')
