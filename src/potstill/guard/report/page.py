"""Puts a scan into one page: cases with their evidence, drawings, and what could not be seen."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2

from potstill.guard.cases.case import Case
from potstill.guard.evidence.links import Link
from potstill.guard.report.drawing import days_svg, graph_svg
from potstill.guard.report.drawn import Drawn
from potstill.store.durable import written_whole

REPORT: Final = "report.html"
# Characters that HTML may not hold, and those that turn the direction of what follows.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_LISTED: Final = 200  # accounts of a case that are listed


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
        "cases": [_case(case) for case in cases],
    }  # fmt: skip
    cleaned: dict[str, Any] = _clean(view)
    for shown, case in zip(cleaned["cases"], cases, strict=True):
        members = drawn.customers.get(case.id, ())
        shown["days"] = days_svg(drawn.by_day.get(case.id, ()), drawn.every_day)
        shown["graph"] = graph_svg(members, _shared(members, drawn.links))
    return cleaned


def _case(case: Case) -> dict[str, Any]:
    return {
        "id": case.id, "outcome": case.outcome, "action": case.action, "explained_by": case.explained_by,
        "explanation": list(case.explanation), "accounts": list(case.accounts[:_LISTED]),
        "more_accounts": max(len(case.accounts) - _LISTED, 0), "number": len(case.accounts),
        "customers": case.customers, "exchanges": case.exchanges, "exchanges_at_most": case.exchanges_at_most,
        "tokens": case.tokens, "targets": list(case.targets), "first_seen": case.first_seen,
        "last_seen": case.last_seen, "p": f"{case.p_value:.2g}", "q": f"{case.q_value:.2g}",
        "smallest_p": f"{case.smallest_p:.2g}",
        "evidence": [
            {
                "family": one.family, "kinds": list(one.kinds), "accounts": one.accounts, "shows": one.shows,
                "p": "" if one.p_value is None else f"{one.p_value:.2g}", "innocent": one.innocent,
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
