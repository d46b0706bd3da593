"""The report's section on costs: what was paid, what is unknown and never 0, and how long each stage took."""

import re
from pathlib import Path
from typing import Any

import pytest
from sample_run import sample_evaluation, write_sample_run

from potstill.evaluate import plots
from potstill.evaluate.report import write_report
from potstill.evaluate.reporting.costs import costs_section, duration

SERVED = {"input_tokens": 1200, "cached_tokens": None, "output_tokens": 90, "reasoning_tokens": 0}


def costs(**data: Any) -> dict[str, Any]:
    return costs_section({"data": data, "seconds": {"prompts": 0.5, "collect": 75.0, "screen": 2.0, "train": 7300.0}})


def paid(found: dict[str, Any]) -> dict[str, str]:
    return {row["title"]: row["paid"] for row in found["rows"]}


def test_a_local_teacher_costs_time() -> None:
    found = costs(cost_usd=None, tokens=None, answers=600)
    assert set(paid(found).values()) == {"nothing"}
    assert [row["seconds"] for row in found["rows"]] == ["0.5 s", "1 min 15 s", "2.0 s", "2 h 1 min"]
    assert found["total"] == {"seconds": "2 h 2 min", "paid": "nothing"}
    assert "no money" in found["says"]


def test_everybody_who_was_paid_is_told_and_added_up() -> None:
    found = costs(cost_usd=2.5, tokens=SERVED, answers=500, judge_cost_usd=0.25, scoring_cost_usd=0.004)
    assert paid(found) == {
        "Preparing the prompts": "nothing", "Asking the teacher": "2.50 USD", "Screening the answers": "0.25 USD",
        "Training, baselines included": "0.004 USD",
    }  # fmt: skip
    assert found["total"]["paid"] == "2.75 USD"
    assert found["rows"][1]["each"] == "5.00 USD for 1,000 answers"
    assert found["tokens"] == "Tokens in 1,200, of which cached unknown; out 90, of which reasoning 0."


@pytest.mark.parametrize("data", [{"tokens": SERVED, "cost_usd": None, "judge_cost_usd": 1.0}, {}])
def test_what_is_unknown_is_not_0(data: dict[str, Any]) -> None:
    found = costs(**data)
    assert paid(found)["Asking the teacher"] == "unknown"
    assert found["total"]["paid"] == "unknown"


@pytest.mark.parametrize(("seconds", "words"), [(None, "not measured"), (59.94, "59.9 s"), (3599.6, "1 h 0 min")])
def test_lengths_of_time(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_it_stands_in_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "_render", lambda name, draw, height_px: {"wide": "<svg/>", "narrow": "<svg/>"})
    evaluation = sample_evaluation()
    evaluation["data"] |= {"cost_usd": 0.125, "answers": 600, "tokens": SERVED}
    page = write_report(write_sample_run(tmp_path, evaluation)).read_text(encoding="utf-8")
    section = re.sub(r"\s+", " ", page[page.index('<h2 id="costs">') : page.index('<h2 id="figures">')])
    assert '<th scope="row">Asking the teacher</th><td>1 min 11 s</td><td>0.125 USD' in section
    assert '<th scope="row">Together</th><td>4 min 55 s</td><td>0.125 USD</td>' in section
    assert page.index('<h2 id="quality">') < page.index('<h2 id="costs">')


def test_quality_is_what_is_kept_of_the_task() -> None:
    figures = sample_evaluation()["figures"] | {
        "accuracy": {"value": 0.9}, "teacher.accuracy": {"value": 0.8, "low": 0.7, "high": 0.9},
        "initial_student.accuracy": {"value": 0.2, "low": 0.1, "high": 0.3},
        "retention.accuracy": {"value": 1.125, "low": 1.0, "high": 1.2}, "retention.macro_f1": {"value": 1.0},
    }  # fmt: skip
    assert plots.quality_figure(figures) == "retention.accuracy"
    assert plots.quality_kept(figures, "retention.accuracy") == (1.125, 1.0, 1.2)
    assert plots.quality_kept(figures, "retention.accuracy", "initial_student") == (0.25, None, None)
    assert plots.quality_kept(figures, "retention.accuracy", "fine_tuning") is None
    drawing = plots.quality_against_speed({"figures": figures})
    assert drawing is not None
    assert "accuracy, teacher = 100 %" in drawing["wide"]


def test_served_judges_of_the_evaluation_are_paid_too() -> None:
    def with_judges(*judges: dict[str, Any]) -> dict[str, Any]:
        data = {"cost_usd": 2.5, "tokens": SERVED, "answers": 500}
        return costs_section({"data": data, "seconds": {"collect": 75.0}, "judge": {"judges": list(judges)}})

    served, here = {"base_url": "https://host/v1", "cost_usd": 0.5}, {"base_url": None, "cost_usd": 0.0}
    found = with_judges(served, served, here)
    assert paid(found)["Asking the judges"] == "1.00 USD"
    assert found["total"]["paid"] == "3.50 USD"
    assert "Asking the judges" not in paid(with_judges(here))
    unknown = with_judges(served, served | {"cost_usd": None})
    assert paid(unknown)["Asking the judges"] == unknown["total"]["paid"] == "unknown"
