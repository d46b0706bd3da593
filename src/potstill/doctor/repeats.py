"""Finds exchanges that repeat or contradict each other: by digests, and nearly by MinHash signatures kept on disk."""

import numpy as np
from numpy.typing import NDArray

from potstill.doctor.columns import Columns
from potstill.doctor.findings import ASK_AGAIN, BIT, LEFT_OUT, bits

NEAR = 0.8  # similarity of question and answer together
_BINS = 128
_ROWS = 8  # bins of a band
_PAIRS_AT_ONCE = 1 << 17

Rows = NDArray[np.int64]
Digests = NDArray[np.uint64]


def mark_repeats(columns: Columns, flags: NDArray[np.int32]) -> None:
    """Mark, among exchanges with nothing against them, duplicates, contradictions and who is outvoted.

    Short answers to one prompt that differ contradict each other: those of the majority stay, or where there is none,
    the prompt is asked again. Longer answers that differ are two ways to say it, and both stay.
    """
    good = np.flatnonzero((flags & ~BIT["personal_data"] & ~BIT["old_tools"]) == 0)
    for group in _groups(good, np.asarray(columns.job, np.int64)[good], np.asarray(columns.prompt, np.uint64)[good]):
        answers = np.asarray([columns.answer[row] for row in group], np.uint64)
        short = np.asarray([columns.short[row] for row in group], bool)
        _, first, number, counts = np.unique(answers, return_index=True, return_inverse=True, return_counts=True)
        again = np.ones(len(group), bool)
        again[first] = False
        flags[group[again]] |= BIT["duplicate"]
        said = np.unique(number[short])
        if len(said) < 2:
            continue
        most = said[np.argmax(counts[said])]
        if counts[most] * 2 > counts[said].sum():
            flags[group[short & (number != most)]] |= BIT["outvoted"]
        else:
            flags[group[short]] |= BIT["contradictory"]


def mark_same_prompts(columns: Columns, flags: NDArray[np.int32]) -> None:
    """Of exchanges that would be asked again, leave those out whose prompt a usable or an earlier one has already."""
    left = (flags & bits(LEFT_OUT)) != 0
    rows = np.flatnonzero(~left)
    for group in _groups(rows, np.asarray(columns.job, np.int64)[rows], np.asarray(columns.prompt, np.uint64)[rows]):
        wrong = (flags[group] & bits(ASK_AGAIN)) != 0
        asked = group[wrong]
        flags[asked if not wrong.all() else asked[1:]] |= BIT["same_prompt"]


def mark_near(rows: Rows, signatures: NDArray[np.uint16], groups: Digests, flags: NDArray[np.int32]) -> None:
    """Mark rows whose signature is like an earlier one's of the same group; signatures are N×128, in the rows' order.

    Rows that share a band of 8 bins are compared with the first of them, so a pair at similarity s is compared with
    probability 1 - (1 - s**8)**16 at most: 0.95 at 0.8.
    """
    first = np.arange(len(rows))
    for band in range(0, _BINS, _ROWS):
        halves = np.ascontiguousarray(signatures[:, band : band + _ROWS]).view(np.uint64)
        keys = _mixed(_mixed(groups ^ halves[:, 0]) ^ halves[:, 1])
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order[:1]] - np.uint64(1)) != 0)
        heads = np.repeat(order[starts], np.diff(starts, append=len(order)))
        pairs = np.flatnonzero(heads != order)
        for low in range(0, len(pairs), _PAIRS_AT_ONCE):
            some = pairs[low : low + _PAIRS_AT_ONCE]
            one, other = heads[some], order[some]
            alike = (signatures[one] == signatures[other]).mean(axis=1) >= NEAR
            np.minimum.at(first, other[alike], one[alike])
    flags[rows[first < np.arange(len(rows))]] |= BIT["near_duplicate"]


def _groups(rows: Rows, jobs: Rows, prompts: Digests) -> list[Rows]:
    """The rows with the same prompt in the same job, where there are at least two; in the order of the log."""
    order = np.lexsort((rows, prompts, jobs))
    rows, jobs, prompts = rows[order], jobs[order], prompts[order]
    new = np.ones(len(rows), bool)
    new[1:] = (prompts[1:] != prompts[:-1]) | (jobs[1:] != jobs[:-1])
    starts = np.flatnonzero(new)
    sizes = np.diff(starts, append=len(rows))
    return [rows[start : start + size] for start, size in zip(starts, sizes, strict=True) if size > 1]


def _mixed(values: Digests) -> Digests:
    mixed = (values ^ (values >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(29))
