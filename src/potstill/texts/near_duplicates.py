"""Near duplicates among any number of texts in little memory: MinHash signatures, looked up by bands."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from potstill.texts.shingles import Shingles, shingles, shingles_of

_BINS_LOG2 = 7  # 128 bins, 512 bytes a signature
_BINS = 1 << _BINS_LOG2
_ROWS = 8  # of a band: a pair at similarity s is looked at with probability 1 - (1 - s**8)**16, 0.95 at 0.8
_EDGES = np.arange(_BINS, dtype=np.uint64) << np.uint64(64 - _BINS_LOG2)
_NONE = np.uint64(2**64 - 1)
_MIX = np.uint64(0x9E3779B97F4A7C15)

Signature = NDArray[np.uint32]


def signature(found: Shingles) -> Signature:
    """The MinHash signature of a set of shingles: two are equal in a bin with the probability of their similarity.

    One permutation with 128 bins (Li, Owen and Zhang, "One permutation hashing", NIPS 2012): the hashes are sorted, so
    the smallest of each bin is found by one search. An empty bin takes the value of a bin that its own number and the
    try choose alike for all sets (Shrivastava, "Optimal densification for fast and accurate minwise hashing", ICML
    2017), which keeps the estimate unbiased for short texts.
    """
    at = np.searchsorted(found, _EDGES)
    full = np.diff(at, append=len(found)) > 0
    values = np.zeros(_BINS, np.uint64)
    values[full] = found[at[full]]
    numbers = np.arange(_BINS, dtype=np.uint64)
    attempt = 0
    empty = ~full
    while empty.any():
        attempt += 1
        donors = _donors(numbers[empty], attempt)
        taken = donors[full[donors]]
        places = np.flatnonzero(empty)[full[donors]]
        values[places] = found[at[taken]]
        empty[places] = False
    return (_scrambled(values) >> np.uint64(32)).astype(np.uint32)


def signatures(texts: Sequence[str]) -> NDArray[np.uint32]:
    """The signatures (T, 128) of texts, equal to `signature` of each, in a fraction of the time where texts are short.

    Smallest hashes are found without sorting. Working memory is some 60 bytes a character, so pass a few hundred texts.
    """
    hashes, of_text = shingles_of(texts)
    smallest = np.full(len(texts) * _BINS, _NONE, np.uint64)
    bins = (hashes >> np.uint64(64 - _BINS_LOG2)).astype(np.intp)
    np.minimum.at(smallest, of_text * _BINS + bins, hashes)
    found = smallest.reshape(len(texts), _BINS)
    full = np.zeros((len(texts), _BINS), bool)
    full[of_text, bins] = True
    values, empty, attempt = found.copy(), ~full, 0
    while len(rows := np.flatnonzero(empty.any(axis=1))):
        attempt += 1
        donors = _donors(np.arange(_BINS, dtype=np.uint64), attempt)
        filled = empty[rows] & full[rows][:, donors]
        values[rows] = np.where(filled, found[rows][:, donors], values[rows])
        empty[rows] &= ~filled
    return (_scrambled(values) >> np.uint64(32)).astype(np.uint32)


def similarity(one: Signature, other: Signature) -> float:
    """The estimated Jaccard similarity of two signatures; its standard error is at most 0.044."""
    return float(np.mean(one == other))


@dataclass(slots=True)
class NearDuplicates:
    """Takes texts one by one and says which earlier one each resembles; some 3 KB a kept text.

    Only texts of one `group` are compared. `threshold` is the least Jaccard similarity of 5-character shingles, from
    0.5, estimated from signatures. A text that resembles an earlier one is not kept itself, so the first of a chain
    stands for all that resemble it.
    """

    threshold: float
    _signatures: NDArray[np.uint32] = field(default_factory=lambda: np.empty((0, _BINS), np.uint32))  # and spare rows
    _names: list[str] = field(default_factory=list)
    _first: dict[int, int] = field(default_factory=dict)  # by band; nearly all bands have one text
    _more: dict[int, list[int]] = field(default_factory=dict)

    def earlier(self, name: str, text: str, group: str = "", *, keep: bool = True) -> str | None:
        """The name of the kept text of the group that this one resembles.

        None where there is none: then it is kept itself, unless `keep` is False.
        """
        return self.earlier_signed(name, signature(shingles(text)), group, keep=keep)

    def earlier_signed(self, name: str, mine: Signature, group: str = "", *, keep: bool = True) -> str | None:
        """`earlier` of the text with this signature."""
        keys = self._keys(mine, group)
        candidates = {self._first[key] for key in keys if key in self._first}
        candidates.update(at for key in keys for at in self._more.get(key, ()))
        if candidates:  # texts of few words have hundreds, so they are looked at together
            at = np.asarray(sorted(candidates), np.intp)
            close = np.count_nonzero(self._signatures[at] == mine, axis=1) >= self.threshold * _BINS
            if close.any():
                first: str = self._names[int(at[close.argmax()])]
                return first
        if not keep:
            return None
        place = len(self._names)
        for key in keys:
            if self._first.setdefault(key, place) != place:
                self._more.setdefault(key, []).append(place)
        if place == len(self._signatures):
            spare = np.empty((max(place, 64), _BINS), np.uint32)
            self._signatures = np.concatenate([self._signatures, spare])
        self._signatures[place] = mine
        self._names.append(name)
        return None

    def _keys(self, mine: Signature, group: str) -> list[int]:
        rows = self._rows
        return [hash((group, start, mine[start : start + rows].tobytes())) for start in range(0, _BINS, rows)]

    @property
    def _rows(self) -> int:
        """Fewer rows a band where the threshold is low, so that most pairs above it are looked at."""
        return _ROWS if self.threshold >= 0.75 else _ROWS // 2


def _donors(bins: NDArray[np.uint64], attempt: int) -> NDArray[np.intp]:
    """The bin that each of these looks at in this try, if it is empty: it does not depend on the set."""
    return (_scrambled(bins * np.uint64(1009) + np.uint64(attempt)) >> np.uint64(64 - _BINS_LOG2)).astype(np.intp)


def _scrambled(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (values ^ (values >> np.uint64(31))) * _MIX
    return (mixed ^ (mixed >> np.uint64(29))) * _MIX
