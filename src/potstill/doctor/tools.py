"""Finds how the tools of a job changed over time: other parameters, other names, gone, new, or two versions at once."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from potstill.doctor.columns import Columns
from potstill.doctor.findings import ToolChange

_CHANCE = 1e-6  # a function is gone, and not only unused, where chance would be absent so long with this probability
_LEAST_WITHOUT = 3

Rows = NDArray[np.int64]


def tool_changes(
    columns: Columns, rows: Rows, toolsets: Sequence[Mapping[str, str]]
) -> tuple[tuple[ToolChange, ...], Rows]:
    """The changes among these exchanges, which are in the order of time, and those of them whose tools are superseded.

    Only exchanges with tools count. Two versions in turns have no order, so neither is called old.
    """
    numbers = np.asarray(columns.tools, np.int64)[rows]
    rows, numbers = rows[numbers >= 0], numbers[numbers >= 0]
    names = sorted({name for number in np.unique(numbers) for name in toolsets[number]})
    changes: list[ToolChange] = []
    old = np.zeros(len(rows), bool)
    gone: dict[str, tuple[int, str]] = {}
    new: dict[str, tuple[int, str]] = {}
    for name in names:
        shapes = {number: toolsets[number].get(name) for number in np.unique(numbers)}
        seen = np.array([shapes[number] is not None for number in numbers])
        at = np.flatnonzero(seen)
        versions = [str(shapes[number]) for number in numbers[at]]
        found, superseded = _versions(columns, rows, at, versions, name)
        changes += found
        old[superseded] = True
        if _absent(len(at), int(at[-1]) - int(at[0]) + 1, len(rows) - 1 - int(at[-1])):
            gone[name] = (int(at[-1]), versions[-1])
        if _absent(len(at), int(at[-1]) - int(at[0]) + 1, int(at[0])):
            new[name] = (int(at[0]), versions[0])
    for name, (last, shape) in gone.items():
        having = np.array([name in toolsets[number] for number in numbers])
        old[having] = True
        heir = next((other for other, (first, same) in new.items() if first > last and same == shape), None)
        if heir is not None:
            first = new.pop(heir)[0]
            having_heir = int(sum(heir in toolsets[number] for number in numbers))
            changes.append(_change(columns, rows, name, "renamed", first, int(having.sum()), having_heir, heir))
        else:
            after = len(rows) - 1 - last
            changes.append(_change(columns, rows, name, "removed", last + 1, int(having.sum()), after))
    for name, (first, _) in new.items():
        changes.append(_change(columns, rows, name, "added", first, first, len(rows) - first))
    return tuple(sorted(changes, key=lambda one: (one.time_s or 0.0, one.name))), rows[old]


def _versions(
    columns: Columns, rows: Rows, at: Rows, versions: Sequence[str], name: str
) -> tuple[list[ToolChange], list[int]]:
    """Changes of one function's parameters, and where among `rows` an earlier version stands."""
    firsts: dict[str, int] = {}
    lasts: dict[str, int] = {}
    counts: dict[str, int] = {}
    for place, version in zip(at, versions, strict=True):
        firsts.setdefault(version, int(place))
        lasts[version] = int(place)
        counts[version] = counts.get(version, 0) + 1
    order = sorted(firsts, key=lambda version: firsts[version])
    if len(order) < 2:
        return [], []
    steps = list(pairwise(order))
    sequential = all(lasts[earlier] < firsts[later] for earlier, later in steps)
    changes = []
    for done, (earlier, later) in enumerate(steps):
        before = sum(counts[version] for version in order[: done + 1]) if sequential else counts[earlier]
        after = sum(counts[version] for version in order[done + 1 :]) if sequential else counts[later]
        kind = "changed" if sequential else "side_by_side"
        changes.append(_change(columns, rows, name, kind, firsts[later], before, after))
    newest = order[-1]
    old = [int(place) for place, version in zip(at, versions, strict=True) if version != newest] if sequential else []
    return changes, old


def _absent(having: int, span: int, without: int) -> bool:
    """Whether a function that `having` of `span` exchanges have is missing from `without` others not by chance.

    One exchange without it is added to the span: from a few that all have it nobody can tell how often it is missing.
    """
    return without >= _LEAST_WITHOUT and (1 - having / (span + 1)) ** without < _CHANCE


def _change(
    columns: Columns, rows: Rows, name: str, kind: str, first: int, before: int, after: int, to: str | None = None
) -> ToolChange:
    row = int(rows[first])
    when = columns.time_s[row]
    return ToolChange(name, kind, columns.place(row), None if when != when else when, before, after, to)  # type: ignore[arg-type]
