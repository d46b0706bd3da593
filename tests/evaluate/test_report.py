"""The report as a file: complete, deterministic, and safe whatever the run folder holds."""

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sample_run import HOSTILE, sample_evaluation, write_sample_run

from potstill.errors import PotstillError
from potstill.evaluate import plots
from potstill.evaluate.meanings import ACROSS_TOKENIZERS, WORDING
from potstill.evaluate.report import write_report
from potstill.evaluate.summary import format_interval, format_value, summary_lines


class Outline(HTMLParser):
    """Collects what the page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_sample_run(tmp_path_factory.mktemp("runs") / "glossary")
    return write_report(folder).read_text(encoding="utf-8")


def render(folder: Path, evaluation: dict[str, Any]) -> str:
    return write_report(write_sample_run(folder, evaluation)).read_text(encoding="utf-8")


def test_the_terms_can_be_read_in_a_minute(page: str) -> None:
    """Every layer with its document, the facts given, who permitted what, and what is left for a person."""
    section = page[page.index('<h2 id="terms">') : page.index('<h2 id="reproduce">')]
    assert "https://www.apache.org/licenses/LICENSE-2.0" in section
    assert "compared on 2026-11-25" in section
    assert "Allowed unless the student competes with the teacher&#39;s provider" in section
    assert "not compared with the document" in section
    assert "no rule fits" in section
    assert "a glossary &lt;of words&gt;" in section
    assert "<dt>Competes with the teacher&#39;s provider</dt><dd>no</dd>" in section
    assert "<dt>Will be passed on to others</dt><dd>yes</dd>" in section
    assert "A Provider on 2026-10-01 for service-terms (sha256 of the file: ab12)" in section
    assert "rule service-terms was not compared with its document" in section
    assert "It is not legal advice." in section


def test_says_decision_figures_terms_and_how_to_check(page: str) -> None:
    text = re.sub(r"\s+", " ", Outline(page).text)
    for expected in (
        "Ship", "All 4 conditions hold", "64.8 %", "62.7 to 66.8 %", "0.71 nats", "1.71×",
        "81.4 million of 134.5 million",
        "What is a mortgage?", "134,515,008", "538 MB", "6 truncated, 3 empty", "Apache License 2.0",
        "Keep the licence text with the model.", "not legal advice", "potstill verify glossary",
        "potstill run glossary/recipe.yaml",
        "ledger had 2 lines", "a made-up processor", "2 March 2026, 09:41 UTC",
    ):  # fmt: skip
        assert expected in text, expected
    for name, wording in WORDING.items():
        assert (wording.meaning in text) == (name != "unmatched_l1")  # which is told of across tokenizers only


def test_hostile_text_stays_text(page: str) -> None:
    outline = Outline(page)
    assert HOSTILE in outline.text
    assert {tag for tag, _ in outline.tags}.isdisjoint({"script", "img", "iframe", "object", "embed", "form", "base"})
    assert not [name for _, attributes in outline.tags for name in attributes if name.startswith("on")]


def test_hostile_text_everywhere_stays_text(tmp_path: Path) -> None:
    def spoil(value: Any) -> Any:
        if isinstance(value, str):
            return HOSTILE
        if isinstance(value, dict):
            return {key: spoil(entry) for key, entry in value.items()}
        return [spoil(entry) for entry in value] if isinstance(value, list) else value

    outline = Outline(render(tmp_path, spoil(sample_evaluation())))
    assert {tag for tag, _ in outline.tags}.isdisjoint({"script", "img"})


def test_nothing_in_it_names_another_place(page: str) -> None:
    references = [
        value
        for _, attributes in Outline(page).tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster")
    ]
    assert references
    assert all(value and value.startswith(("#", "data:")) for value in references)
    assert "url(http" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_tables_and_figures_are_labelled(page: str) -> None:
    tags = Outline(page).tags
    assert ("html", {"lang": "en"}) in tags
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")
    images = [attributes for _, attributes in tags if attributes.get("role") == "img"]
    assert len(images) == 3
    assert all(len(attributes["aria-label"] or "") > 20 for attributes in images)
    assert "64.8 %" in (images[0]["aria-label"] or "")
    regions = [attributes for _, attributes in tags if attributes.get("role") == "region"]
    assert all("aria-labelledby" in attributes or "aria-label" in attributes for attributes in regions)


def test_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_report(write_sample_run(tmp_path / "a" / "glossary")).read_bytes()
    second = write_report(write_sample_run(tmp_path / "b" / "glossary")).read_bytes()
    assert first == second


@pytest.mark.parametrize("value", [None, "text", [], {}], ids=["null", "text", "list", "mapping"])
def test_any_part_may_be_missing_or_of_another_kind(
    tmp_path: Path, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "<h1>" in render(tmp_path, dict.fromkeys(sample_evaluation(), value))
    # Drawing takes the time, and is tried with missing numbers below.
    monkeypatch.setattr(plots, "_render", lambda name, draw, height_px: {"wide": "<svg/>", "narrow": "<svg/>"})
    for name in sample_evaluation():
        assert "<h1>" in render(tmp_path, sample_evaluation() | {name: value})


def test_every_single_leaf_may_be_null(tmp_path: Path) -> None:
    def hollow(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: hollow(entry) for key, entry in value.items()}
        return [hollow(entry) for entry in value] if isinstance(value, list) else None

    text = render(tmp_path, hollow(sample_evaluation()))
    assert text.count("not measured") > 20


def test_folder_with_evaluation_alone(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text("{}", encoding="utf-8")
    text = Outline(write_report(tmp_path).read_text(encoding="utf-8")).text
    assert "No decision" in text
    assert "held no ledger" in text
    assert "held no recipe.yaml" in text
    assert "Not measured in this run: top-1 agreement" in text


@pytest.mark.parametrize("content", [None, "{", "[]", "\xff"])
def test_unreadable_evaluation_is_one_clear_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "evaluation.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(PotstillError, match=r"evaluation\.json: ") as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)


def test_failed_write_leaves_the_old_report(tmp_path: Path) -> None:
    folder = write_sample_run(tmp_path)
    (folder / "report.html").write_text("old", encoding="utf-8")
    (folder / "report.html.part").mkdir()
    with pytest.raises(PotstillError, match=r"report\.html: cannot be written"):
        write_report(folder)
    assert (folder / "report.html").read_text(encoding="utf-8") == "old"


def test_torn_last_line_of_the_log_is_told(tmp_path: Path) -> None:
    folder = write_sample_run(tmp_path)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 133, "lo')
    assert "1 line of metrics.jsonl could not be read" in write_report(folder).read_text(encoding="utf-8")


def test_few_prompts_are_said_loudly(tmp_path: Path) -> None:
    evaluation = sample_evaluation()
    evaluation["figures"]["kl_nats"]["n"] = 12
    text = Outline(render(tmp_path, evaluation)).text
    assert "Nothing can be concluded about fidelity" in text
    assert "12 held-out prompts" in text


def test_figures_are_drawn_twice_in_the_pages_colours() -> None:
    drawing = plots.quality_against_speed(sample_evaluation())
    assert drawing is not None
    assert set(drawing) == {"wide", "narrow"}
    for svg in drawing.values():
        assert svg.startswith("<svg")
        assert "var(--student)" in svg
        assert not re.search(r"#[0-9a-f]{6}\b", svg), "a colour that the page does not control"
        assert "<style" not in svg
        assert "font-family" not in svg
        assert {"teacher", "student", "initial student"} <= set(re.findall(r">([^<>]+)</text>", svg))


def test_quality_falls_back_to_chrf_where_there_are_no_distributions() -> None:
    evaluation = sample_evaluation()
    for name in [name for name in evaluation["figures"] if name.endswith("top1_agreement")]:
        del evaluation["figures"][name]
    drawing = plots.quality_against_speed(evaluation)
    assert drawing is not None
    assert "chrF against the teacher" in drawing["wide"]


def test_figures_are_drawn_without_intervals_too() -> None:
    evaluation = sample_evaluation()
    for figure in evaluation["figures"].values():
        figure["low"] = figure["high"] = None
    for row in evaluation["by_position"][::2]:
        row["low"] = row["high"] = row["initial"] = None
    evaluation["by_position"][5]["agreement"] = None
    assert plots.quality_against_speed(evaluation) is not None
    assert plots.agreement_by_position(evaluation["by_position"]) is not None


def test_long_training_log_is_averaged() -> None:
    lines = [{"step": step, "loss": 1 / step} for step in range(1, 100_001)]
    drawing = plots.training_curve(lines)
    assert drawing is not None
    assert len(drawing["wide"]) < 40_000


@pytest.mark.parametrize(
    "lines", [[], [{"step": 1, "loss": 2.0}], [{"step": 1}, {"loss": 1}, {"step": 2, "loss": None}]]
)
def test_curve_needs_two_points(lines: list[dict[str, Any]]) -> None:
    assert plots.training_curve(lines) is None
    assert plots.agreement_by_position(lines) is None


def test_colours_have_contrast() -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text, on the page and on cards, light and dark."""
    style = files("potstill.evaluate").joinpath("page/style.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    )
    for scheme in (light, dark):
        for paper in ("paper", "card"):
            for ink in ("ink", "muted", "student", "initial", "other", "good", "bad", "open"):
                assert contrast(scheme[ink], scheme[paper]) >= 4.5, f"{ink} on {paper}"


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("top1_agreement", 0.648, "64.8 %"),
        ("initial_student.kl_nats", 4.12, "4.12 nats"),
        ("kl_nats", 0.00031, "0.0003 nats"),
        ("kl_nats", 0.0, "0.00 nats"),
        ("decode_speedup", 1.71, "1.71×"),
        ("chrf", 52.31, "52.3"),
        ("chrf", float("inf"), "not measured"),
        ("chrf", None, "not measured"),
        ("chrf", True, "not measured"),
    ],
)
def test_numbers_are_written_with_their_unit(name: str, value: Any, shown: str) -> None:
    assert format_value(name, value) == shown


