"""What every interval here is: a figure with two ends, at one confidence."""

from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % interval from `n` independent cases; both ends are None where there can be none."""

    value: float
    low: float | None
    high: float | None
    n: int
