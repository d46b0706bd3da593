"""Whether a text holds a passage of given texts: 13 words in a row, or a shorter text whole."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from potstill.texts.normal import words

WORDS = 13
_LEAST_WORDS = 8  # a text of fewer is found only where a text is nothing else
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

_Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Passages:
    """The passages of a collection of texts, some 12 bytes a word; made by `passages_of`."""

    _by_width: tuple[tuple[int, _Hashes, NDArray[np.int32]], ...]  # n-grams of a width, sorted, and their texts
    _whole: dict[int, int]  # hash of a short text: which it is

    def found_in(self, text: str) -> int | None:
        """Which of the texts, by its place among them, shares a passage with this one; None for none."""
        hashed = _hashed(words(text))
        for width, known, owners in self._by_width:
            grams = _grams(hashed, width)
            at = np.searchsorted(known, grams)
            at[at == len(known)] = 0
            hits = np.flatnonzero(known[at] == grams) if len(known) else at[:0]
            if len(hits):
                return int(owners[at[hits[0]]])
        if 0 < len(hashed) < _LEAST_WORDS:
            return self._whole.get(int(_grams(hashed, len(hashed))[0]))
        return None


def passages_of(texts: Iterable[str]) -> Passages:
    """The passages by which these texts are known again.

    Words in a row as in GPT-3 (Brown et al., "Language models are few-shot learners", 2020, appendix C): 13, lower-case
    and without punctuation; a text of 8 to 12 words is one passage. That paper takes no less than 8 words; here a
    shorter text is found where it is the whole of the other, because prompts are often short. Texts without a word are
    passed over.
    """
    grams: dict[int, list[_Hashes]] = {}
    owners: dict[int, list[NDArray[np.int32]]] = {}
    whole: dict[int, int] = {}
    for number, text in enumerate(texts):
        hashed = _hashed(words(text))
        if len(hashed) >= _LEAST_WORDS:
            width = min(WORDS, len(hashed))
            grams.setdefault(width, []).append(_grams(hashed, width))
            owners.setdefault(width, []).append(np.full(len(hashed) - width + 1, number, np.int32))
        elif len(hashed):
            whole.setdefault(int(_grams(hashed, len(hashed))[0]), number)
    return Passages(tuple(_sorted(width, grams[width], owners[width]) for width in sorted(grams, reverse=True)), whole)


def _sorted(
    width: int, grams: Sequence[_Hashes], owners: Sequence[NDArray[np.int32]]
) -> tuple[int, _Hashes, NDArray[np.int32]]:
    joined = np.concatenate(grams)
    order = np.argsort(joined, kind="stable")
    return width, joined[order], np.concatenate(owners)[order]


def _hashed(found: Sequence[str]) -> _Hashes:
    return np.fromiter((zlib.crc32(word.encode(errors="replace")) for word in found), np.uint64, len(found))


def _grams(hashed: _Hashes, width: int) -> _Hashes:
    """The hash of every run of `width` words."""
    if len(hashed) < width:
        return hashed[:0]
    windows = np.lib.stride_tricks.sliding_window_view(hashed, width)
    grams = np.full(len(windows), width, np.uint64)
    for column in range(width):
        grams = (grams ^ windows[:, column]) * _FACTOR
        grams ^= grams >> np.uint64(29)
    return grams