def test_interval_without_an_end_is_empty() -> None:
    assert format_interval("chrf", None, 3) == ""
    assert format_interval("top1_agreement", 0.61, 0.652) == "61.0 to 65.2 %"


def test_command_line_gets_the_decision_first() -> None:
    first, *rest = summary_lines(sample_evaluation())
    assert first == "glossary: SHIP – all 4 conditions hold at the unfavourable end of their intervals"
    assert rest[0] == "  top-1 agreement       64.8 %  (95 %: 62.7 to 66.8 %)  asked ≥ 60 %: met"
    assert len(rest) == 5


def test_summary_of_nothing() -> None:
    assert summary_lines(json.loads("{}")) == ["this run: NO DECISION"]


SCREENING: dict[str, Any] = {
    "answers": 600, "errors": 21, "used": {"train": 430, "holdout": 60}, "left_out": {"train": 108, "holdout": 2},
    "reasons": {
        "wrong_language": {"train": 8, "holdout": 2}, "exact_duplicate": {"train": 99, "holdout": 0},
        "judged_low": {"train": 1, "holdout": 0},
    },
    "examples": {
        "wrong_language": [
            {"prompt": "What is a tax?", "answer": f"Un impôt {HOSTILE}", "detail": "fr, 0.99 sure", "split": "train"}
        ],
        "judged_low": [{"prompt": "What is tax?", "answer": "", "detail": "3 of 10", "split": "train"}],
    },
    "judge": {
        "model": "big-judge", "answers": 500, "scored": 498, "minimum": 7, "scale": 10, "cost_usd": 1.25,
        "terms": {"rule": "weights.apache-2.0"},
    },
}  # fmt: skip


