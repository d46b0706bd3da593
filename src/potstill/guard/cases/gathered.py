"""All evidence of a log in the form that testing needs: candidates for campaigns, and a statistic a family."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from potstill.guard.cases.families import FAMILY_OF, Family
from potstill.guard.cases.permutation import Alike, Shared, Statistic, Total
from potstill.guard.cases.population import Population, matrix, population
from potstill.guard.evidence.accounts import account_features, shared_links
from potstill.guard.evidence.coactivation import Coactivity, coactivity
from potstill.guard.evidence.links import Link, rarity_bits
from potstill.guard.evidence.phrasing import phrases

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LEAST_BITS: Final = 2.0  # of a link: what more than a quarter of all customers share joins nobody
_SHARE: Final = 0.05  # of all customers in a group, at most; of few customers, twenty
ALIKE: Final = 0.2  # of two accounts' activity
_WIDTH: Final = 128  # numbers of activity that sets are compared by
_PAIRS: Final = ("payment", "key", "near_duplicates", "templates", "coactivation", "failover")  # two are a group


@dataclass(frozen=True, slots=True)
class Question:
    """One way to ask whether a group has something in common, and which evidence it stands for."""

    name: str
    family: Family
    statistic: Statistic


@dataclass(frozen=True, slots=True)
class Candidate:
    """Customers whom one thing joins, before it is asked whether anything else does."""

    family: Family
    members: tuple[int, ...]
    link: Link


@dataclass(frozen=True, slots=True)
class Gathered:
    """The evidence of one log."""

    population: Population
    links: list[Link]
    candidates: list[Candidate]
    questions: list[Question]
    activity: NDArray[np.float32]  # (N, 512) sketches; zeros where there is too little activity
    features: pa.Table


def gather(connection: "DuckDBPyConnection") -> Gathered:
    """Compute all evidence of the view `events`, whose accounts are customers already."""
    features = account_features(connection)
    everybody = population(features, connection)
    links = [*shared_links(connection), *_wording_links(everybody)]
    activity = coactivity(connection)
    links += _groups(activity)
    count = len(everybody.names)
    most = max(_SHARE * count, 20)
    usable = [link for link in links if _bits(link, count) >= LEAST_BITS and len(link.accounts) <= most]
    sketches = np.zeros((count, 512), np.float32)
    if activity is not None:
        sketches[[everybody.number[name] for name in activity.names]] = activity.sketch
    questions = _questions(usable, everybody, sketches)
    return Gathered(everybody, usable, _candidates(usable, everybody), questions, sketches, features)


def _bits(link: Link, customers: int) -> float:
    if link.strength_bits is None:
        return rarity_bits(len(link.accounts), customers)
    return link.strength_bits


def _wording_links(everybody: Population, least: int = 5, share: float = 0.05) -> Iterable[Link]:
    """A link for every family of phrases: who sends at least so many of them, and this share of its prompts."""
    for family in phrases():
        counts, prompts = everybody.features[family], everybody.features["prompts"]
        with np.errstate(invalid="ignore"):
            found = np.flatnonzero((counts >= least) & (counts >= share * prompts))
        if len(found) > 1:
            names = tuple(everybody.names[at] for at in found)
            bits = rarity_bits(len(names), len(everybody.names))
            yield Link("phrasing", names, family, int(counts[found].sum()), strength_bits=bits)


def _groups(activity: Coactivity | None) -> list[Link]:
    """A link for every group that coactive pairs hold together."""
    if activity is None:
        return []
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = list(activity.pairs(ALIKE))
    one, other = (np.asarray([pair[at] for pair in pairs], np.intp) for at in range(2))
    count = len(activity.names)
    graph = coo_array((np.ones(len(pairs)), (one, other)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    bins = np.bincount(group[one], [pair[3] for pair in pairs], minlength=count) if pairs else np.zeros(count)
    found = []
    for number in np.flatnonzero(np.bincount(group) > 1).tolist():
        names = tuple(sorted(activity.names[at] for at in np.flatnonzero(group == number)))
        found.append(Link("coactivation", names, "", int(bins[number]), similarity=ALIKE))
    return found


def _questions(links: list[Link], everybody: Population, sketches: NDArray[np.float32]) -> list[Question]:
    found = []
    for name in ("payment", "origin", "signup", "content", "failover"):
        mine = [link for link in links if name in (FAMILY_OF[link.kind], link.kind)]
        if mine:
            found.append(Question(name, FAMILY_OF[mine[0].kind], _shared(mine, everybody)))
    if sketches.any():
        folded = sketches.reshape(len(sketches), -1, _WIDTH).sum(axis=1)
        found.append(Question("coactivation", "timing", Alike.among(folded)))
    if everybody.varies:
        found.append(Question("conduct", "conduct", Total(everybody.score)))
    return found


def _shared(links: list[Link], everybody: Population) -> Shared:
    members = [numbers(link.accounts, everybody) for link in links]
    bits = np.asarray([_bits(link, len(everybody.names)) for link in links])
    return Shared(matrix(members, len(everybody.names)), bits)


def numbers(names: Iterable[str], everybody: Population) -> NDArray[np.intp]:
    """The numbers of these customers."""
    return np.asarray(sorted(everybody.number[name] for name in names), np.intp)


def _candidates(links: list[Link], everybody: Population) -> list[Candidate]:
    found: dict[tuple[Any, ...], Candidate] = {}
    for link in links:
        if len(link.accounts) > 1 and (len(link.accounts) > 2 or link.kind in _PAIRS):
            one = Candidate(FAMILY_OF[link.kind], tuple(numbers(link.accounts, everybody).tolist()), link)
            found.setdefault((one.family, one.members), one)
    return list(found.values())
