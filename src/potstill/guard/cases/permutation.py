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
_ENTRIES: Final = 500_000  # customers in the sets that are looked at at a time
_ALWAYS: Final = 9_999  # permutations, however large the group is
_IN_ALL: Final = 500_000  # customers in all sets of a group, beyond that


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of customers: their numbers (B, c), and a sparse matrix (B, customers) of 0 and 1 that picks them."""

    numbers: Numbers
    chooser: Any

    @staticmethod
    def of(numbers: Numbers, customers: int) -> "Sets":
        """From the numbers."""
        from scipy.sparse import csr_array

        count, size = numbers.shape
        ends = np.arange(0, count * size + 1, size)
        ones = np.ones(numbers.size, np.float32)
        return Sets(numbers, csr_array((ones, numbers.ravel(), ends), shape=(count, customers)))


class Statistic(Protocol):
    """What a group has in common, a number a set of customers."""

    def of(self, sets: Sets) -> Floats:
        """The values (B,) of sets."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Pairs of a set that share something, each weighed by how rare that is: sum over v of w_v n_v (n_v - 1) / 2."""

    holds: Any  # sparse (customers, values), 0 or 1
    bits: Floats  # (values,)

    def of(self, sets: Sets) -> Floats:
        """In bits."""
        counts = (sets.chooser @ self.holds).tocsr()
        counts.data = counts.data * (counts.data - 1) / 2
        found: Floats = counts @ self.bits
        return found

    def ties(self, members: Numbers) -> Floats:
        """What everybody (customers,) shares with the members other than itself, in bits."""
        holding = np.asarray(self.holds[members].sum(axis=0), np.float64)
        found: Floats = self.holds @ (self.bits * holding)
        found[members] -= self.holds[members] @ self.bits
        return found

    def pairs(self, members: Numbers) -> Any:
        """What each two of the members share, a sparse matrix in bits; its diagonal says nothing."""
        held = self.holds[members]
        return (held.multiply(self.bits) @ held.T).tocsr()


@dataclass(frozen=True, slots=True)
class Linked:
    """Sum over the pairs of a set of how alike they are, where they are alike at all."""

    alike: Any  # sparse (customers, customers), symmetric, nothing on its diagonal

    def of(self, sets: Sets) -> Floats:
        """In the unit of `alike`."""
        found: Floats = (sets.chooser @ self.alike).multiply(sets.chooser).sum(axis=1) / 2
        return found

    def ties(self, members: Numbers) -> Floats:
        """How alike everybody (customers,) is to the members, summed."""
        found: Floats = self.alike[:, members].sum(axis=1).astype(np.float64)
        return found

    def pairs(self, members: Numbers) -> Any:
        """How alike each two of the members are, a sparse matrix."""
        return self.alike[members][:, members]


@dataclass(frozen=True, slots=True)
class Total:
    """Sum over a set of a score each."""

    scores: Floats  # (customers,)

    def of(self, sets: Sets) -> Floats:
        """In the scores' unit."""
        found: Floats = self.scores[sets.numbers].sum(axis=1)
        return found


@dataclass(frozen=True, slots=True)
class Exchangeable:
    """Customers in blocks: within one, any could have stood in any other's place if nothing joined them."""

    block: Numbers  # (customers,) the number of each one's block

    def __post_init__(self) -> None:
        if self.block.ndim != 1:
            raise ValueError("one block a customer")

    def draws(self, members: Sequence[int], count: int, rng: np.random.Generator) -> Numbers:
        """Sets (count, c) with as many of each block as the members have, each set as likely as any other."""
        parts = [pool[_distinct(len(pool), size, count, rng)] for pool, size in self._pools(members)]
        return np.concatenate(parts, axis=1)

    def _pools(self, members: Sequence[int]) -> list[tuple[Numbers, int]]:
        """Everybody in the members' blocks, and how many of the members are in each."""
        blocks, sizes = np.unique(self.block[list(members)], return_counts=True)
        return [(np.flatnonzero(self.block == one), int(size)) for one, size in zip(blocks, sizes, strict=True)]

    def smallest_p(self, members: Sequence[int], permutations: int) -> float:
        """The smallest p-value that a group can have: of so many permutations, and of the sets that there are."""
        log_sets = 0.0
        for pool, size in self._pools(members):
            log_sets += math.lgamma(len(pool) + 1) - math.lgamma(size + 1) - math.lgamma(len(pool) - size + 1)
        return max(1 / (self.most(members, permutations) + 1), math.exp(-log_sets))

    @staticmethod
    def most(members: Sequence[int], permutations: int) -> int:
        """How many permutations a group gets: fewer than asked for, but 9,999, where it is large."""
        return min(permutations, max(_ALWAYS, _IN_ALL // len(members)))

    def p_values(
        self, statistics: Sequence[Statistic], members: Sequence[int], permutations: int, rng: np.random.Generator,
        part: Sequence[int] | None = None,
    ) -> list[float]:  # fmt: skip
        """For each statistic the chance of at least the members' value among sets drawn within the blocks.

        (hits + 1) / (drawn + 1) where `most` permutations were drawn, which is never 0 (Phipson & Smyth 2010). Once 20
        sets have reached the value, no more are drawn and it is 20 / drawn, which keeps the level too (Besag & Clifford
        1991). Members with nothing in common get 1. Of a `part` of the members the value is that part's own, still
        among sets as large as all: whole sets have at least what their best part has, so choosing it favours none.
        """
        mine = Sets.of(np.asarray([members if part is None else part], dtype=np.intp), len(self.block))
        observed = [float(one.of(mine)[0]) for one in statistics]
        open_ones = {
            at: 0 for at, one in enumerate(statistics) if isinstance(one, Total) or observed[at] > 0
        }  # hits by statistic
        found, drawn = [1.0] * len(statistics), 0
        for size in _batches(self.most(members, permutations), len(members)):
            if not open_ones:
                break
            sets = Sets.of(self.draws(members, size, rng), len(self.block))
            for at, hits in list(open_ones.items()):
                slack = 1e-6 * max(abs(observed[at]), 1e-3)  # of rounding between sets that are equal
                reached = np.cumsum(statistics[at].of(sets) >= observed[at] - slack)
                if hits + int(reached[-1]) >= _STOP:
                    found[at] = _STOP / (drawn + 1 + int(np.searchsorted(reached, _STOP - hits)))
                    del open_ones[at]
                else:
                    open_ones[at] = hits + int(reached[-1])
            drawn += size
        for at, hits in open_ones.items():
            found[at] = (hits + 1) / (drawn + 1)
        return found

    def p_value(
        self, statistic: Statistic, members: Sequence[int], permutations: int, rng: np.random.Generator
    ) -> float:
        """`p_values` of one."""
        return self.p_values([statistic], members, permutations, rng)[0]


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
        return np.argpartition(rng.random((count, pool)), size - 1, axis=1)[:, :size]
    drawn = rng.integers(pool, size=(count, size))
    if size * size <= pool:  # few sets have a number twice: those are drawn anew as a whole
        again = np.arange(count)
        while len(again):
            ordered = np.sort(drawn[again], axis=1)
            again = again[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
            drawn[again] = rng.integers(pool, size=(len(again), size))
        return drawn
    drawn = drawn.astype(np.int32)  # numbers are sorted much faster than places
    while True:  # what is drawn twice is drawn again; no number is favoured, so no set is
        drawn.sort(axis=1)
        again = drawn[:, 1:] == drawn[:, :-1]
        twice = int(again.sum())
        if not twice:
            return drawn.astype(np.intp)
        drawn[:, 1:][again] = rng.integers(pool, size=twice)
