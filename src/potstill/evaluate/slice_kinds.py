"""How held-out prompts are cut into slices: by right label, tag, length, and what they are about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from potstill.evaluate.measures import ByPrompt
from potstill.evaluate.slice_floors import MIN_PROMPTS_OF_SLICE
from potstill.texts.clusters import cluster_texts

Dimension = Literal["label", "tag", "length", "cluster"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

NO_TAG = "no tag"
_MOST_BINS, _MOST_CLUSTERS = 4, 8
_PROMPTS_A_CLUSTER = 60  # on average, so that most have enough to conclude something
_MOST_SLICES = 200  # of one dimension; a tag a prompt is no cut


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the held-out prompts, under the name that people know them by."""

    dimension: Dimension
    name: str
    members: NDArray[np.bool_]  # (prompts,)

    @property
    def n(self) -> int:
        """How many prompts it has."""
        return int(self.members.sum())


def slices_of(scores: ByPrompt, seed: int) -> list[Slice]:
    """The slices of every dimension that cuts the prompts at all; each dimension's do not overlap.

    Of a dimension with more than 200 the largest are kept.
    """
    found = []
    for dimension in DIMENSIONS:
        names = np.array(_names(dimension, scores, seed), dtype=object)
        there = [name for name in dict.fromkeys(names) if name is not None]
        own = [Slice(dimension, name, np.asarray(names == name, dtype=np.bool_)) for name in there]
        if len(own) > _MOST_SLICES:
            own = sorted(own, key=lambda one: -one.n)[:_MOST_SLICES]
        found += own if len(own) > 1 else []
    return found


def _names(dimension: Dimension, scores: ByPrompt, seed: int) -> Sequence[str | None]:
    """Each prompt's slice; None for a prompt that is in none."""
    match dimension:
        case "label":
            return scores.labels
        case "tag":
            return [NO_TAG if tag is None else tag for tag in scores.tags]
        case "length":
            return _length_bins(scores.lengths)
        case "cluster":
            count = min(len(scores.texts) // _PROMPTS_A_CLUSTER, _MOST_CLUSTERS)
            clusters = cluster_texts(scores.texts, count, seed)
            return [clusters.names[at] if at >= 0 else None for at in clusters.of]


def _length_bins(lengths: NDArray[np.int64]) -> Sequence[str | None]:
    """Up to four bins of about equally many prompts, at least 30 in each but for prompts of equal length."""
    count = min(len(lengths) // MIN_PROMPTS_OF_SLICE, _MOST_BINS)
    if count < 2:
        return [None] * len(lengths)
    edges = np.unique(np.quantile(lengths, np.arange(1, count) / count, method="higher"))
    place = np.searchsorted(edges, lengths, side="right")
    names = {}
    for at in np.unique(place):
        low, high = int(lengths[place == at].min()), int(lengths[place == at].max())
        names[int(at)] = f"{low} to {high} tokens" if low < high else f"{low} token{'s' * (low != 1)}"
    return [names[int(at)] for at in place]
