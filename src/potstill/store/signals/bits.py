"""Bit streams for many values at once: fields of any width, and unary numbers.

Bit i of a stream is bit i % 8 of byte i // 8, counted from the least significant.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_MASKS = (np.uint64(1) << np.arange(33, dtype=np.uint64)) - np.uint64(1)
_WORD = np.uint64(32)


def before(values: NDArray[Any]) -> Ints:
    """For each value the sum of those before it."""
    sums = np.zeros(len(values), np.int64)
    np.cumsum(values[:-1], out=sums[1:])
    return sums


def write_fields(size: int, offsets: Ints, values: Ints) -> Bytes:
    """A stream of `size` bytes with `values`, below 2**32, at bit `offsets`; the fields must not overlap."""
    words = -(-size // 4)
    shifted = values.astype(np.uint64) << (offsets & 31).astype(np.uint64)
    place = offsets >> 5
    # Fields that do not overlap can be added instead of or-ed; sums below 2**32 are exact in float64.
    low = np.bincount(place, (shifted & _MASKS[32]).astype(np.float64), words + 2)
    high = np.bincount(place + 1, (shifted >> _WORD).astype(np.float64), words + 2)
    return (low + high)[:words].astype("<u4").view(np.uint8)[:size]


class Fields:
    """Reads fields out of a stream."""

    def __init__(self, stream: bytes) -> None:
        words = np.frombuffer(stream + bytes(8 - len(stream) % 4), "<u4").astype(np.uint64)
        self._windows = words[:-1] | (words[1:] << _WORD)  # from each word on, 64 bits: any field lies in one of them

    def read(self, offsets: Ints, widths: Ints | int) -> Ints:
        """The fields that begin at bit `offsets` and are `widths` wide, at most 32."""
        values = self._windows[offsets >> 5]
        values >>= (offsets & 31).view(np.uint64)
        values &= _MASKS[widths]
        found: Ints = values.view(np.int64)
        return found


def write_unary(values: Ints, groups: Ints) -> tuple[Bytes, Ints]:
    """Each value as so many zeros and a one. `groups` says how many values follow each other before the next byte.

    Returns the stream and the bytes of each group.
    """
    ends = np.cumsum(values + 1)
    last = np.cumsum(groups)
    bits = np.diff(np.concatenate([[0], ends])[last], prepend=0)
    sizes = (bits + 7) >> 3
    shift = before(sizes) * 8 - before(bits)
    ones = np.zeros(int(sizes.sum()) * 8, np.uint8)
    ones[ends - 1 + np.repeat(shift, groups)] = 1
    return np.packbits(ones, bitorder="little"), sizes


def read_unary(stream: bytes, sizes: Ints, groups: Ints) -> Ints | None:
    """The values that `write_unary` wrote; None where the stream does not hold as many as the groups say."""
    ones = np.flatnonzero(np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little"))
    if len(ones) != groups.sum():
        return None
    values = np.diff(ones, prepend=-1) - 1
    filled = groups > 0
    first = before(groups)[filled]
    values[first] = ones[first] - before(sizes)[filled] * 8  # zeros that fill up the group before are not its own
    if len(values) and values.min() < 0:
        return None
    return values
