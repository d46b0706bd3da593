"""A text as the set of its runs of five characters, hashed: what resemblance and near duplicates are counted on."""

import numpy as np
from numpy.typing import NDArray

from potstill.texts.normal import plain_text

_WIDTH = 5  # characters

Shingles = NDArray[np.uint64]


def shingles(text: str) -> Shingles:
    """The sorted 64-bit hashes of a text's 5-character shingles in its plain form; a shorter text is one shingle."""
    points = np.frombuffer(plain_text(text).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    width = min(_WIDTH, len(points))
    windows = np.lib.stride_tricks.sliding_window_view(points, width)
    hashes = np.full(len(windows), width, np.uint64)
    for column in range(width):
        hashes = (hashes ^ windows[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)
