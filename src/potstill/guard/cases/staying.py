"""Who of a group that is beyond chance stays in it, who of them belong together, and which groups are one campaign."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from potstill.guard.cases.families import Family, independent
from potstill.guard.cases.findings import Finding, How
from potstill.guard.cases.gathered import Gathered, Question, least_joined
from potstill.guard.cases.permutation import Floats, Numbers, Total
from potstill.guard.cases.population import Population

_OUTSIDERS: Final = 0.01  # of all, that may be as near to a group as one of its members
_OF_ONE_MIND: Final = 0.5  # of a group, that has to stay for what joined it to say who belongs together


@dataclass(frozen=True, slots=True)
class Tied:
    """Members of a candidate who show a second kind of evidence themselves, and which."""

    finding: Finding
    members: tuple[int, ...]
    families: dict[Family, tuple[int, ...]]  # with the candidate's own


def tied(finding: Finding, gathered: Gathered, how: How) -> list[Tied]:
    """Who of a candidate stays: a group may be beyond chance because of some of it, and the others are let go.

    A member shows a kind of evidence where it shares more with the other members, or is active with them more, than all
    but one in a hundred outside; or where it lies in the upper half of its block by its conduct. Only kinds count that
    the group's own test has found. Where half of the group stays, it is one. Where fewer do, what joined it is shared
    by many who have nothing to do with each other, such as a network: then the second kind says who belongs together,
    and each part has to be beyond chance by its own pairs alone. Empty where no two stay.
    """
    candidate = finding.candidate
    asked = [one for one in gathered.questions if finding.p_values.get(one.name, 1.0) * finding.times <= how.level]
    shown = {one.name: set(_showing(one, candidate.members, gathered)) for one in asked}
    whole = _staying(finding, candidate.members, asked, shown)
    if whole is None or len(whole.members) >= _OF_ONE_MIND * len(candidate.members):
        return [] if whole is None else [whole]
    found = []
    for number, part in enumerate(_parts(whole.members, asked, shown)):
        alone = _beyond_alone(part, finding, asked, gathered, np.random.default_rng([how.seed, 3, number]), how)
        if (one := _staying(finding, part, alone, shown)) is not None:
            found.append(one)
    return found


def _staying(
    finding: Finding, members: Sequence[int], asked: Sequence[Question], shown: dict[str, set[int]]
) -> Tied | None:
    """Those members who show two independent kinds; None where they are too few for what joined them."""
    by_family: dict[Family, set[int]] = {finding.candidate.family: set(members)}
    for one in asked:
        by_family.setdefault(one.family, set()).update(shown[one.name].intersection(members))
    stay = {at for at in members if independent(family for family, who in by_family.items() if at in who)}
    families = {family: tuple(sorted(who & stay)) for family, who in by_family.items() if len(who & stay) > 1}
    enough = len(stay) >= least_joined(finding.candidate.link.kind)
    return Tied(finding, tuple(sorted(stay)), families) if enough and independent(families) else None


def _parts(members: Sequence[int], asked: Sequence[Question], shown: dict[str, set[int]]) -> list[list[int]]:
    """Members whom the kinds that they show hold together; all are one where conduct only, which has no pairs, does."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    at = np.asarray(members, np.intp)
    joined = csr_array((len(at), len(at)), dtype=np.float32)
    for one in asked:
        if not isinstance(one.statistic, Total):
            shows = np.isin(at, list(shown[one.name])).astype(np.float32)
            joined = joined + one.statistic.pairs(at).multiply(np.outer(shows, shows))
    if not joined.nnz:
        return [list(members)]
    _, group = connected_components(joined, directed=False)
    return [at[group == number].tolist() for number in np.flatnonzero(np.bincount(group) > 1)]


def _beyond_alone(
    part: Sequence[int], finding: Finding, asked: Sequence[Question], gathered: Gathered, rng: np.random.Generator,
    how: How,
) -> list[Question]:  # fmt: skip
    """The questions that this part answers by itself: its own pairs set against all pairs of whole groups."""
    p_values = gathered.population.blocks.p_values(
        [one.statistic for one in asked], finding.candidate.members, how.permutations, rng, part
    )
    return [
        one for one, p in zip(asked, p_values, strict=True)
        if p * finding.times <= how.level or isinstance(one.statistic, Total)
    ]  # fmt: skip


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
