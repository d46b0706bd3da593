"""Calibration on the operator's own log: how many customers a scan accuses where nothing joins them."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from potstill.guard.cases.families import Family
from potstill.guard.cases.findings import How, examine
from potstill.guard.cases.gathered import Gathered, Question
from potstill.guard.cases.permutation import Linked, Numbers, Shared, Total
from potstill.guard.cases.staying import tied
from potstill.stats import clopper_pearson


@dataclass(frozen=True, slots=True)
class Calibration:
    """What scans of shuffled evidence came to."""

    replicas: int
    customers: int
    replicas_with_alarm: int
    customers_alarmed: int  # in all replicas together
    alarm_rate: float  # of scans that accuse anybody
    alarm_rate_at_most: float  # upper end of its 95 % interval
    customer_rate: float  # of customers accused, the mean of the replicas

    def as_dict(self) -> dict[str, Any]:
        """For cases.json."""
        return asdict(self)


def calibrate(gathered: Gathered, how: How, replicas: int) -> Calibration:
    """Scan `replicas` times with every family of evidence shuffled by itself.

    Customers change places within their blocks, each family in its own way, so what is shared, said and done stays as
    it is, and nothing goes together any more but by chance. Whoever is accused then is accused falsely. Explanations
    are not asked for, which makes the count the larger one.
    """
    alarmed = []
    for replica in range(replicas):
        rng = np.random.default_rng([how.seed, 2, replica])
        mixed = _shuffled(gathered, rng)
        seeded = replace(how, seed=int(rng.integers(2**31)))
        found = [one for one in examine(mixed, seeded) if one.q_value <= how.level]
        stay = [part for finding in found for part in tied(finding, mixed, seeded)]
        alarmed.append(len({at for one in stay for at in one.members}))
    customers = len(gathered.population.names)
    with_alarm = sum(count > 0 for count in alarmed)
    rate = clopper_pearson(with_alarm, replicas)
    return Calibration(
        replicas, customers, with_alarm, sum(alarmed), rate.value, rate.high or 0.0,
        sum(alarmed) / max(replicas * customers, 1),
    )  # fmt: skip


def _shuffled(gathered: Gathered, rng: np.random.Generator) -> Gathered:
    block = gathered.population.blocks.block
    places: dict[Family, Numbers] = {}
    for family in ("payment", "origin", "signup", "content", "timing", "conduct"):
        place = np.arange(len(block))
        for one in np.unique(block):
            at = np.flatnonzero(block == one)
            place[at] = rng.permutation(at)
        places[family] = place  # customer a's evidence becomes that of place[a]
    candidates = [
        replace(one, members=tuple(sorted(places[one.family][list(one.members)].tolist())))
        for one in gathered.candidates
    ]
    back = {family: np.argsort(place) for family, place in places.items()}
    population = replace(gathered.population, score=gathered.population.score[back["conduct"]])
    return replace(
        gathered, population=population, candidates=candidates,
        questions=[_moved(one, back[one.family]) for one in gathered.questions],
    )  # fmt: skip


def _moved(question: Question, back: Numbers) -> Question:
    match question.statistic:
        case Shared(holds, bits):
            return replace(question, statistic=Shared(holds[back], bits))
        case Linked(alike):
            return replace(question, statistic=Linked(alike[back][:, back]))
        case Total(scores):
            return replace(question, statistic=Total(scores[back]))
        case other:
            raise TypeError(f"no rows to move in {other!r}")
