"""Finds the texts that say nearly what a held-out text says: exactly, and without comparing all pairs."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from potstill.texts.shingles import Shingles, shingles

THRESHOLD = 0.7
_SLOTS_LOG2 = 22  # shingles are counted in a table of 4 million slots: memory does not grow with the texts


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


def _slots(found: Shingles) -> NDArray[np.uint64]:
    return found >> np.uint64(64 - _SLOTS_LOG2)
