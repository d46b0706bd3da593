"""Rates of what is lost and of what is new, with prompts as the unit, and a test of the one against the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from potstill.records import Figure
from potstill.stats import Interval, cluster_mean, mcnemar, sign_flip, wilson

MIN_CASES = 5  # prompts with a case; with fewer a rate says nothing, and is not given


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that the teacher does or leaves in one answer, and whether the student does the same."""

    prompt: str  # the hash: answers to one prompt depend on each other
    teacher: bool
    student: bool


@dataclass(frozen=True, slots=True)
class Draws:
    """Of the bootstrap, as the recipe says."""

    resamples: int
    seed: int


def rate(hits: Sequence[bool], prompts: Sequence[str], draws: Draws) -> Interval | None:
    """The share of hits; None from fewer than five prompts.

    With one case a prompt the interval is Wilson's, otherwise prompts are resampled with all their cases.
    """
    sums: dict[str, int] = {}
    counts: dict[str, int] = {}
    for prompt, hit in zip(prompts, hits, strict=True):
        sums[prompt] = sums.get(prompt, 0) + hit
        counts[prompt] = counts.get(prompt, 0) + 1
    if len(counts) < MIN_CASES:
        return None
    if max(counts.values()) == 1:
        return wilson(sum(sums.values()), len(sums))
    return cluster_mean(
        list(sums.values()), list(counts.values()), share=True, resamples=draws.resamples, seed=draws.seed
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one probe found, from its cases."""

    cases: Sequence[Case]

    def lost(self, draws: Draws) -> Interval | None:
        """Of what the teacher does, the share that the student does not."""
        return self._share(draws, teacher=True)

    def new(self, draws: Draws) -> Interval | None:
        """Of what the teacher does not do, the share that the student does."""
        return self._share(draws, teacher=False)

    def _share(self, draws: Draws, *, teacher: bool) -> Interval | None:
        some = [one for one in self.cases if one.teacher is teacher]
        return rate([one.student is not teacher for one in some], [one.prompt for one in some], draws)

    def p_value(self) -> float:
        """That teacher and student do it equally often: McNemar's test, or sign flips of prompts with several cases."""
        difference: dict[str, list[int]] = {}
        for one in self.cases:
            difference.setdefault(one.prompt, []).append(int(one.teacher) - int(one.student))
        if not difference:
            return 1.0
        if all(len(values) == 1 for values in difference.values()):
            flat = [value for (value,) in difference.values()]
            return mcnemar(flat.count(1), flat.count(-1))
        return sign_flip([sum(values) for values in difference.values()])

    def facts(self, draws: Draws) -> dict[str, Any]:
        """Counts of cases and prompts, each model's share with its interval, and what disagrees."""
        prompts = [one.prompt for one in self.cases]
        does = {
            "teacher": [one.teacher for one in self.cases], "student": [one.student for one in self.cases]
        }  # fmt: skip
        shares = {role: rate(hits, prompts, draws) for role, hits in does.items()}
        return {
            "cases": len(self.cases), "prompts": len(set(prompts)),
            **{role: {"count": sum(hits), **_ends(shares[role])} for role, hits in does.items()},
            "lost": sum(one.teacher and not one.student for one in self.cases),
            "new": sum(one.student and not one.teacher for one in self.cases),
            "p_value": self.p_value(),
        }  # fmt: skip


def figure(interval: Interval) -> Figure:
    """A rate as a figure."""
    return Figure(interval.value, interval.low, interval.high, interval.n, "share")


def _ends(interval: Interval | None) -> dict[str, float | None]:
    found = interval or Interval(0.0, None, None, 0)
    return {"share": None if interval is None else found.value, "low": found.low, "high": found.high}
