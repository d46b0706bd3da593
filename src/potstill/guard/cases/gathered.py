"""All evidence of a log in the form that testing needs: candidates for campaigns, and a statistic a family."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from potstill.guard.cases.families import FAMILY_OF, Family
from potstill.guard.cases.permutation import Linked, Shared, Total
from potstill.guard.cases.population import Population, matrix, population
from potstill.guard.evidence.accounts import account_features, shared_links
from potstill.guard.evidence.coactivation import Coactivity, coactivity
from potstill.guard.evidence.links import Link, rarity_bits
from potstill.guard.evidence.phrasing import phrases

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LEAST_BITS: Final = 2.0  # of a link: what more than a quarter of all customers share joins nobody, but for texts
_SHARE: Final = 0.05  # of all customers in a group, at most; of few customers, twenty
# What may join a larger group, up to half of all: the same eight words or the same prompt come from one hand or one
# program, however many send them. A network or a day of sign-ups that many share says nothing.
_SAME_TEXT: Final = ("templates", "near_duplicates")
_TEXT_BITS: Final = 1.0
ALIKE: Final = 0.2  # of two accounts' activity
_PAIRS: Final = ("payment", "key", "near_duplicates", "templates", "coactivation", "failover")  # two are a group


@dataclass(frozen=True, slots=True)
class Question:
    """One way to ask whether a group has something in common, and which evidence it stands for."""

    name: str
    family: Family
    statistic: Shared | Linked | Total


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
    features: pa.Table


def gather(connection: "DuckDBPyConnection") -> Gathered:
    """Compute all evidence of the view `events`, whose accounts are customers already."""
    features = account_features(connection)
    everybody = population(features, connection)
    links = [*shared_links(connection), *_wording_links(everybody)]
    pairs = _pairs(coactivity(connection), everybody)
    links += _groups(pairs, everybody)
    count = len(everybody.names)
    most = max(_SHARE * count, 20)
    rare = [link for link in links if _bits(link, count) >= LEAST_BITS and len(link.accounts) <= most]
    texts = [link for link in links if link.kind in _SAME_TEXT and _bits(link, count) >= _TEXT_BITS]
    usable = list(dict.fromkeys([*rare, *texts]))
    return Gathered(everybody, usable, _candidates(usable, everybody), _questions(rare, everybody, pairs), features)


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


def _pairs(activity: Coactivity | None, everybody: Population) -> Any:
    """How alike the activity of customers is, a sparse matrix of those that are alike enough."""
    from scipy.sparse import csr_array

    count = len(everybody.names)
    if activity is None:
        return csr_array((count, count), dtype=np.float32)
    place = numbers(activity.names, everybody)  # both are in the order of names
    found = list(activity.pairs(ALIKE))
    one, other = (place[np.asarray([pair[at] for pair in found], np.intp)] for at in range(2))
    alike = np.asarray([pair[2] for pair in found], np.float32)
    half = csr_array((alike, (one, other)), shape=(count, count))
    return csr_array(half + half.T)


def _groups(pairs: Any, everybody: Population) -> list[Link]:
    """A link for every group that coactive pairs hold together."""
    from scipy.sparse.csgraph import connected_components

    if not pairs.nnz:
        return []
    _, group = connected_components(pairs, directed=False)
    found = []
    for number in np.flatnonzero(np.bincount(group) > 1).tolist():
        members = np.flatnonzero(group == number)
        names = tuple(everybody.names[at] for at in members)
        found.append(Link("coactivation", names, "", int(pairs[members].nnz) // 2, similarity=ALIKE))
    return found


def _questions(links: list[Link], everybody: Population, pairs: Any) -> list[Question]:
    found = []
    for name in ("payment", "origin", "signup", "content", "failover"):
        mine = [link for link in links if name in (FAMILY_OF[link.kind], link.kind)]
        if mine:
            found.append(Question(name, FAMILY_OF[mine[0].kind], _shared(mine, everybody)))
    if pairs.nnz:
        found.append(Question("coactivation", "timing", Linked(pairs)))
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


def least_joined(kind: str) -> int:
    """How many customers such a link has to join: two from one place, or made in one hour, are often strangers."""
    return 2 if kind in _PAIRS else 3


def _candidates(links: list[Link], everybody: Population) -> list[Candidate]:
    found: dict[tuple[Any, ...], Candidate] = {}
    for link in links:
        if len(link.accounts) >= least_joined(link.kind):
            one = Candidate(FAMILY_OF[link.kind], tuple(numbers(link.accounts, everybody).tolist()), link)
            found.setdefault((one.family, one.members), one)
    return list(found.values())
