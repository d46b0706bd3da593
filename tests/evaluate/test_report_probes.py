"""The report's section on what vanishes first: rows, too few cases, examples with hostile texts, and odd files."""

from pathlib import Path
from typing import Any

import pytest
from sample_run import HOSTILE, sample_evaluation, write_sample_run

from potstill.config.conditions import PROBES as NAMES
from potstill.evaluate.decision import decide
from potstill.evaluate.meanings import PROBES
from potstill.evaluate.probes.found import Pair
from potstill.evaluate.probes.held_out import held_out_probes
from potstill.evaluate.probes.rates import Draws
from potstill.evaluate.report import view_of, write_report
from potstill.evaluate.reporting.probes import probes_section
from potstill.evaluate.summary import figure_title, format_value
from potstill.records import Figure

DRAWS = Draws(100, 0)


def evaluation() -> dict[str, Any]:
    pairs = [Pair(f"a{at}", HOSTILE, "I don't know.", HOSTILE) for at in range(6)]
    pairs += [Pair(f"b{at}", "p", "Which one?", "That one.") for at in range(2)]
    pairs += [Pair(f"c{at}", "p", "A sentence.", "A sentence.") for at in range(12)]
    found = held_out_probes(pairs, {}, 0.05)
    figures = {name: one for probe in found for name, one in probe.figures(DRAWS).items()}
    plain = {name: {"value": one.value, "low": one.low, "high": one.high, "n": one.n} for name, one in figures.items()}
    sample = sample_evaluation()
    facts = [probe.facts(DRAWS) | {"p_holm": 0.0625} for probe in found]
    return sample | {"probes": facts, "figures": sample["figures"] | plain}


def test_every_figure_has_words_and_every_word_a_figure() -> None:
    assert set(PROBES) == set(NAMES)
    assert figure_title("probe.lost_abstention") == "lost abstention"
    assert format_value("probe.lost_abstention", 0.125) == "12.5 %"


def test_rows_of_the_report(tmp_path: Path) -> None:
    page = write_report(write_sample_run(tmp_path, evaluation())).read_text(encoding="utf-8")
    section = view_of(tmp_path)["probes"]
    rows = {row["title"]: row for row in section["rows"]}
    abstention = rows["Refusing, or saying that it does not know"]
    assert abstention["lost"] == {"value": "100.0 %", "interval": "61.0 to 100.0 %"}
    assert abstention["new"]["value"] == "0.0 %"
    assert [one["value"] for one in abstention["roles"]] == ["6", "0"]
    assert abstention["p"] == "0.062"
    asking = rows["Asking back"]
    assert asking["lost"] == {"value": "not enough cases", "interval": "2, from fewer than 5 prompts"}
    assert "fields left empty" in section["without"]
    assert "What vanishes first" in page
    assert "<script>fetch" not in page
    assert page.count("&lt;script&gt;fetch") > 3


def test_no_section_without_probes(tmp_path: Path) -> None:
    old = {key: value for key, value in sample_evaluation().items() if key != "probes"}
    assert probes_section(old) is None
    assert "What vanishes first" not in write_report(write_sample_run(tmp_path, old)).read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [None, "text", [1], {"a": 1}, -1.5])
def test_any_part_may_be_of_another_kind(value: Any) -> None:
    first = evaluation()["probes"][1]
    assert probes_section({"probes": value}) is None
    rows = {}
    for key in first:
        section = probes_section({"probes": [first | {key: value}], "figures": {}})
        rows[key] = len(section["rows"]) if section is not None else None
    # Without a name or cases there is nothing to tell; whatever else is odd, the row stays.
    assert rows == dict.fromkeys(first, 1) | {"name": None, "cases": 0}
    (row,) = probes_section({"probes": [first], "figures": value})["rows"]
    assert row["lost"]["value"] == "not enough cases"


def test_a_rate_is_decided_on_its_unfavourable_end_and_never_from_fewer_than_twenty_prompts() -> None:
    accept = {"probe.lost_abstention": "<= 0.2"}
    few = decide({"probe.lost_abstention": Figure(0.0, 0.0, 0.15, 12, "share")}, accept)
    assert few["word"] == "inconclusive"
    assert "nothing can be concluded from fewer than 20" in few["reason"]
    assert decide({"probe.lost_abstention": Figure(0.05, 0.02, 0.12, 60, "share")}, accept)["word"] == "ship"
    assert decide({"probe.lost_abstention": Figure(0.4, 0.3, 0.5, 60, "share")}, accept)["word"] == "no ship"
    assert decide({}, accept)["reason"] == "the rate of lost abstention was not measured"
