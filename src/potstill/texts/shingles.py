"""A text as the set of its runs of five characters, hashed: what resemblance and near duplicates are counted on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from potstill.texts.normal import plain_text

_WIDTH = 5  # characters

Shingles = NDArray[np.uint64]


def shingles(text: str) -> Shingles:
    """The sorted 64-bit hashes of a text's 5-character shingles in its plain form; a shorter text is one shingle."""
    points = _points(plain_text(text))
    width = min(_WIDTH, len(points))
    return np.unique(_hashed(np.lib.stride_tricks.sliding_window_view(points, width)))


def shingles_of(texts: Sequence[str]) -> tuple[Shingles, NDArray[np.intp]]:
    """The shingles of texts one after the other, neither sorted nor each once, and the number of each one's text."""
    plain = [plain_text(text) for text in texts]
    lengths = np.asarray([len(text) for text in plain], np.intp)
    points, number = _points("".join(plain)), np.repeat(np.arange(len(plain)), lengths)
    if len(points) < _WIDTH:
        hashes, of_text = np.empty(0, np.uint64), np.empty(0, np.intp)
    else:
        within = number[: 1 - _WIDTH] == number[_WIDTH - 1 :]  # a window that ends in the text that it begins in
        hashes = _hashed(np.lib.stride_tricks.sliding_window_view(points, _WIDTH)[within])
        of_text = number[: 1 - _WIDTH][within]
    short = np.flatnonzero(lengths < _WIDTH)
    return (
        np.concatenate([hashes, *(shingles(plain[at]) for at in short)]),
        np.concatenate([of_text, short]),
    )


def _points(text: str) -> NDArray[np.uint64]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)


def _hashed(windows: NDArray[np.uint64]) -> Shingles:
    """A hash of each row of characters (W, width)."""
    width = windows.shape[1]
    hashes = np.full(len(windows), width, np.uint64)
    for column in range(width):
        hashes = (hashes ^ windows[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return hashes
