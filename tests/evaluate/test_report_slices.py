"""The report's section on slices: the worst first, in words, with what was tested and what was not."""

import json
import re
from pathlib import Path
from typing import Any

from sample_run import HOSTILE, sample_evaluation

from potstill.evaluate.report import write_report
from potstill.evaluate.reporting.slices import slice_section


def entry(name: str, figure: str = "accuracy", **given: Any) -> dict[str, Any]:
    usual = {
        "dimension": "label", "name": name, "figure": figure, "value": 0.8, "low": 0.7, "high": 0.9, "n": 40,
        "unit": "0 to 1", "rest": 0.85, "small": False, "tested": None, "p_value": None, "p_adjusted": None,
        "against_rest": None,
    }  # fmt: skip
    return usual | given


def against(name: str, word: str, p_value: float, **given: Any) -> dict[str, Any]:
    return entry(name, p_value=p_value / 3, p_adjusted=p_value, against_rest=word, **given)


def section(folder: Path, slices: Any) -> str:
    return part(folder, "slices", slices)


def part(folder: Path, name: str, value: Any) -> str:
    """One section of a report in which nothing has to be drawn."""
    (folder / "evaluation.json").write_text(json.dumps({name: value}), encoding="utf-8")
    html = write_report(folder).read_text(encoding="utf-8")
    found = re.search(f'<section aria-labelledby="{name}">.*?</section>', html, re.DOTALL)
    return found.group() if found else ""


def test_the_worst_slices_come_first_and_are_named(tmp_path: Path) -> None:
    slices = [
        against("fine", "no difference shown", 1.0), against("well", "better", 0.02), entry("rare", n=12, small=True),
        against("bad", "worse", 0.03, value=0.2, low=0.1, high=0.3), against("worst", "worse", 0.0004),
        entry("worst", "teacher.accuracy", value=0.95, low=0.9, high=0.99),
        entry("worst", "retention.accuracy", value=0.42, low=0.3, high=0.5),
    ]  # fmt: skip
    html = section(tmp_path, slices)
    assert re.findall('<th scope="row" class="name">([a-z]+)', html) == ["worst", "bad", "fine", "well", "rare"]
    assert "5 slices, of which 4 had prompts enough to be set against the rest. The student does worse on" in html
    assert "“worst”, “bad”." in html
    assert (
        '<span class="missed">worse</span><span class="interval">rest 85.0 %, p &lt; 0.001</span>'.replace(
            " %", "\xa0%"
        ).replace("p &lt; ", "p\xa0&lt;\xa0")
        in html
    )
    assert '<span class="muted">too few prompts</span>' in html
    for shown in ("95.0 %", "42.0 %", "30.0 to 50.0 %", "Retention", "10.0 to 30.0 %", "loses against the teacher"):
        assert shown in html
    assert html.count('scope="col"') == 6


def test_without_references_there_are_no_columns_for_them(tmp_path: Path) -> None:
    html = section(tmp_path, [against("a", "no difference shown", 0.5, figure="top1_agreement")])
    assert "Retention" not in html
    assert "None is shown to do worse." in html
    assert html.count('scope="col"') == 4


def test_many_slices_are_folded_away(tmp_path: Path) -> None:
    many = [against(f"s{at}", "worse" if at < 10 else "no difference shown", 0.01) for at in range(40)]
    html = section(tmp_path, many)
    assert "30 more</summary>" in html
    assert "and 4 more." in html


def test_slices_of_earlier_runs_are_shown(tmp_path: Path) -> None:
    old = {"name": HOSTILE, "figure": "top1_agreement", "value": 0.66, "low": 0.63, "high": 0.69, "n": 31}
    html = section(tmp_path, [old, {"name": None, "figure": None}])
    assert "66.0 %" in html
    assert "<script" not in html
    assert "nothing can be concluded about any" in html


def test_a_run_without_slices_has_no_section(tmp_path: Path) -> None:
    for nothing in ([], None, "x", [1]):
        assert slice_section({"slices": nothing}) is None
        assert section(tmp_path, nothing) == ""


def test_the_worst_answers_are_shown_as_picked(tmp_path: Path) -> None:
    def shown(worst: Any) -> str:
        return part(tmp_path, "worst", worst)

    usual = sample_evaluation()["worst"]
    html = shown(usual)
    assert "Picked: the answers to held-out prompts on which it scores furthest below the teacher" in html
    assert "What is an annuity?" in html
    assert "Token F1 12.5 %, teacher 100.0 %" in html
    assert "<h3>Reference</h3>" in html
    assert "<script>fetch" not in html
    assert "2 more</summary>" in shown({"by": "kl_nats", "examples": usual["examples"] * 5})
    for nothing in (None, {}, {"by": "task", "examples": []}, {"examples": 3}):
        assert shown(nothing) == ""
