"""The report of a scan: cases, drawings and blind spots on one page, and hostile texts never as HTML."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.case_samples import ABOUT, ACCOUNTS, ATTACK, sample
from potstill.guard.evidence.links import Link
from potstill.guard.report import Drawn, write_report
from potstill.guard.report.drawing import days_svg, graph_svg, lanes_svg

ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "span", "ul", "li", "table", "thead",
    "tbody", "tr", "th", "td", "section", "div", "code", "svg", "rect", "text", "line", "circle",
    "a", "br", "details", "summary",
}  # fmt: skip
DAYS = [f"2026-01-{day:02}" for day in range(5, 26)]
DRAWN = Drawn(
    DAYS, {"case-0123456789ab": [("2026-01-06", 40), ("2026-01-07", 10)]}, {"case-0123456789ab": ACCOUNTS},
    [
        Link("payment", ACCOUNTS, "ab12", 900, strength_bits=9.0),
        Link("templates", ACCOUNTS[:4], f"value {ATTACK}", 500, strength_bits=8.0),
        Link("network", (ACCOUNTS[0], "somebody else"), "as1", 3, strength_bits=3.0),
    ],
)  # fmt: skip


class Page(HTMLParser):
    """Tags and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path, drawn: Drawn = DRAWN, *cases: object) -> Page:
    chosen = cases or (sample(),)
    return Page(write_report(folder, chosen, ABOUT, drawn).read_text(encoding="utf-8"))  # type: ignore[arg-type]


def test_the_page_shows_a_case_and_what_was_not_seen(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    for text in (
        "case-0123456789ab: evidence", "Cap", "limit how much", "0.002", "0.0001", "Seen from 2026-01-05T08:00:00Z",
        "6 accounts of 6 customers", "900", "1 group has to reach it", "1,000,000 events of 3,000 accounts",
        "no event has tls_fingerprint", "a popular tool", "It is no proof", ACCOUNTS[3],
    ):  # fmt: skip
        assert text in page.text, text
    assert page.tags.count("svg") == 3
    assert page.tags.count("circle") == len(ACCOUNTS)


def test_hostile_texts_are_shown_and_not_rendered(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert set(page.tags) <= ALLOWED
    assert ATTACK in page.text
    assert "\u202e" not in page.text
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert {value for name, value in page.attributes if name == "href"} == {"#case-0123456789ab"}


@settings(deadline=None, max_examples=60)
@given(st.text(), st.text())
def test_no_text_makes_a_tag(one: str, other: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        case = sample(explanation=(one,), targets=(other,), explained_by=one, accounts=(other, "b"))
        drawn = Drawn(DAYS, {case.id: [(one, 3)]}, {case.id: (one, other)}, [Link(one, (one, other), other, 2)])
        page = page_of(Path(folder), drawn, case)
    assert set(page.tags) <= ALLOWED
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert {value for name, value in page.attributes if name == "href"} <= {"#case-0123456789ab"}


def test_same_scan_same_bytes_and_no_cases_too(tmp_path: Path) -> None:
    first = write_report(tmp_path, [sample()], ABOUT, DRAWN).read_bytes()
    assert write_report(tmp_path, [sample()], ABOUT, DRAWN).read_bytes() == first
    nothing = {
        **ABOUT,
        "events": 0,
        "from": None,
        "to": None,
        "groups_asked": 0,
        "enough_customers": False,
        "groups_at_smallest_p_needed": None,
    }
    text = write_report(tmp_path, [], nothing, Drawn()).read_text(encoding="utf-8")
    assert "No cases" in text
    assert "Not enough data" in text


def test_drawings_have_the_numbers() -> None:
    days = str(days_svg([("2026-01-06", 40), ("2026-01-07", 10)], DAYS))
    heights = [float(one) for one in re.findall(r'class="bar"[^>]* height="([0-9.]+)"', days)]
    assert len(heights) == len(DAYS)
    assert heights[1] == pytest.approx(4 * heights[2])
    assert sum(heights) == heights[1] + heights[2]
    graph = str(graph_svg(ACCOUNTS, {("payment", "x"): ACCOUNTS, ("tls", "y"): ACCOUNTS[:1]}))
    assert graph.count('class="tie"') == len(ACCOUNTS)
    assert graph.count('class="hub"') == 1
    assert graph_svg((), {}).count("<svg") == 1


def test_the_one_card_is_drawn_beside_twenty_templates() -> None:
    shared = {("templates", str(number)): ACCOUNTS for number in range(20)} | {("payment", "x"): ACCOUNTS[:2]}
    assert "<title>payment x: 2 customers</title>" in str(graph_svg(ACCOUNTS, shared))


def test_a_lane_is_as_dark_as_the_day_was_busy() -> None:
    lanes = str(lanes_svg([("one", [("2026-01-06", 40), ("2026-01-07", 10)]), ("other", [])], DAYS))
    assert re.findall(r'fill-opacity="([0-9.]+)"', lanes) == ["1.00", "0.25"]
    assert lanes.count('class="lane"') == 2


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None and os.environ.get("POTSTILL_REQUIRE_BROWSER") == "1":
        pytest.fail("no Chromium on PATH, and POTSTILL_REQUIRE_BROWSER=1 asks for one")
    return found or pytest.skip("no Chromium on PATH")


@pytest.mark.browser
def test_a_browser_runs_nothing_of_it(chromium: str, tmp_path: Path) -> None:
    """Beside a page that does run the same text, so that the watch is known to see it."""
    bad = tmp_path / "bad.html"
    bad.write_text(f"<!DOCTYPE html><title>quiet</title>{ATTACK}", encoding="utf-8")
    report = write_report(tmp_path, [sample()], ABOUT, DRAWN)
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
    seen = {}
    for page in (bad, report):
        profile = f"--user-data-dir={tmp_path / page.stem}"
        made = subprocess.run(
            [chromium, *flags, profile, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        seen[page] = Page(made.stdout.decode("utf-8"))
    assert "owned" in seen[bad].text.split("document")[0]
    assert seen[report].text.strip().startswith("Guard: cases")
    assert set(seen[report].tags) <= ALLOWED
