"""Which candidates have something else in common beyond chance, and who in them shows both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from potstill.guard.cases.families import Family, clauses, independent
from potstill.guard.cases.gathered import Candidate, Gathered, Question
from potstill.guard.cases.permutation import Floats, Numbers, Total
from potstill.guard.cases.population import Population
from potstill.stats import benjamini_hochberg

_OUTSIDERS: Final = 0.01  # of all, that may be as near to a group as one of its members
_MOST_OF_A_FAMILY: Final = 2  # questions: co-activation and failover


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
    p_values: dict[str, float]  # by question
    p_value: float  # of the clause that holds best, times `times`, at most 1
    smallest_p: float  # that it could have come to
    times: int  # how many chances it had: clauses, and questions of a family
    q_value: float = 1.0  # adjusted across all candidates


def examine(gathered: Gathered, how: How) -> list[Finding]:
    """Every candidate with its p-values; none of them depends on which others are tested, but for `q_value`."""
    found = [_answered(at, one, gathered, how) for at, one in enumerate(gathered.candidates)]
    adjusted = benjamini_hochberg([one.p_value for one in found]).tolist() if found else []
    return [replace(one, q_value=q) for one, q in zip(found, adjusted, strict=True)]


def _answered(at: int, candidate: Candidate, gathered: Gathered, how: How) -> Finding:
    blocks = gathered.population.blocks
    asked = [one for one in gathered.questions if one.family != candidate.family]
    wanted = clauses(candidate.family, dict.fromkeys(one.family for one in asked))
    named = {family for clause in wanted for family in clause}
    asked = [one for one in asked if one.family in named]
    rng = np.random.default_rng([how.seed, at])
    found = blocks.p_values([one.statistic for one in asked], candidate.members, how.permutations, rng)
    p_values = {one.name: p for one, p in zip(asked, found, strict=True)}
    of_family = by_family(p_values, gathered)
    # Of two families that have to hold both, the larger p counts.
    p_value = min((max(of_family[family] for family in clause) for clause in wanted), default=1.0)
    times = max(len(wanted), 1) * _MOST_OF_A_FAMILY
    smallest = blocks.smallest_p(candidate.members, how.permutations)
    return Finding(candidate, p_values, min(1.0, times * p_value), min(1.0, times * smallest), times)


def by_family(p_values: Mapping[str, float], gathered: Gathered) -> dict[Family, float]:
    """The smallest p-value of each family's questions."""
    found: dict[Family, float] = {}
    for one in gathered.questions:
        if one.name in p_values:
            found[one.family] = min(found.get(one.family, 1.0), p_values[one.name])
    return found


@dataclass(frozen=True, slots=True)
class Tied:
    """Members of a candidate who show a second kind of evidence themselves, and which."""

    finding: Finding
    members: tuple[int, ...]
    families: dict[Family, tuple[int, ...]]  # with the candidate's own


def tied(finding: Finding, gathered: Gathered, how: How) -> Tied | None:
    """Who of a candidate stays: a group may be beyond chance because of some of it, and the others are let go.

    A member shows a kind of evidence where it shares more with the other members, or is active with them more, than all
    but one in a hundred outside; or where it lies in the upper half of its block by its conduct. Only kinds count that
    the group's own test has found. None where fewer than two stay.
    """
    own = finding.candidate.family
    shown: dict[Family, set[int]] = {own: set(finding.candidate.members)}
    for question in gathered.questions:
        if finding.p_values.get(question.name, 1.0) * finding.times <= how.level:
            found = _showing(question, finding.candidate.members, gathered)
            shown.setdefault(question.family, set()).update(found)
    stay = {at for at in finding.candidate.members if independent(family for family, who in shown.items() if at in who)}
    if len(stay) < 2:
        return None
    families = {family: tuple(sorted(who & stay)) for family, who in shown.items() if len(who & stay) > 1}
    return Tied(finding, tuple(sorted(stay)), families) if independent(families) else None


def _showing(question: Question, members: Sequence[int], gathered: Gathered) -> list[int]:
    at = np.asarray(members, np.intp)
    if isinstance(question.statistic, Total):
        shows = _upper_half(at, gathered.population)
    else:
        shows = _closer_than_others(question.statistic.ties(at), at)
    found: list[int] = at[shows].tolist()
    return found


def _closer_than_others(ties: Floats, members: Numbers) -> NDArray[np.bool_]:
    """Which members have more to do with the rest of the group than 99 in 100 of those outside."""
    outside = np.delete(ties, members)
    mine = ties[members]
    nearer = len(outside) - np.searchsorted(np.sort(outside), mine, "left")
    return (mine > 0) & (nearer <= _OUTSIDERS * len(outside))


def _upper_half(members: Numbers, everybody: Population) -> NDArray[np.bool_]:
    block = everybody.blocks.block
    return np.asarray([everybody.score[at] >= np.median(everybody.score[block == block[at]]) for at in members])


def merged(found: list[Tied]) -> list[list[Tied]]:
    """Candidates that overlap are one campaign: half of the smaller one in common, and two customers at least."""
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
    return common >= 2 and 2 * common >= min(len(one), len(other))
