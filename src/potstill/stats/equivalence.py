"""What an interval says about a margin: that two models are as good as equal, that they differ, or neither."""

from dataclasses import dataclass

from potstill.stats.interval import Interval


@dataclass(frozen=True, slots=True)
class Verdict:
    """`equivalent`: the whole interval lies within the margin. `different`: it leaves out the value of equality.

    Both can hold, for a difference that is real and too small to matter; neither does where there are too few cases.
    """

    equivalent: bool
    different: bool

    @property
    def words(self) -> str:
        """The verdict as a report says it."""
        if self.equivalent:
            return (
                "equivalent within the margin, though different" if self.different else "equivalent within the margin"
            )
        return "different" if self.different else "undecided"


def within_margin(interval: Interval, margin: float, *, equal: float = 0.0) -> Verdict:
    """Whether a figure is within ±`margin` of `equal` (0 for a difference, 1 for a ratio).

    Two one-sided tests (Schuirmann 1987): both reject at 2.5 % exactly where the 95 % interval lies inside the margin.
    An interval without ends decides nothing.
    """
    if margin <= 0:
        raise ValueError(f"a margin of {margin} leaves no room for equivalence")
    if interval.low is None or interval.high is None:
        return Verdict(equivalent=False, different=False)
    inside = equal - margin < interval.low and interval.high < equal + margin
    return Verdict(equivalent=inside, different=not interval.low <= equal <= interval.high)
