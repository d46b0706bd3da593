"""Which candidates have something else in common beyond chance, and who in them shows both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from potstill.guard.cases.families import Family, together
from potstill.guard.cases.gathered import ALIKE, Candidate, Gathered, Question
from potstill.guard.cases.permutation import Numbers, Shared
from potstill.guard.cases.population import Population
from potstill.stats import benjamini_hochberg

_TIED_BITS: Final = 2.0


@dataclass(frozen=True, slots=True)
class How:
    """How a scan decides."""

    level: float = 0.05  # of the false discovery rate across candidates
    permutations: int = 49_999
    seed: int = 0
    least_exchanges: int = 300  # of a case's accounts; with fewer there is not enough data


@dataclass(frozen=True, slots=True)
class Finding:
    """What asking came to for one candidate."""

    candidate: Candidate
    p_values: dict[str, float]  # by question, of the kinds that are independent of the candidate's own
    p_value: float  # the smallest of them times their number, at most 1
    smallest_p: float  # that it could have come to
    q_value: float = 1.0  # adjusted across all candidates


def examine(gathered: Gathered, how: How) -> list[Finding]:
    """Every candidate with its p-values; none of them depends on which others are tested, but for `q_value`."""
    found = [_answered(at, one, gathered, how) for at, one in enumerate(gathered.candidates)]
    adjusted = benjamini_hochberg([one.p_value for one in found]).tolist() if found else []
    return [
        Finding(one.candidate, one.p_values, one.p_value, one.smallest_p, q)
        for one, q in zip(found, adjusted, strict=True)
    ]


def _answered(at: int, candidate: Candidate, gathered: Gathered, how: How) -> Finding:
    blocks = gathered.population.blocks
    asked = [one for one in gathered.questions if together(candidate.family, one.family)]
    rng = np.random.default_rng([how.seed, at])
    found = blocks.p_values([one.statistic for one in asked], candidate.members, how.permutations, rng)
    p_values = {one.name: p for one, p in zip(asked, found, strict=True)}
    times = max(len(asked), 1)
    smallest = blocks.smallest_p(candidate.members, how.permutations)
    p_value = min(1.0, times * min(p_values.values(), default=1.0))
    return Finding(candidate, p_values, p_value, min(1.0, times * smallest))


@dataclass(frozen=True, slots=True)
class Tied:
    """Members of a candidate who show a second kind of evidence themselves, and which."""

    finding: Finding
    members: tuple[int, ...]
    families: dict[Family, tuple[int, ...]]  # with the candidate's own


def tied(finding: Finding, gathered: Gathered, how: How) -> Tied | None:
    """Who of a candidate stays: a group may be beyond chance because of some of it, and the others are let go.

    A member shows a kind of evidence where it shares a value with another member, or is active together with one, or
    lies in the upper half of its block by its conduct. Only kinds count that the group's own test has found. None where
    fewer than two stay.
    """
    times = max(len(finding.p_values), 1)
    shown: dict[Family, set[int]] = {}
    for question in gathered.questions:
        if finding.p_values.get(question.name, 1.0) * times <= how.level:
            shown.setdefault(question.family, set()).update(_showing(question, finding.candidate.members, gathered))
    stay = tuple(sorted(set().union(*shown.values()))) if shown else ()
    if len(stay) < 2:
        return None
    families = {family: tuple(sorted(who)) for family, who in shown.items() if len(who) > 1}
    return Tied(finding, stay, {finding.candidate.family: stay, **families}) if families else None


def _showing(question: Question, members: Sequence[int], gathered: Gathered) -> list[int]:
    at = np.asarray(members, np.intp)
    if isinstance(question.statistic, Shared):
        held = question.statistic.holds[at]
        often = (held.sum(axis=0) > 1) & (question.statistic.bits >= _TIED_BITS)
        shows = held @ often.astype(np.float32) > 0
    elif question.name == "coactivation":
        alike = gathered.activity[at] @ gathered.activity[at].T
        np.fill_diagonal(alike, 0)
        shows = alike.max(axis=1) >= ALIKE
    else:
        shows = _upper_half(at, gathered.population)
    found: list[int] = at[shows].tolist()
    return found


def _upper_half(members: Numbers, everybody: Population) -> NDArray[np.bool_]:
    block = everybody.blocks.block
    return np.asarray([everybody.score[at] >= np.median(everybody.score[block == block[at]]) for at in members])


def merged(found: list[Tied]) -> list[list[Tied]]:
    """Candidates that overlap are one campaign: two customers in common, or half of the smaller one."""
    groups: list[tuple[set[int], list[Tied]]] = []
    for one in found:
        mine, parts = set(one.members), [one]
        while near := [group for group in groups if _overlap(mine, group[0])]:
            groups = [group for group in groups if not any(group is other for other in near)]
            for members, others in near:
                mine |= members
                parts = others + parts
        groups.append((mine, parts))
    return [parts for _, parts in groups]


def _overlap(one: set[int], other: set[int]) -> bool:
    common = len(one & other)
    return common >= 2 or 2 * common >= min(len(one), len(other))
