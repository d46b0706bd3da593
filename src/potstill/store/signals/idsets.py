"""Sets of token ids as gaps in a Golomb-Rice code, over the alphabet of those ids that a shard uses at all."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.store.signals.bits import Fields, Ints, before, read_unary, write_fields, write_unary


def rice_parameter(alphabet: Ints | int, lengths: Ints) -> Ints:
    """Low bits of a gap (n,): ⌊log2 of 2/3 of the mean gap⌋, for sets of so many out of so many ids; Rice 1979.

    In integers, so that every machine finds the same: one less than the binary digits of ⌊2A / 3K⌋, or 0.
    """
    ratio = 2 * np.asarray(alphabet, np.int64) // (3 * np.maximum(lengths, 1))
    digits: Ints = np.frexp(ratio.astype(np.float64))[1].astype(np.int64)
    return np.maximum(digits - 1, 0)


def to_gaps(places: Ints, lengths: Ints) -> Ints:
    """How many ids are left out before each one of ascending sets (S,). Raises ValueError where a set is unordered."""
    gaps = np.diff(places, prepend=-1) - 1
    first = before(lengths)[lengths > 0]
    gaps[first] = places[first]
    if len(gaps) and gaps.min() < 0:
        raise ValueError("the ids of a position must ascend")
    return gaps


def from_gaps(gaps: Ints, lengths: Ints) -> Ints:
    """The ascending sets that have these gaps."""
    places = np.cumsum(gaps + 1)
    starts = before(lengths)
    places -= np.repeat(np.concatenate([[0], places])[starts] + 1, lengths)
    return places


def write_alphabet(ids: NDArray[Any], vocabulary: int) -> tuple[Ints, bytes]:
    """The ids that occur, ascending, and their code: low bits of gaps, then from the next byte on the high parts."""
    used = np.unique(ids).astype(np.int64)
    if len(used) and not 0 <= used[0] <= used[-1] < vocabulary:
        raise ValueError(f"ids run from {used[0]} to {used[-1]}, but the vocabulary has {vocabulary} tokens")
    if not len(used):
        return used, b""
    whole = np.array([len(used)])
    width = int(rice_parameter(vocabulary, whole)[0])
    gaps = to_gaps(used, whole)
    low = write_fields((width * len(used) + 7) >> 3, np.arange(len(used)) * width, gaps & ((1 << width) - 1))
    high, _ = write_unary(gaps >> width, whole)
    return used, low.tobytes() + high.tobytes()


def read_alphabet(code: bytes, size: int, vocabulary: int) -> Ints | None:
    """The alphabet of `size` ids; None where the code is not one."""
    if not size:
        return np.zeros(0, np.int64)
    whole = np.array([size])
    width = int(rice_parameter(vocabulary, whole)[0])
    cut = (width * size + 7) >> 3
    high = read_unary(code[cut:], np.array([len(code) - cut]), whole)
    if high is None:
        return None
    low = Fields(code[:cut]).read(np.arange(size) * width, width)
    used = from_gaps(high << width | low, whole)
    return used if used[-1] < vocabulary else None
