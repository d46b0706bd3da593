"""Texts as TF-IDF vectors: words and pairs of words, weighted by how rare they are, each vector of length 1."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from potstill.texts.normal import words


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A matrix (texts, width) by its entries: `rows`, `columns` and `values` (entries,), in the order of the texts."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]
    shape: tuple[int, int]


class TfIdf:
    """Vectors of texts by the terms of the texts that it was made from.

    The weight of a term is its count times log((1 + n) / (1 + d)) + 1 for n texts of which d have it (scikit-learn's
    smoothed TfidfVectorizer, with words and pairs of words as terms), and each vector is divided by its length.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        having = Counter(term for text in texts for term in set(_terms(text)))
        self._place = {term: at for at, term in enumerate(sorted(having))}
        found = np.array([having[term] for term in self._place], dtype=np.float64)
        self._weights = np.log((1 + len(texts)) / (1 + found)) + 1

    @property
    def terms(self) -> list[str]:
        """The terms in the order of the columns; a pair has a space between its words."""
        return list(self._place)

    def rows(self, texts: Sequence[str]) -> SparseRows:
        """The vectors of these texts; a text without a known term is all zeros."""
        counts = [Counter(self._place[term] for term in _terms(text) if term in self._place) for text in texts]
        rows = np.repeat(np.arange(len(texts)), [len(one) for one in counts])
        columns = np.array([column for one in counts for column in one], dtype=np.int64)
        values = np.array([float(count) for one in counts for count in one.values()]) * self._weights[columns]
        lengths = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(texts)))
        return SparseRows(rows, columns, values / lengths[rows], (len(texts), len(self._place)))


def _terms(text: str) -> list[str]:
    said = words(text)
    return said + [f"{first} {second}" for first, second in pairwise(said)]
