"""Permutation p-values of groups: is there more in common than among as many others of the same blocks?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.intp]
Floats = NDArray[np.float64]

_STOP: Final = 20  # permutations that reach the observed value, after which no more are drawn
_FIRST: Final = 100
_ENTRIES: Final = 2_000_000  # customers in the sets that are looked at at a time
_ALWAYS: Final = 9_999  # permutations, however large the group is
_IN_ALL: Final = 4_000_000  # customers in all sets of a group, beyond that


class Statistic(Protocol):
    """What a group has in common, a number a set of customers."""

    def of(self, sets: Numbers) -> Floats:
        """The values (B,) of sets (B, c) of customers' numbers."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Pairs of a set that share something, each weighed by how rare that is: sum over v of w_v n_v (n_v - 1) / 2."""

    holds: Any  # sparse (customers, values), 0 or 1
    bits: Floats  # (values,)

    def of(self, sets: Numbers) -> Floats:
        """In bits."""
        counts = (_chooser(sets, self.holds.shape[0]) @ self.holds).tocsr()
        counts.data = counts.data * (counts.data - 1) / 2
        found: Floats = counts @ self.bits
        return found


@dataclass(frozen=True, slots=True)
class Alike:
    """Sum over pairs of a set of the inner product of their vectors."""

    vectors: NDArray[np.float32]  # (customers, width)

    def of(self, sets: Numbers) -> Floats:
        """(|sum of vectors|² - sum of |vector|²) / 2."""
        norms = np.einsum("nw,nw->n", self.vectors, self.vectors)
        sums = _chooser(sets, len(self.vectors)) @ self.vectors
        found: Floats = (np.einsum("bw,bw->b", sums, sums) - norms[sets].sum(axis=1)).astype(np.float64) / 2
        return found


@dataclass(frozen=True, slots=True)
class Total:
    """Sum over a set of a score each."""

    scores: Floats  # (customers,)

    def of(self, sets: Numbers) -> Floats:
        """In the scores' unit."""
        found: Floats = self.scores[sets].sum(axis=1)
        return found


def _chooser(sets: Numbers, customers: int) -> Any:
    """A sparse matrix (B, customers) of 0 and 1 that picks the customers of each set."""
    from scipy.sparse import csr_array

    count, size = sets.shape
    ends = np.arange(0, count * size + 1, size)
    return csr_array((np.ones(sets.size, np.float32), sets.ravel(), ends), shape=(count, customers))


@dataclass(frozen=True, slots=True)
class Exchangeable:
    """Customers in blocks: within one, any could have stood in any other's place if nothing joined them."""

    block: Numbers  # (customers,) the number of each one's block

    def __post_init__(self) -> None:
        if self.block.ndim != 1:
            raise ValueError("one block a customer")

    def draws(self, members: Sequence[int], count: int, rng: np.random.Generator) -> Numbers:
        """Sets (count, c) with as many of each block as the members have, each set as likely as any other."""
        parts = []
        for block, size in zip(*np.unique(self.block[list(members)], return_counts=True), strict=True):
            pool = np.flatnonzero(self.block == block)
            parts.append(pool[_distinct(len(pool), int(size), count, rng)])
        return np.concatenate(parts, axis=1)

    def smallest_p(self, members: Sequence[int], permutations: int) -> float:
        """The smallest p-value that a group can have: of so many permutations, and of the sets that there are."""
        log_sets = 0.0
        for block, size in zip(*np.unique(self.block[list(members)], return_counts=True), strict=True):
            pool = int((self.block == block).sum())
            log_sets += math.lgamma(pool + 1) - math.lgamma(size + 1) - math.lgamma(pool - size + 1)
        return max(1 / (self.most(members, permutations) + 1), math.exp(-log_sets))

    @staticmethod
    def most(members: Sequence[int], permutations: int) -> int:
        """How many permutations a group gets: fewer than asked for, but 9,999, where it is large."""
        return min(permutations, max(_ALWAYS, _IN_ALL // len(members)))

    def p_value(
        self, statistic: Statistic, members: Sequence[int], permutations: int, rng: np.random.Generator
    ) -> float:
        """The chance of at least the members' value among sets drawn within the blocks.

        (hits + 1) / (drawn + 1) where `most` permutations were drawn, which is never 0 (Phipson & Smyth 2010). Once 20
        sets have reached the value, no more are drawn and it is 20 / drawn, which keeps the level too (Besag & Clifford
        1991). Members with nothing in common get 1.
        """
        observed = float(statistic.of(np.asarray([members], dtype=np.intp))[0])
        if isinstance(statistic, Shared) and observed <= 0:
            return 1.0
        slack = 1e-6 * max(abs(observed), 1e-3)  # of rounding between sets that are equal
        hits = drawn = 0
        for size in _batches(self.most(members, permutations), len(members)):
            reached = np.cumsum(statistic.of(self.draws(members, size, rng)) >= observed - slack)
            if hits + int(reached[-1]) >= _STOP:
                return _STOP / (drawn + 1 + int(np.searchsorted(reached, _STOP - hits)))
            hits, drawn = hits + int(reached[-1]), drawn + size
        return (hits + 1) / (drawn + 1)


def _batches(permutations: int, members: int) -> Iterator[int]:
    size, left = _FIRST, permutations
    while left > 0:
        size = max(min(size, left, _ENTRIES // members), 1)
        yield size
        left -= size
        size *= 4


def _distinct(pool: int, size: int, count: int, rng: np.random.Generator) -> Numbers:
    """Sets (count, size) of different numbers below `pool`, every set as likely as any other."""
    if size * 4 >= pool:
        order = np.argsort(rng.random((count, pool)), axis=1)
        return order[:, :size]
    drawn = rng.integers(pool, size=(count, size))
    while True:  # what is drawn twice is drawn again; no number is favoured, so no set is
        order = np.argsort(drawn, axis=1, kind="stable")
        ordered = np.take_along_axis(drawn, order, axis=1)
        again = np.zeros(drawn.shape, bool)
        np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        twice = int(again.sum())
        if not twice:
            return drawn.astype(np.intp)
        drawn[again] = rng.integers(pool, size=twice)
