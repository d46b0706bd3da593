"""Pairs of accounts that are active in the same five minutes, beyond their own hours and everybody's ups and downs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from potstill.guard.evidence.links import Link

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BIN_S: Final = 300
_HOURS: Final = 24
_FEW: Final = 0.05  # of all accounts: fewer at once are not everybody, but may be the campaign that is looked for
_BLOCK: Final = 1_024  # accounts compared at a time: two blocks of a month take 70 MB


def coactive_pairs(connection: "DuckDBPyConnection", similarity: float = 0.3, least_bins: int = 12) -> list[Link]:
    """A link for every pair whose activity correlates at least this much, the most alike first.

    An account is 1 in each five minutes with an event of it. Taken off is what was to be
    expected: its own mean of that hour of the day, times how much more all accounts do in this bin than in that hour of
    other days. So office hours and launch days make no pair. Left out are accounts that are
    active in fewer than `least_bins` bins. `events` is the number of bins that both are active in. Time grows with
    accounts² × bins, memory with bins. A campaign that is most of the log looks like everybody, and is not seen here.
    """
    rows = connection.execute(
        """
        SELECT account, bin FROM (
          SELECT DISTINCT account, epoch_us(time) // (? * 1000000) AS bin FROM events
          WHERE account IS NOT NULL AND time IS NOT NULL
        ) QUALIFY count(*) OVER (PARTITION BY account) >= ? ORDER BY account, bin
        """,
        [_BIN_S, least_bins],
    ).fetchnumpy()
    names, at = np.unique(rows["account"], return_inverse=True)
    if len(names) < 2:
        return []
    first = int(rows["bin"].min())
    bins = rows["bin"] - first
    width = int(bins.max()) + 1
    shares = np.bincount(bins, minlength=width) / len(names)
    found = list(_pairs(_Activity(at, bins, width, first, shares, len(names)), similarity))
    found.sort(key=lambda pair: (-pair[2], pair[0], pair[1]))
    return [
        Link("coactivation", (str(names[one]), str(names[other])), "", together, similarity=round(alike, 4))
        for one, other, alike, together in found
    ]


class _Activity:
    """Which accounts are active in which bins, given out a block of accounts at a time."""

    def __init__(
        self, account: NDArray[np.intp], bins: NDArray[np.int64], width: int, first: int,
        shares: NDArray[np.float64], accounts: int,
    ) -> None:  # fmt: skip
        self._account, self._bins, self._width, self.accounts = account, bins, width, accounts
        self._hour = (np.arange(first, first + width) * _BIN_S // 3600) % _HOURS
        usual = _by_hour(shares[None, :], self._hour)[0]
        self._lift = ((shares + _FEW) / (usual + _FEW)).astype(np.float32)

    def block(self, start: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Residuals of unit length and 0 or 1, each accounts × bins, of the block that begins at this account."""
        low, high = np.searchsorted(self._account, (start, min(start + _BLOCK, self.accounts)))
        active = np.zeros((min(_BLOCK, self.accounts - start), self._width), np.float32)
        active[self._account[low:high] - start, self._bins[low:high]] = 1
        rest = active - np.minimum(_by_hour(active, self._hour) * self._lift, 1)
        norm = np.linalg.norm(rest, axis=1, keepdims=True)
        return rest / np.where(norm > 1e-6, norm, np.inf), active


def _by_hour(active: NDArray[Any], hour: NDArray[np.int64]) -> NDArray[np.float32]:
    """The mean of each row in each hour of the day, spread over the bins again."""
    means = np.zeros((len(active), _HOURS), np.float32)
    for one in np.unique(hour):
        means[:, one] = active[:, hour == one].mean(axis=1)
    return means[:, hour]


def _pairs(activity: _Activity, similarity: float) -> Iterator[tuple[int, int, float, int]]:
    for start in range(0, activity.accounts, _BLOCK):
        mine, active = activity.block(start)
        for other in range(start, activity.accounts, _BLOCK):
            theirs, their_active = (mine, active) if other == start else activity.block(other)
            alike = mine @ theirs.T
            rows, columns = np.nonzero(np.triu(alike, 1) >= similarity if other == start else alike >= similarity)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                yield start + row, other + column, float(alike[row, column]), int(active[row] @ their_active[column])
