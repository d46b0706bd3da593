"""Inline drawings: requests by day, of a case and of all cases, and what joins customers. Every text is escaped."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup, escape

WIDTH: Final = 720
_DAYS_HEIGHT, _AXIS = 130, 28
_SHOWN_ACCOUNTS: Final = 36  # of a case in its graph
_SHOWN_HUBS: Final = 12
_NAME: Final = 6  # characters of a pseudonym


def days_svg(days: Sequence[tuple[str, int]], every: Sequence[str]) -> Markup:
    """Bars of requests a day over all days of the log, `YYYY-MM-DD`."""
    counts = dict(days)
    most = max(counts.values(), default=1)
    step = WIDTH / max(len(every), 1)
    bars = []
    for at, day in enumerate(every):
        height = (_DAYS_HEIGHT - 20) * counts.get(day, 0) / most
        bars.append(
            f'<rect class="bar" x="{at * step + 1:.1f}" y="{_DAYS_HEIGHT - height:.1f}" width="{max(step - 2, 1):.1f}" '
            f'height="{height:.1f}"><title>{escape(day)}: {counts.get(day, 0):,}</title></rect>'
        )
    ends = [(0, "start", every[0]), (WIDTH, "end", every[-1])] if every else []
    labels = [
        f'<text x="{x}" y="{_DAYS_HEIGHT + 20}" text-anchor="{anchor}">{escape(day)}</text>' for x, anchor, day in ends
    ]
    labels.append(f'<text x="0" y="14">at most {most:,} requests a day</text>')
    return _svg(WIDTH, _DAYS_HEIGHT + _AXIS, "requests by day", bars + labels)


def lanes_svg(cases: Sequence[tuple[str, Sequence[tuple[str, int]]]], every: Sequence[str]) -> Markup:
    """A lane a case over all days of the log; the darker a day, the nearer to the case's busiest."""
    named, high = 160, 22
    step = (WIDTH - named) / max(len(every), 1)
    parts = []
    for at, (name, days) in enumerate(cases):
        counts, top = dict(days), at * high
        most = max(counts.values(), default=1)
        parts.append(f'<text x="0" y="{top + 14}">{escape(name)}</text>')
        parts.append(f'<rect class="lane" x="{named}" y="{top + 17}" width="{WIDTH - named}" height="1"/>')
        parts += [
            f'<rect class="bar" x="{named + place * step + 0.5:.1f}" y="{top + 2}" width="{max(step - 1, 0.5):.1f}" '
            f'height="15" fill-opacity="{counts[day] / most:.2f}"><title>{escape(name)}, {escape(day)}: '
            f"{counts[day]:,} requests</title></rect>"
            for place, day in enumerate(every) if counts.get(day)
        ]  # fmt: skip
    foot = len(cases) * high
    ends = [(named, "start", every[0]), (WIDTH, "end", every[-1])] if every else []
    parts += [f'<text x="{x}" y="{foot + 16}" text-anchor="{anchor}">{escape(day)}</text>' for x, anchor, day in ends]
    return _svg(WIDTH, foot + 24, "when each case was active", parts)


def graph_svg(members: Sequence[str], shared: Mapping[tuple[str, str], Sequence[str]]) -> Markup:
    """Customers around what they share: `shared` is (kind, value) -> customers, of which two or more are members."""
    shown = list(members)[:_SHOWN_ACCOUNTS]
    among = [(kind, value, [one for one in who if one in shown]) for (kind, value), who in shared.items()]
    hubs = _chosen([hub for hub in among if len(hub[2]) > 1])
    centre_x, centre_y, outer, inner = WIDTH / 2, 250.0, 205.0, 105.0
    places = {name: _on_circle(centre_x, centre_y, outer, at, len(shown)) for at, name in enumerate(shown)}
    lines, marks = [], []
    for at, (kind, value, mine) in enumerate(hubs):
        x, y = _on_circle(centre_x, centre_y, inner if len(hubs) > 1 else 0, at + 0.5, len(hubs))
        for name in mine:
            end_x, end_y = places[name]
            lines.append(f'<line class="tie" x1="{x:.1f}" y1="{y:.1f}" x2="{end_x:.1f}" y2="{end_y:.1f}"/>')
        marks.append(
            f'<rect class="hub" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"><title>{escape(kind)} '
            f"{escape(value)}: {len(mine)} customers</title></rect>"
            f'<text x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{escape(kind)}</text>'
        )
    for name, (x, y) in places.items():
        beyond = 16 if y >= centre_y else -9
        marks.append(
            f'<circle class="customer" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(name)}</title></circle>'
            f'<text x="{x:.1f}" y="{y + beyond:.1f}" text-anchor="middle">{escape(name[:_NAME])}</text>'
        )
    return _svg(WIDTH, 500, "what joins the customers", lines + marks)


def _chosen(hubs: list[tuple[str, str, list[str]]]) -> list[tuple[str, str, list[str]]]:
    """The largest of each kind in turn: twelve templates would hide the one card that pays for all."""
    turns: dict[str, int] = {}
    placed = []
    for hub in sorted(hubs, key=lambda hub: (-len(hub[2]), hub[0], hub[1])):
        turn = turns[hub[0]] = turns.get(hub[0], -1) + 1
        placed.append((turn, -len(hub[2]), hub))
    return sorted(hub for _, _, hub in sorted(placed)[:_SHOWN_HUBS])


def _on_circle(x: float, y: float, radius: float, at: float, of: int) -> tuple[float, float]:
    angle = 2 * math.pi * at / max(of, 1) - math.pi / 2
    return x + radius * math.cos(angle) * 1.5, y + radius * math.sin(angle)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    inner = "".join(parts)
    return Markup(
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">{inner}</svg>'
    )  # escaped above, part by part
