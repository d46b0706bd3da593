"""How a case explains itself: rows of evidence, sentences for a person, and what to do."""

from collections.abc import Mapping, Sequence

from potstill.guard.cases.case import Action, Case, Outcome, Shown
from potstill.guard.cases.contents import Contents
from potstill.guard.cases.explanations import Explanation, Traits
from potstill.guard.cases.families import FAMILY_OF, INNOCENT, KINDS_OF, SHOWS, Family
from potstill.guard.cases.findings import Finding
from potstill.guard.cases.gathered import Gathered
from potstill.guard.cases.population import unusual
from potstill.guard.evidence.links import Link


def shown(
    families: Mapping[Family, Sequence[int]], findings: Sequence[Finding], links: Sequence[Link], said: Contents,
    gathered: Gathered,
) -> tuple[Shown, ...]:  # fmt: skip
    """A row a family, with the customers who show it, what they share, and what innocent cause it may have."""
    found = []
    names = gathered.population.names
    for family in (one for one in KINDS_OF if families.get(one)):
        who = list(families[family])
        p_values = [
            finding.p_values[one.name] for finding in findings for one in gathered.questions
            if one.family == family and one.name in finding.p_values
        ]  # fmt: skip
        if family == "conduct":
            kinds, examples = unusual(gathered.population, who)
        else:
            kinds, examples = _values(
                [link for link in links if FAMILY_OF[link.kind] == family], [names[at] for at in who]
            )
        if family == "content":
            examples = said.templates + examples
        found.append(Shown(
            family, kinds, len(who), min(p_values, default=None), SHOWS[family], INNOCENT[family], examples,
        ))  # fmt: skip
    return tuple(found)


def _values(links: list[Link], who: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Kinds of these links, and the values that most of these customers share."""
    sharing = {link: len(set(link.accounts).intersection(who)) for link in links}
    ordered = sorted(links, key=lambda link: (-sharing[link], link.kind, link.value))
    examples = [
        f"{link.kind} {link.value}".strip() + f", {sharing[link]} customers"
        for link in ordered if link.kind != "templates"
    ]  # fmt: skip
    return tuple(dict.fromkeys(link.kind for link in ordered)), tuple(examples[:3])


def action_for(outcome: Outcome, innocent: Explanation | None, families: int, traits: Traits) -> Action:
    """What to do: the more independent witnesses, the firmer; a person looks before anything is done.

    Beside the families of evidence count conduct that is rare among the like (p at most 0.01), and wording that asks
    for reasoning, rubrics or instructions. Three witnesses or fewer: verify identity; four: cap; more: refuse.
    """
    if outcome != "evidence":
        return "watch" if innocent is not None or outcome == "not enough data" else "none"
    rare = traits.p_conduct is not None and traits.p_conduct <= 0.01
    witnesses = families + rare + traits.asks_for_method
    return "verify identity" if witnesses <= 3 else "cap" if witnesses == 4 else "refuse"


def sentences(case: Case, innocent: Explanation | None, against: str) -> tuple[str, ...]:
    """What a person reads of a case; `against` says how its accounts compare with their class and past."""
    kinds = ", ".join(one.family for one in case.evidence)
    chance = (
        f"Among as many customers of the same plan, model and hours this comes with p = {case.p_value:.2g} "
        f"(q = {case.q_value:.2g} across all that was asked; p could not have been below {case.smallest_p:.2g})."
    )
    tokens = f", {case.tokens:,} tokens" if case.tokens is not None else ""
    lines = [
        f"{len(case.accounts)} accounts of {case.customers} customers have in common: {kinds}.",
        chance,
        f"About {case.exchanges:,} of their {case.exchanges_at_most:,} requests belong to it{tokens}.",
        f"Aimed at: {', '.join(case.targets)}.",
    ]
    if against:
        lines.append(f"Of its customers, {against}.")
    lines += [one.sentence for one in case.evidence]
    if innocent is not None:
        lines.append(f"Fits an innocent explanation, {innocent.name}: {innocent.says}.")
    return tuple(lines)