def test_what_was_screened_out_is_counted_and_shown(tmp_path: Path) -> None:
    folder = write_sample_run(tmp_path)
    assert "Answers that were not used" not in write_report(folder).read_text(encoding="utf-8")
    (folder / "screening.json").write_text(json.dumps(SCREENING), encoding="utf-8")
    html = write_report(folder).read_text(encoding="utf-8")
    assert "430 answers are trained on and 60 held-out ones are measured on. 110 answers are kept but not used" in html
    assert '<th scope="row">In another language</th><td>8</td><td>2</td>' in html
    assert '<th scope="row">The same as an earlier answer to the prompt</th><td>99</td><td>0</td>' in html
    assert "big-judge judged 498 of 500 answers for 1.25 USD" in html
    assert "by rule weights.apache-2.0" in html
    assert "fr, 0.99 sure" in html
    assert "<script>fetch" not in html


@pytest.mark.parametrize("content", ["[]", "{"])
def test_an_unreadable_summary_of_screening_is_one_clear_line(tmp_path: Path, content: str) -> None:
    folder = write_sample_run(tmp_path)
    (folder / "screening.json").write_text(content, encoding="utf-8")
    with pytest.raises(PotstillError, match=r"screening\.json: [^\n]*$"):
        write_report(folder)


@pytest.mark.parametrize("content", ["{}", '{"reasons": {"x": 3}, "examples": [], "judge": 3}'])
def test_a_half_empty_summary_of_screening_breaks_nothing(tmp_path: Path, content: str) -> None:
    folder = write_sample_run(tmp_path)
    (folder / "screening.json").write_text(content, encoding="utf-8")
    assert "Every figure" in write_report(folder).read_text(encoding="utf-8")


def test_figures_across_tokenizers_are_told_as_such(tmp_path: Path) -> None:
    across = {"tokenizers": "different", "unit": "group", "groups": 1844, "one_to_one_groups": 1551, "left_out": 2}
    evaluation = sample_evaluation() | {"comparison": across}
    evaluation["figures"]["unmatched_l1"] = {"value": 0.0213, "low": 0.01, "high": 0.03, "n": 60, "unit": "0 to 2"}
    text = re.sub(r"\s+", " ", Outline(render(tmp_path, evaluation)).text)
    for expected in (
        "1,844 groups of tokens that write the same bytes in both, of which 1,551 are one token on each side",
        "2 answers could not be aligned", "of groups of tokens are the teacher's choice", "per group of tokens",
        "Unmatched vocabulary", "Perplexity of the teacher's answers, by the byte", *ACROSS_TOKENIZERS.values(),
    ):  # fmt: skip
        assert expected in text, expected
    for name in ACROSS_TOKENIZERS:
        assert WORDING[name].meaning not in text
    assert "different tokenizers" in summary_lines(evaluation)[1]


def test_tokenizers_that_could_not_be_aligned_are_told_with_the_reason(tmp_path: Path) -> None:
    comparison = {"tokenizers": "different", "unit": None, "reason": HOSTILE}
    outline = Outline(render(tmp_path, sample_evaluation() | {"comparison": comparison}))
    assert "fidelity could not be measured across them: " + HOSTILE in outline.text
    assert "Unmatched vocabulary" not in outline.text
    assert "different tokenizers" not in "".join(summary_lines(sample_evaluation()))
