"""Texts grouped by the words that they share, without a model: TF-IDF vectors and spherical k-means, in numpy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from potstill.texts.tf_idf import TfIdf

Floats = NDArray[np.float64]

_MOST_TERMS = 2000
_FITTED_ON = 4000  # texts that the centres are found on; all others go to the nearest one
_PAGE = 4000  # texts whose vectors are held in memory together
_RESTARTS, _ROUNDS = 8, 100
_COMMON = 0.5  # a word in more than this share of the texts tells none apart
_NAMED_BY = 3  # words


@dataclass(frozen=True, slots=True)
class Clusters:
    """`of` (texts,) is each text's cluster, -1 for one without a telling word; `names` are the clusters' words."""

    of: NDArray[np.int64]
    names: tuple[str, ...]


def cluster_texts(texts: Sequence[str], count: int, seed: int = 0) -> Clusters:
    """At most `count` clusters, the largest first; none where the texts share no words. Deterministic by `seed`.

    Vectors are those of `TfIdf` over single words, and the k-means of unit vectors (Dhillon & Modha 2001) is the best
    of 8 from seeds drawn as k-means++ draws them (Arthur & Vassilvitskii 2007). A cluster is named by the words in
    which its centre lies furthest from that of all texts.
    """
    none = Clusters(np.full(len(texts), -1), ())
    if count < 2 or not texts:
        return none
    draw, vectors = np.random.default_rng(seed), _Vectors(texts)
    chosen = np.zeros(len(texts), dtype=np.bool_)
    chosen[draw.permutation(len(texts))[:_FITTED_ON]] = True
    pages = np.split(chosen, range(_PAGE, len(texts), _PAGE))
    fitted = np.concatenate([part[own] for part, own in zip(vectors.pages(), pages, strict=True)])
    fitted = fitted[fitted.any(axis=1)]
    if len(fitted) < count:
        return none
    centres = max((_k_means(fitted, count, draw) for _ in range(_RESTARTS)), key=lambda found: found[1])[0]
    nearest = np.concatenate([_nearest(part, centres) for part in vectors.pages()])
    sizes = np.bincount(nearest[nearest >= 0], minlength=len(centres))
    order = [int(at) for at in np.argsort(-sizes, kind="stable") if sizes[at]]
    place = np.full(len(centres) + 1, -1)  # its last entry is that of -1
    place[order] = np.arange(len(order))
    return Clusters(place[nearest], _names(centres[order], fitted.mean(axis=0), vectors.terms))


class _Vectors:
    """The texts' vectors over the words that tell them apart, made dense a page at a time.

    Left out are words of one text alone, those of more than half of the texts, and all but the 2,000 most frequent.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        made = TfIdf(texts)
        self._found, terms = made.rows(texts), made.terms
        self._length = len(texts)
        having = np.bincount(self._found.columns, minlength=self._found.shape[1])
        words = np.array([" " not in term for term in terms], dtype=np.bool_)
        telling = np.flatnonzero(words & (having >= 2) & (having <= _COMMON * len(texts)))
        kept = telling[np.argsort(-having[telling], kind="stable")][:_MOST_TERMS]
        self.terms = [terms[at] for at in kept.tolist()]
        self._place = np.full(len(terms), -1)
        self._place[kept] = np.arange(len(kept))

    def rows(self, start: int, stop: int) -> Floats:
        """(stop - start, terms) vectors of length 1, or 0 for a text without a telling word."""
        low, high = np.searchsorted(self._found.rows, (start, stop))
        table = np.zeros((stop - start, len(self.terms)))
        columns = self._place[self._found.columns[low:high]]
        there = columns >= 0
        table[self._found.rows[low:high][there] - start, columns[there]] = self._found.values[low:high][there]
        lengths = np.linalg.norm(table, axis=1, keepdims=True)
        np.divide(table, lengths, out=table, where=lengths > 0)
        return table

    def pages(self) -> Iterator[Floats]:
        """All texts' vectors, some at a time."""
        for start in range(0, self._length, _PAGE):
            yield self.rows(start, min(start + _PAGE, self._length))


def _k_means(vectors: Floats, count: int, draw: np.random.Generator) -> tuple[Floats, float]:
    """Centres (≤ count, terms) of length 1, and the sum of all texts' cosines with theirs."""
    centres = _first_centres(vectors, count, draw)
    before = np.full(len(vectors), -1)
    for _ in range(_ROUNDS):
        nearest = _nearest(vectors, centres)
        if (nearest == before).all():
            break
        before = nearest
        sums = np.stack([vectors[nearest == at].sum(axis=0) for at in np.unique(nearest)])
        centres = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return centres, float((vectors @ centres.T).max(axis=1).sum())


def _first_centres(vectors: Floats, count: int, draw: np.random.Generator) -> Floats:
    """Each next one is drawn with its squared distance to the nearest so far, 2 - 2 cosine, as weight."""
    chosen = [int(draw.integers(len(vectors)))]
    while len(chosen) < count:
        distance = np.maximum(1 - (vectors @ vectors[chosen].T).max(axis=1), 0.0)
        distance[distance < 1e-9] = 0.0
        if not distance.any():
            break
        chosen.append(int(draw.choice(len(vectors), p=distance / distance.sum())))
    return vectors[chosen]


def _nearest(vectors: Floats, centres: Floats) -> NDArray[np.int64]:
    """(texts,) the centre with the greatest cosine; -1 for a vector of nothing."""
    cosines = np.round(vectors @ centres.T, 12)  # equal ones stay equal, however the sums were ordered
    return np.where(vectors.any(axis=1), cosines.argmax(axis=1), -1)


def _names(centres: Floats, mean: Floats, terms: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for centre in centres:
        telling = np.argsort(-(centre - mean / np.linalg.norm(mean)), kind="stable")
        own = [terms[at] for at in telling if centre[at] > 0]
        width = _NAMED_BY
        while (name := ", ".join(own[:width])) in names and width < len(own):
            width += 1
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return tuple(names)
