"""Whether a model's probabilities are as good as they say: expected calibration error on the teacher's answers."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from potstill.stats import Interval, statistic_of_sums

BINS: Final = 15  # as in the paper

Floats = NDArray[np.float64]


def calibration_error(
    confidence: Floats, hit: Floats, prompt: NDArray[np.int64], *, resamples: int, seed: int
) -> Interval:
    """Expected calibration error, 0 to 1: Σ_b n_b/n |mean hit − mean confidence| over bins b of equal width.

    Guo et al. 2017, equation 3. `confidence` (n,) is the probability of the likeliest token, `hit` (n,) is 1 where the
    teacher wrote it, `prompt` (n,) numbers each position's prompt from 0; prompts are resampled whole.
    """
    return statistic_of_sums(_columns(confidence, hit, prompt), _error, resamples=resamples, seed=seed)


def error_of(confidence: Floats, hit: Floats) -> float:
    """The figure alone."""
    return float(_error(_columns(confidence, hit, np.zeros(len(hit), dtype=np.int64)))[0])


def _columns(confidence: Floats, hit: Floats, prompt: NDArray[np.int64]) -> Floats:
    """(prompts, 2 · BINS): each bin's sum of hit − confidence, then its number of positions."""
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    columns = np.zeros((int(prompt.max()) + 1, 2 * BINS))
    np.add.at(columns, (prompt, place), hit - confidence)
    np.add.at(columns, (prompt, BINS + place), 1.0)
    return columns


def _error(sums: Floats) -> Floats:
    found: Floats = np.abs(sums[..., :BINS]).sum(-1) / sums[..., BINS:].sum(-1)
    return found
