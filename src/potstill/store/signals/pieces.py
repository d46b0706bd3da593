"""Coded sequences side by side, as the codecs of both kinds write and read them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from potstill.store.signals.bits import Bytes, Ints, before


@dataclass(frozen=True, slots=True)
class Coded:
    """One sequence as it lies in a file: `head` holds fields, `unary` begins on the byte after it."""

    positions: int
    head: bytes
    unary: bytes


@dataclass(frozen=True, slots=True)
class Pieces:
    """Several sequences (S), perhaps of several files, to be decoded together."""

    coded: Sequence[Coded]
    alphabets: Sequence[Ints]  # of the files that they come from
    file_of: Ints  # (S,): which alphabet is whose

    @property
    def positions(self) -> Ints:
        """Positions of each sequence (S,)."""
        return np.array([one.positions for one in self.coded], np.int64)

    @property
    def head_bits(self) -> Ints:
        """The bit at which each sequence's head begins when all heads are joined (S,)."""
        return before(np.array([len(one.head) for one in self.coded])) * 8

    @property
    def unary_sizes(self) -> Ints:
        """Bytes of each sequence's unary part (S,)."""
        return np.array([len(one.unary) for one in self.coded], np.int64)

    @property
    def alphabet_sizes(self) -> Ints:
        """Size of the alphabet of each sequence's file (S,)."""
        return np.array([len(one) for one in self.alphabets], np.int64)[self.file_of]

    @property
    def alphabet_starts(self) -> Ints:
        """Where each sequence's alphabet begins when all alphabets are joined (S,)."""
        return before(np.array([len(one) for one in self.alphabets]))[self.file_of]

    def head(self) -> bytes:
        """All heads joined."""
        return b"".join(one.head for one in self.coded)

    def unary(self) -> bytes:
        """All unary parts joined."""
        return b"".join(one.unary for one in self.coded)


def cut(positions: Ints, heads: Bytes, head_sizes: Ints, unary: Bytes, unary_sizes: Ints) -> list[Coded]:
    """The sequences out of what was written for all of them."""
    head_ends, unary_ends = np.cumsum(head_sizes).tolist(), np.cumsum(unary_sizes).tolist()
    return [
        Coded(count, heads[head_end - head : head_end].tobytes(), unary[end - size : end].tobytes())
        for count, head, head_end, size, end in zip(
            positions.tolist(), head_sizes.tolist(), head_ends, unary_sizes.tolist(), unary_ends, strict=True
        )
    ]
