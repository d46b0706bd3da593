"""Puts a scan into one page: cases with their evidence, drawings, and what could not be seen."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2

from potstill.guard.cases.case import Action, Case
from potstill.guard.evidence.links import Link
from potstill.guard.report.drawing import days_svg, graph_svg, lanes_svg
from potstill.guard.report.drawn import Drawn
from potstill.store.durable import written_whole

REPORT: Final = "report.html"
# Characters that HTML may not hold, and those that turn the direction of what follows.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_LISTED: Final = 200  # accounts of a case that are listed
_LANES: Final = 30  # cases in the drawing of all
_MEANS: Final[Mapping[Action, str]] = {
    "none": "nothing to do",
    "watch": "look again at the next scan, change nothing",
    "verify identity": "ask who is behind the accounts before more is served at this rate",
    "cap": "limit how much they get until that is answered",
    "refuse": "stop serving them once a person has confirmed the case",
}


def write_report(folder: Path, cases: Sequence[Case], about: Mapping[str, Any], drawn: Drawn) -> Path:
    """Write report.html into the folder of a scan, all at once or not at all. The same scan gives the same bytes."""
    page = _template().render(view_of(cases, about, drawn))
    path = folder / REPORT
    with written_whole(path) as file:
        file.write(page.encode("utf-8"))
    return path


def view_of(cases: Sequence[Case], about: Mapping[str, Any], drawn: Drawn) -> dict[str, Any]:
    """What the page shows; texts are plain, and the template escapes them."""
    counts = Counter(case.outcome for case in cases)
    view = {
        "about": dict(about),
        "outcomes": [(name, counts[name]) for name in ("evidence", "not enough data", "no evidence")],
        "gaps": list(about.get("cannot_be_seen", ())),
        "needed": _needed(about.get("groups_at_smallest_p_needed") or 0),
        "actions": [(name, says) for name, says in _MEANS.items() if any(case.action == name for case in cases)],
        "cases": [_case(case) for case in cases],
    }  # fmt: skip
    cleaned: dict[str, Any] = _clean(view)
    for shown, case in zip(cleaned["cases"], cases, strict=True):
        members = drawn.customers.get(case.id, ())
        shown["days"] = days_svg(drawn.by_day.get(case.id, ()), drawn.every_day)
        shown["graph"] = graph_svg(members, _shared(members, drawn.links))
    lanes = [(case.id, drawn.by_day.get(case.id, ())) for case in cases[:_LANES]]
    return cleaned | {"lanes": lanes_svg([(_clean(name), days) for name, days in lanes], drawn.every_day)}


def _needed(groups: int) -> str:
    return "1 group has" if groups == 1 else f"{groups:,} groups together have"


def _p(value: float) -> str:
    """Two digits that count, without an exponent: 0.00012."""
    return f"{Decimal(f'{value:.2g}'):f}"


def _case(case: Case) -> dict[str, Any]:
    in_the_table = {one.sentence for one in case.evidence}
    return {
        "id": case.id, "outcome": case.outcome, "action": case.action, "explained_by": case.explained_by,
        "says": [one for one in case.explanation if one not in in_the_table],
        "accounts": list(case.accounts[:_LISTED]),
        "more_accounts": max(len(case.accounts) - _LISTED, 0), "number": len(case.accounts),
        "customers": case.customers, "exchanges": case.exchanges, "exchanges_at_most": case.exchanges_at_most,
        "first_seen": case.first_seen, "last_seen": case.last_seen, "q": _p(case.q_value),
        "evidence": [
            {
                "family": one.family, "kinds": list(one.kinds), "accounts": one.accounts, "shows": one.shows,
                "p": "" if one.p_value is None else _p(one.p_value), "innocent": one.innocent,
                "examples": list(one.examples),
            }
            for one in case.evidence
        ],
    }  # fmt: skip


def _shared(members: Sequence[str], links: Sequence[Link]) -> dict[tuple[str, str], Sequence[str]]:
    mine = set(members)
    return {
        (link.kind, _UNSAFE.sub("�", link.value)): link.accounts
        for link in links if len(mine.intersection(link.accounts)) > 1
    }  # fmt: skip


def _clean(value: Any) -> Any:
    """The same with what no page may hold made visible, in all of its texts."""
    if isinstance(value, str):
        return _UNSAFE.sub("�", value)
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(one) for one in value]
    return value


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("potstill.guard.report", "."), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("page.html.j2")
