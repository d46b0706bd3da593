"""Rules for a reader: one line each, or one rule with everything that is known of it."""

from collections.abc import Iterable
from datetime import date, timedelta
from difflib import get_close_matches

from potstill.errors import PotstillError
from potstill.records import Verdict
from potstill.terms.obligations import OBLIGATIONS
from potstill.terms.rule import Rule
from potstill.terms.rule_files import families

_CHECKED_WIDTH = len("checked 2026-11-25!")
MEANINGS: dict[Verdict, str] = {
    "allowed": "outputs may train another model",
    "conditional": "outputs may train another model, if the obligations are met",
    "prohibited_if_competing": "outputs may not train a model that competes with the owner's",
    "prohibited": "outputs may not train another model",
    "unknown": "nobody has read the document, or it does not say: the gate stops",
}


def listed(found: Iterable[Rule], today: date) -> list[str]:
    """One line a rule under the name of its file; own rules first."""
    rules = list(found)
    about = families()
    id_width, verdict_width = max(len(rule.id) for rule in rules), max(map(len, MEANINGS))
    lines: list[str] = []
    for shipped, origin in sorted({(not rule.own, rule.origin) for rule in rules}):
        family, holds = about[origin] if shipped else ("your own", "they go before the others")
        head = f"{family} ({origin}): {holds}"
        lines += [*([""] if lines else []), head]
        lines += [
            f"  {rule.id:<{id_width}}  {rule.output_training:<{verdict_width}}  {_checked(rule, today)}  "
            f"{', '.join(rule.applies_to)}  [{rule.version_or_date}]"
            for rule in rules
            if (not rule.own, rule.origin) == (shipped, origin)
        ]
    return lines


def shown(rule: Rule, today: date) -> list[str]:
    """All that a rule says, in words."""
    return [
        f"{rule.id}: {rule.document}, {rule.kind} of {rule.provider}",
        f"verdict: {rule.output_training} ({MEANINGS[rule.output_training]})",
        *([f"summary: {rule.summary}"] if rule.summary else []),
        "applies to:",
        *(f"  {pattern}" for pattern in rule.applies_to),
        "conditions:",
        *(f"  {condition}" for condition in rule.conditions),
        *(["obligations:"] if rule.obligations else ["obligations: none"]),
        *(f"  {given}: {OBLIGATIONS[given.partition(':')[0]].meaning}" for given in rule.obligations),
        f"document: {rule.document}, {rule.version_or_date}; section {rule.section}",
        f"address: {rule.url}",
        f"how it was read: {rule.basis}; confidence {rule.confidence}",
        f"age: {_age(rule, today)}",
        f"file: {rule.origin} ({'your own' if rule.own else 'of this release'})",
    ]


def named(rule_id: str, found: Iterable[Rule]) -> Rule:
    """The rule of this id. Raises PotstillError with the ids most like it where there is none."""
    by_id = {rule.id: rule for rule in found}
    if rule_id in by_id:
        return by_id[rule_id]
    lower = {one.casefold(): one for one in by_id}
    alike = [lower[one] for one in get_close_matches(rule_id.casefold(), lower, n=3)]
    alike = alike or [one for one in by_id if rule_id.casefold() in one.casefold()][:3]
    hint = f"did you mean {' or '.join(alike)}?" if alike else "`potstill terms list` shows all"
    raise PotstillError(f"no rule is called {rule_id}; {hint}")


def _checked(rule: Rule, today: date) -> str:
    if rule.checked is None:
        return "never compared".ljust(_CHECKED_WIDTH)
    return f"checked {rule.checked}{'!' if rule.overdue_days(today) is not None else ''}".ljust(_CHECKED_WIDTH)


def _age(rule: Rule, today: date) -> str:
    if rule.checked is None:
        return "never compared with its document"
    due = rule.checked + timedelta(days=rule.recheck_days)
    late = rule.overdue_days(today)
    state = f"{late} days ago: look at the document again" if late is not None else f"look again by {due}"
    return f"compared with its document on {rule.checked}; {state}"
