"""Accounts that are active in the same five minutes, beyond their own timetables and everybody's ups and downs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from potstill.guard.evidence.links import Link
from potstill.guard.evidence.names import name_accounts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BIN_S: Final = 300
_DAY_BINS: Final = 288
_FEW: Final = 0.25  # of all accounts: fewer at once are not everybody, but may be the campaign that is looked for
_WIDTH: Final = 1_024  # numbers an account's activity is sketched in; a similarity is then off by 0.031 (one sigma)
_NOISE: Final = 0.09  # three sigma: pairs that come this near are looked at exactly
_BLOCK: Final = 512  # accounts compared with all at a time: 50 MB for 24,000 accounts
_COMMON: Final = 6  # bins that a pair is active in, at least: of accounts with few bins some meet by chance
_PARTNERS: Final = 20  # of each account, the most alike: enough to hold a campaign of any size together
_PAIRS_AT_ONCE: Final = 4_096


def coactive_pairs(connection: "DuckDBPyConnection", similarity: float = 0.2, least_bins: int = 12) -> list[Link]:
    """A link for every pair that is active together at least this much, the most alike first.

    An account is 1 in each five minutes with an event of it. Taken off is what was to be expected: its own mean of that
    time of day, weekdays and weekends apart, so that timetables and office hours make no pair. Bins in which more
    accounts are active than is usual at that time of day count for less, so launch days make none either. The
    similarity is what is left in common over the geometric mean of the active bins. `events` is the number of bins that
    both are active in, six or more. Left out are accounts that are active in fewer than `least_bins` bins; each account
    keeps its 20 most alike. A campaign that is most of the log looks like everybody, and is not seen here.
    """
    found = coactivity(connection, least_bins)
    if found is None:
        return []
    pairs = sorted(found.pairs(similarity), key=lambda pair: (-pair[2], pair[0], pair[1]))
    return [
        Link("coactivation", (found.names[one], found.names[other]), "", together, similarity=round(alike, 4))
        for one, other, alike, together in pairs
    ]


def coactivity(connection: "DuckDBPyConnection", least_bins: int = 12) -> "Coactivity | None":
    """The activity of all accounts with enough of it; None where fewer than two have."""
    name_accounts(connection)
    named = connection.execute("SELECT unnest(enum_range(NULL::account_name))::VARCHAR").fetchall()
    rows = connection.execute(
        """
        SELECT DISTINCT enum_code(account::account_name)::INTEGER AS number,
          (epoch_us(time) // (? * 1000000))::INTEGER AS bin
        FROM events WHERE account IS NOT NULL AND time IS NOT NULL
        """,
        [_BIN_S],
    ).fetchnumpy()
    active = np.bincount(rows["number"], minlength=len(named)) >= least_bins
    if active.sum() < 2:
        return None
    kept = active[rows["number"]]
    number = (np.cumsum(active, dtype=np.int32) - 1)[rows["number"][kept]]
    names = [name for (name,), enough in zip(named, active.tolist(), strict=True) if enough]
    return Coactivity.of(names, number, rows["bin"][kept])


@dataclass(frozen=True, slots=True)
class Coactivity:
    """Sparse activity of N accounts in T bins and S times of day (weekday or weekend), and a sketch of what is left.

    `sketch` (N, 1,024) are vectors whose inner products estimate similarities: a count sketch (Charikar, Chen and
    Farach-Colton 2002) of each account's residual over the square root of its active bins.
    """

    names: list[str]
    sketch: NDArray[np.float32]
    _active: Any  # (N, T) 0 or 1
    _weighted: Any  # (N, T) the bins' weights where active
    _by_time: Any  # (N, S) weights of active bins, summed by time of day
    _means: Any  # (N, S) share of the time's bins that the account is active in
    _times: NDArray[np.float64]  # (S,) weights of all bins of a time of day
    _bins: NDArray[np.float64]  # (N,) active bins

    @staticmethod
    def of(names: list[str], number: NDArray[np.int32], bins: NDArray[np.int32]) -> "Coactivity":
        """From pairs of account and bin, each once."""
        from scipy.sparse import csr_array, diags_array

        first = int(bins.min())
        at = (bins - first).astype(np.int32)
        width, n = int(at.max()) + 1, len(names)
        every = np.arange(first, first + width)
        day = every // _DAY_BINS
        time = (every % _DAY_BINS + _DAY_BINS * ((day + 3) % 7 >= 5)).astype(np.int32)  # 1970 began on a Thursday
        occurrences = np.bincount(time, minlength=2 * _DAY_BINS)
        shares = np.bincount(at, minlength=width) / n
        usual = np.bincount(time, shares, minlength=2 * _DAY_BINS) / np.maximum(occurrences, 1)
        weight = np.minimum((usual[time] + _FEW) / (shares + _FEW), 1)
        active = csr_array((np.ones(len(at), np.float32), (number, at)), shape=(n, width))
        heavy = weight.astype(np.float32)[active.indices]
        weighted = csr_array((heavy, active.indices, active.indptr), shape=(n, width))  # shares its places
        timetable = csr_array((np.ones(width, np.float32), (np.arange(width), time)), shape=(width, 2 * _DAY_BINS))
        means = csr_array((active @ timetable) @ diags_array(1 / np.maximum(occurrences, 1).astype(np.float32)))
        count = active.sum(axis=1)
        draw = np.random.default_rng(5)  # any signs and places will do; these are always the same
        signs = draw.choice(np.array((-1, 1)), width) * np.sqrt(weight)
        places = draw.integers(_WIDTH, size=width)
        hashed = csr_array((signs.astype(np.float32), (np.arange(width), places)), shape=(width, _WIDTH))
        expected = (timetable.T @ hashed).toarray()
        sketch = np.empty((n, _WIDTH), np.float32)
        for start in range(0, n, _BLOCK):
            some = slice(start, start + _BLOCK)
            left = (active[some] @ hashed).toarray() - means[some] @ expected
            sketch[some] = left / np.sqrt(count[some])[:, None]
        return Coactivity(
            names, sketch, active, weighted,
            csr_array(weighted @ timetable), means,
            np.bincount(time, weight, minlength=2 * _DAY_BINS).astype(np.float64), count.astype(np.float64),
        )  # fmt: skip

    def pairs(self, similarity: float) -> Iterator[tuple[int, int, float, int]]:
        """Pairs that are at least this similar, each account's 20 most alike: two numbers, similarity, common bins."""
        near = self._near(similarity - _NOISE)
        kept = np.zeros(len(self.names), np.int64)
        found: list[tuple[int, int, float, float]] = []
        for start in range(0, len(near), _PAIRS_AT_ONCE):
            one, other = near[start : start + _PAIRS_AT_ONCE].T
            alike = self._similarity(one, other)
            together = self._active[one].multiply(self._active[other]).sum(axis=1)
            chosen = (alike >= similarity) & (together >= _COMMON)
            found += zip(
                one[chosen].tolist(), other[chosen].tolist(), alike[chosen].tolist(), together[chosen].tolist(),
                strict=True,
            )  # fmt: skip
        for first, second, alike_pair, common in sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1])):
            if min(kept[first], kept[second]) < _PARTNERS:
                kept[first] += 1
                kept[second] += 1
                yield first, second, float(alike_pair), int(common)

    def _near(self, similarity: float) -> NDArray[np.intp]:
        """Pairs (P, 2) whose sketches are this similar, at most some of each account: N² times 512 products in all."""
        most = 3 * _PARTNERS
        found = [np.empty((0, 2), np.intp)]
        for start in range(0, len(self.names), _BLOCK):
            alike = self.sketch[start : start + _BLOCK] @ self.sketch[start:].T
            rows, columns = np.nonzero(alike >= similarity)
            once = columns > rows
            rows, columns = rows[once], columns[once]
            values = alike[rows, columns]
            order = np.lexsort((columns, -values, rows))
            rows, columns = rows[order], columns[order]
            place = np.arange(len(rows)) - np.searchsorted(rows, rows)
            found.append(np.stack((rows, columns), axis=1)[place < most] + start)
        return np.unique(np.concatenate(found), axis=0)

    def _similarity(self, one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.float64]:
        common = self._active[one].multiply(self._weighted[other]).sum(axis=1)
        expected = (self._means[one].multiply(self._means[other])) @ self._times
        mine = self._by_time[one].multiply(self._means[other]).sum(axis=1)
        theirs = self._by_time[other].multiply(self._means[one]).sum(axis=1)
        alike: NDArray[np.float64] = (common - mine - theirs + expected) / np.sqrt(self._bins[one] * self._bins[other])
        return alike
