"""From findings to cases: who is in one, what it rests on, what else would explain it, and what to do."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from potstill.guard.cases.case import Case, Outcome
from potstill.guard.cases.contents import Contents, contents
from potstill.guard.cases.customers import Customers
from potstill.guard.cases.explanations import Traits, explanation, owned
from potstill.guard.cases.families import FAMILY_OF, TIES, Family, independent
from potstill.guard.cases.findings import Finding, How
from potstill.guard.cases.gathered import Gathered
from potstill.guard.cases.permutation import Total
from potstill.guard.cases.population import LEAST, compared
from potstill.guard.cases.showing import action_for, sentences, shown
from potstill.guard.cases.staying import Tied, merged, tied
from potstill.guard.evidence.links import Link
from potstill.guard.evidence.phrasing import phrases

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NEARLY: Final = 0.2  # candidates up to this q-value are listed, though nothing follows from them
_LISTED: Final = 20  # of them


@dataclass(frozen=True, slots=True)
class _Group:
    """What one case is made of."""

    id: str
    members: tuple[int, ...]  # customers
    parts: tuple[Tied, ...]
    links: tuple[Link, ...]  # between at least two of the members


def build(
    findings: Sequence[Finding], gathered: Gathered, customers: Customers, connection: "DuckDBPyConnection", how: How
) -> list[Case]:
    """The cases, those with evidence first and then by q-value."""
    significant = [one for one in findings if one.q_value <= how.level]
    stayed = [part for one in significant for part in tied(one, gathered, how)]
    groups = [_group(parts, gathered) for parts in merged(stayed)]
    taken = {at for group in groups for at in group.members}
    near = [one for one in findings if how.level < one.q_value <= _NEARLY]
    near = [one for one in sorted(near, key=lambda one: one.p_value) if not taken.issuperset(one.candidate.members)]
    groups += [_nearly(one, gathered) for one in near[:_LISTED]]
    everybody = gathered.population
    members = {group.id: [everybody.names[at] for at in group.members] for group in groups}
    templates = {group.id: [link.value for link in group.links if link.kind == "templates"] for group in groups}
    said = contents(connection, members, templates)
    usage = _usage(connection, members)
    cases = [
        _case(group, said[group.id], usage[group.id], gathered, customers, how) for group in groups
    ]  # fmt: skip
    order: dict[str, int] = {"evidence": 0, "not enough data": 1, "no evidence": 2}
    return sorted(cases, key=lambda case: (order[case.outcome], case.q_value, case.id))


def _group(parts: Sequence[Tied], gathered: Gathered) -> _Group:
    members = tuple(sorted({at for part in parts for at in part.members}))
    return _Group(_id(members, gathered), members, tuple(parts), _links_among(members, gathered))


def _nearly(finding: Finding, gathered: Gathered) -> _Group:
    members = finding.candidate.members
    part = Tied(finding, members, {finding.candidate.family: members})
    return _Group(_id(members, gathered), members, (part,), _links_among(members, gathered))


def _id(members: Sequence[int], gathered: Gathered) -> str:
    names = "\n".join(gathered.population.names[at] for at in members)
    return f"case-{hashlib.sha256(names.encode()).hexdigest()[:12]}"


def _links_among(members: Sequence[int], gathered: Gathered) -> tuple[Link, ...]:
    mine = {gathered.population.names[at] for at in members}
    return tuple(link for link in gathered.links if len(mine.intersection(link.accounts)) > 1)


@dataclass(frozen=True, slots=True)
class _Usage:
    exchanges: int
    tokens: int | None
    first_seen: str | None
    last_seen: str | None


def _usage(connection: "DuckDBPyConnection", members: dict[str, list[str]]) -> dict[str, _Usage]:
    whose = pa.table({
        "id": [one for one, names in members.items() for _ in names],
        "account": [name for names in members.values() for name in names],
    }, schema=pa.schema([("id", pa.string()), ("account", pa.string())]))  # fmt: skip
    connection.register("case_members", whose)
    rows = connection.execute(
        """
        SELECT id, count(*), sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0))
            FILTER (WHERE input_tokens IS NOT NULL OR output_tokens IS NOT NULL)::BIGINT,
          strftime(min(time), '%Y-%m-%dT%H:%M:%SZ'), strftime(max(time), '%Y-%m-%dT%H:%M:%SZ')
        FROM events JOIN case_members USING (account) GROUP BY id
        """
    ).fetchall()
    connection.unregister("case_members")
    return {one: _Usage(*values) for one, *values in rows}


def _case(
    group: _Group, said: Contents, usage: _Usage, gathered: Gathered, customers: Customers, how: How
) -> Case:  # fmt: skip
    everybody, members = gathered.population, list(group.members)
    best = min((part.finding for part in group.parts), key=lambda one: (one.q_value, one.p_value))
    families = {family for part in group.parts for family in part.families}
    shown_by = {
        family: sorted({at for part in group.parts for at in part.families.get(family, ())}) for family in families
    }
    p_conduct = everybody.blocks.p_value(
        Total(everybody.score), members, 999, np.random.default_rng([how.seed, 1])
    ) if everybody.varies else None  # fmt: skip
    traits = _traits(group, shown_by, p_conduct, gathered)
    innocent = explanation(traits) if best.q_value <= how.level else None
    outcome: Outcome = "evidence"
    if best.q_value > how.level or not independent(families) or innocent is not None:
        outcome = "no evidence"
    elif usage.exchanges < how.least_exchanges:
        outcome = "not enough data"
    if best.smallest_p > how.level or len(everybody.names) < LEAST:
        outcome = "not enough data"
    exchanges, tokens = _estimate(said, usage)
    evidence = shown(shown_by, [part.finding for part in group.parts], group.links, said, gathered)
    action = action_for(outcome, innocent, len(families), traits)
    accounts = tuple(sorted(name for at in members for name in customers.accounts[everybody.names[at]]))
    case = Case(
        group.id, outcome, best.p_value, best.q_value, best.smallest_p, accounts, len(members), evidence, exchanges,
        usage.exchanges, tokens, usage.tokens, usage.first_seen, usage.last_seen, said.targets, p_conduct,
        innocent.name if innocent else None, action, (),
    )  # fmt: skip
    return replace(case, explanation=sentences(case, innocent, compared(everybody, members)))


def _traits(
    group: _Group, shown_by: Mapping[Family, Sequence[int]], p_conduct: float | None, gathered: Gathered
) -> Traits:
    everybody, members = gathered.population, list(group.members)

    def median(name: str) -> float | None:
        values = everybody.feature(name, members)
        return float(np.median(values)) if len(values) else None

    def named(numbers: Sequence[int]) -> set[str]:
        return {everybody.names[at] for at in numbers}

    single = median("single_prompt_share")
    prompts = everybody.feature("prompts", members).sum()
    wording = sum(everybody.feature(family, members).sum() for family in phrases()) / prompts if prompts else None
    payers = [set(link.accounts) for link in group.links if FAMILY_OF[link.kind] == "payment"]
    mine = named(members)
    return Traits(
        frozenset(shown_by), p_conduct, None if single is None else 1 - single, median("hours_of_day"),
        median("events") or 0.0, float(np.median(everybody.features["events"])), wording,
        any(mine <= payer for payer in payers),
        any(2 * len(owned(tie, named(shown_by.get(tie, ())), mine, group.links)) >= len(mine) for tie in TIES),
        any(link.kind == "failover" for link in group.links),
    )  # fmt: skip


def _estimate(said: Contents, usage: _Usage) -> tuple[int, int | None]:
    """Exchanges and tokens that belong to the campaign: those that fill its templates, or else all."""
    exchanges = usage.exchanges if said.filling is None else said.filling
    share = exchanges / usage.exchanges if usage.exchanges else 0.0
    return exchanges, None if usage.tokens is None else round(usage.tokens * share)
