"""Tests of two models on the same prompts: McNemar's for right and wrong, sign flips for everything else."""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Alternative = Literal["two-sided", "greater", "less"]
_ALL_FLIPS = 16  # up to so many prompts every flip is tried, so that the p-value is exact
_ENTRIES_AT_ONCE = 1 << 20


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value that two models are right equally often (McNemar 1947, in its binomial form).

    Of the prompts that one model alone gets right, `only_first` are the first's; where both are right or both wrong, a
    prompt says nothing. 1 where there is no such prompt.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"{only_first} and {only_second} are no counts of prompts")
    n, fewer = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 1.0
    # In logarithms: 2**n is beyond a float from n = 1024 on.
    logs = [_log_choose(n, k) - n * math.log(2) for k in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def sign_flip(
    differences: ArrayLike, *, alternative: Alternative = "two-sided", permutations: int = 10_000, seed: int = 0
) -> float:
    """The p-value that paired differences, one a prompt, lie around 0: a permutation test (Fisher 1935, section 21).

    If the two models were exchangeable, each prompt's difference could have had either sign. Up to 16 prompts all signs
    are tried and the value is exact; with more, `permutations` are drawn and the value is (hits + 1) / (drawn + 1),
    which is never 0 and keeps the level (Phipson & Smyth 2010). `smallest_p` says how small it can become.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError("differences must be one finite number a prompt, at least one")
    n, exact = values.size, values.size <= _ALL_FLIPS
    observed, slack = _score(values.sum(), alternative), 1e-12 * np.abs(values).sum()  # of rounding between equal sums
    total = 2**n if exact else permutations
    draw = np.random.default_rng(seed)
    hits, rows = 0, max(1, _ENTRIES_AT_ONCE // n)
    for start in range(0, total, rows):
        count = min(rows, total - start)
        if exact:
            bits = (np.arange(start, start + count)[:, None] >> np.arange(n)) & 1
        else:
            bits = draw.integers(0, 2, (count, n))
        sums: NDArray[np.float64] = (1 - 2 * bits) @ values
        hits += int((_score(sums, alternative) >= observed - slack).sum())
    return hits / total if exact else (hits + 1) / (total + 1)


def smallest_p(n: int, *, alternative: Alternative = "two-sided", permutations: int = 10_000) -> float:
    """The smallest p-value that `sign_flip` can give for `n` prompts; below it nothing can be shown."""
    if n < 1:
        raise ValueError("there has to be a prompt")
    sides = 2 if alternative == "two-sided" else 1
    return sides / 2**n if n <= _ALL_FLIPS else 1 / (permutations + 1)


def _score(sums: ArrayLike, alternative: Alternative) -> NDArray[np.float64]:
    values = np.asarray(sums, dtype=np.float64)
    return np.abs(values) if alternative == "two-sided" else values if alternative == "greater" else -values


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
