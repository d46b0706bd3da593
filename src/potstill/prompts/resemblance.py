"""Finds the texts that say nearly what a held-out text says: exactly, and without comparing all pairs."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.7
_SHINGLE = 5  # characters
_SLOTS_LOG2 = 22  # shingles are counted in a table of 4 million slots: memory does not grow with the texts
_PUNCTUATION = str.maketrans(dict.fromkeys(".,;:!?…\"'`“”‘’«»()[]{}。，！？；：、「」¿¡", " "))

Shingles = NDArray[np.uint64]


def resembling(texts: Sequence[str], held_out: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (held-out text, other text), as positions, whose similarity is at least THRESHOLD.

    Similarity is the Jaccard similarity of the sets of 5-character shingles, each weighted by log((n+1)/(number of
    texts that hold it)), so that a template which all prompts share says nothing: among many of its kind "Define the
    word kettle in one sentence." does not resemble "Define the word saddle in one sentence.", but does resemble itself
    with a "please" in front. Case, spaces and sentence punctuation don't count; other signs do ("3 + 4", "3 - 4").

    Two texts above the threshold must share one of each one's heaviest shingles (prefix filtering; Bayardo, Ma and
    Srikant, "Scaling up all pairs similarity search", WWW 2007), so only such pairs are compared.
    """
    weights = _Weights(texts)
    chosen = set(held_out)
    held = {at: weights.weigh(texts[at]) for at in held_out}
    holders: defaultdict[int, list[int]] = defaultdict(list)
    for at, weighed in held.items():
        for shingle in weighed.heaviest(THRESHOLD):
            holders[shingle].append(at)
    pairs = []
    for at, text in enumerate(texts):
        if at in chosen:
            continue
        weighed = weights.weigh(text)
        candidates = {one for shingle in weighed.heaviest(THRESHOLD) for one in holders.get(shingle, ())}
        pairs += [(one, at) for one in sorted(candidates) if held[one].similarity(weighed) >= THRESHOLD]
    return pairs


@dataclass(frozen=True, slots=True)
class _Weighed:
    shingles: Shingles  # sorted
    weights: NDArray[np.float64]
    total: float

    def heaviest(self, threshold: float) -> Iterator[int]:
        """The shingles without which the rest cannot weigh `threshold` of the whole."""
        order = np.lexsort((self.shingles, -self.weights))
        before = np.cumsum(self.weights[order]) - self.weights[order]
        needed = int(np.searchsorted(before, self.total * (1 - threshold) + 1e-9, side="right"))
        return map(int, self.shingles[order[:needed]])

    def similarity(self, other: "_Weighed") -> float:
        """Weighted Jaccard similarity, 0 to 1."""
        _, mine, _ = np.intersect1d(self.shingles, other.shingles, assume_unique=True, return_indices=True)
        shared = float(self.weights[mine].sum())
        return shared / (self.total + other.total - shared)


class _Weights:
    """How much each shingle says, from the number of texts that hold it."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = len(texts)
        self._holders = np.zeros(1 << _SLOTS_LOG2, np.int64)
        for text in texts:
            self._holders[np.unique(_slots(shingles(text)))] += 1

    def weigh(self, text: str) -> _Weighed:
        found = shingles(text)
        weights = np.log((self._texts + 1) / self._holders[_slots(found)])
        return _Weighed(found, weights, float(weights.sum()))


def shingles(text: str) -> Shingles:
    """The sorted 64-bit hashes of a text's 5-character shingles; a shorter text is one shingle."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = " ".join(plain.translate(_PUNCTUATION).split()) or plain
    points = np.frombuffer(plain.encode("utf-32-le"), np.uint32).astype(np.uint64)
    width = min(_SHINGLE, len(points))
    windows = np.lib.stride_tricks.sliding_window_view(points, width)
    hashes = np.full(len(windows), width, np.uint64)
    for column in range(width):
        hashes = (hashes ^ windows[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)


def _slots(found: Shingles) -> NDArray[np.uint64]:
    return found >> np.uint64(64 - _SLOTS_LOG2)
