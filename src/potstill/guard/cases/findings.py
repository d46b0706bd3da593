"""Which candidates have something else in common beyond chance."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from potstill.guard.cases.families import Family, clauses
from potstill.guard.cases.gathered import Candidate, Gathered
from potstill.stats import benjamini_hochberg

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
