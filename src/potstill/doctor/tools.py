"""Finds how the tools of a job changed over time: other parameters, other names, gone, new, or two versions at once."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from potstill.doctor.columns import Columns
from potstill.doctor.findings import ToolChange, ToolChangeKind

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
    rows = rows[numbers >= 0]
    used, number = np.unique(numbers[numbers >= 0], return_inverse=True)
    changes: list[ToolChange] = []
    old = np.zeros(len(rows), bool)
    gone: dict[str, tuple[int, str]] = {}
    new: dict[str, tuple[int, str]] = {}
    having: dict[str, NDArray[np.bool_]] = {}
    for name in sorted({name for one in used for name in toolsets[one]}):
        shapes = [toolsets[one].get(name) for one in used]
        known = sorted({shape for shape in shapes if shape is not None})
        version = np.array([-1 if shape is None else known.index(shape) for shape in shapes])[number]
        having[name] = version >= 0
        at = np.flatnonzero(having[name])
        first, last = int(at[0]), int(at[-1])
        found, superseded = _versions(columns, rows, at, version[at], name)
        changes += found
        old[superseded] = True
        if _absent(len(at), last - first + 1, len(rows) - 1 - last):
            gone[name] = (last, known[version[last]])
        if _absent(len(at), last - first + 1, first):
            new[name] = (first, known[version[first]])
    for name, (last, shape) in gone.items():
        old[having[name]] = True
        before = int(having[name].sum())
        heir = next((other for other, (first, same) in new.items() if first > last and same == shape), None)
        if heir is not None:
            first = new.pop(heir)[0]
            changes.append(_change(columns, rows, name, "renamed", first, before, int(having[heir].sum()), heir))
        else:
            changes.append(_change(columns, rows, name, "removed", last + 1, before, len(rows) - 1 - last))
    for name, (first, _) in new.items():
        changes.append(_change(columns, rows, name, "added", first, first, len(rows) - first))
    return tuple(sorted(changes, key=lambda one: (one.time_s or 0.0, one.name))), rows[old]


def _versions(columns: Columns, rows: Rows, at: Rows, versions: Rows, name: str) -> tuple[list[ToolChange], Rows]:
    """Changes of one function's parameters, and where among `rows` an earlier version stands.

    `at` are the places of the exchanges that have it, `versions` the version of each.
    """
    found, first, counts = np.unique(versions, return_index=True, return_counts=True)
    if len(found) < 2:
        return [], at[:0]
    last = len(versions) - 1 - np.unique(versions[::-1], return_index=True)[1]
    order = np.argsort(first)
    sequential = bool((last[order[:-1]] < first[order[1:]]).all())
    changes = []
    for step, (earlier, later) in enumerate(pairwise(order), 1):
        before = int(counts[order[:step]].sum() if sequential else counts[earlier])
        after = int(counts[order[step:]].sum() if sequential else counts[later])
        kind: ToolChangeKind = "changed" if sequential else "side_by_side"
        changes.append(_change(columns, rows, name, kind, int(at[first[later]]), before, after))
    return changes, at[versions != found[order[-1]]] if sequential else at[:0]


def _absent(having: int, span: int, without: int) -> bool:
    """Whether a function that `having` of `span` exchanges have is missing from `without` others not by chance.

    One exchange without it is added to the span: from a few that all have it nobody can tell how often it is missing.
    """
    return without >= _LEAST_WITHOUT and (1 - having / (span + 1)) ** without < _CHANCE


def _change(
    columns: Columns, rows: Rows, name: str, kind: ToolChangeKind, first: int, before: int, after: int,
    to: str | None = None,
) -> ToolChange:  # fmt: skip
    row = int(rows[first])
    when = columns.time_s[row]
    return ToolChange(name, kind, columns.place(row), None if when != when else when, before, after, to)
