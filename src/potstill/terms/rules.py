"""The rules: what each licence or terms document says about training on outputs, read from the package's rules.json."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args

from potstill.errors import PotstillError
from potstill.records import Verdict

Kind = Literal["licence", "terms"]
Confidence = Literal["high", "medium", "low"]

# From what anybody may do to what nobody may; unknown stands before prohibited because it can still turn out well.
STRICTNESS: tuple[Verdict, ...] = ("allowed", "conditional", "prohibited_if_competing", "unknown", "prohibited")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one document says. `applies_to` holds patterns: ORG/NAME for weights, provider:model, license:ID."""

    id: str
    provider: str
    applies_to: tuple[str, ...]
    kind: Kind
    output_training: Verdict
    conditions: tuple[str, ...]
    obligations: tuple[str, ...]
    document: str
    version_or_date: str
    section: str
    url: str
    confidence: Confidence
    basis: str  # how the document was read
    summary: str
    checked: date | None  # see `about` in rules.json; None: not compared with the document yet

    def has(self, obligation: str) -> bool:
        """Whether the rule carries this obligation, with or without a value after a colon."""
        return any(given.partition(":")[0] == obligation for given in self.obligations)

    def values(self, obligation: str) -> tuple[str, ...]:
        """The values after the colon of obligations of this name."""
        parts = (given.partition(":") for given in self.obligations)
        return tuple(value for name, colon, value in parts if name == obligation and colon)


_TEXTS = ("id", "provider", "document", "version_or_date", "section", "url", "basis")
_LISTS = ("applies_to", "conditions", "obligations")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "kind": get_args(Kind), "output_training": STRICTNESS, "confidence": get_args(Confidence),
}  # fmt: skip


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """All rules of this release, read once. Raises PotstillError where the data are malformed."""
    source = files("potstill.terms") / "rules.json"
    return parse_rules(source.read_text(encoding="utf-8"), "rules.json")


def parse_rules(text: str, origin: str) -> tuple[Rule, ...]:
    """Read and check rules from JSON text. Raises PotstillError naming `origin`, the rule and the field."""
    try:
        data = json.loads(text)
        entries = data["rules"]
    except (ValueError, KeyError, TypeError) as error:
        raise PotstillError(f"{origin}: not a JSON object with a list of rules ({error})") from None
    found = tuple(_rule(entry, f"{origin}: rule {number}") for number, entry in enumerate(entries, start=1))
    known: set[str] = set()
    for rule in found:
        if rule.id in known:
            raise PotstillError(f"{origin}: two rules are called {rule.id}; give each its own id")
        known.add(rule.id)
    for rule in found:
        for target in inherited(rule):
            if target not in known:
                raise PotstillError(f"{origin}: {rule.id}: obligations: inherits {target}, which is no rule")
    return found


def inherited(rule: Rule) -> tuple[str, ...]:
    """Ids of the rules that also bind what this rule binds, from obligations such as inherits:llama3.1|llama3.3."""
    return tuple(target for value in rule.values("inherits") for target in value.split("|"))


def matching(name: str, candidates: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules whose patterns fit a name, without regard to case.

    Every terms document that fits binds. Of licences only the one with the most literal pattern does, since weights
    have one licence and a family's pattern must not hide a member's exception.
    """
    fits = [(rule, length) for rule in candidates if (length := _literal_length(name, rule)) is not None]
    longest = max((length for rule, length in fits if rule.kind == "licence"), default=0)
    return tuple(rule for rule, length in fits if rule.kind == "terms" or length == longest)


def _literal_length(name: str, rule: Rule) -> int | None:
    lengths = [
        len(pattern.replace("*", "")) for pattern in rule.applies_to if fnmatchcase(name.casefold(), pattern.casefold())
    ]
    return max(lengths, default=None)


def _rule(entry: Any, where: str) -> Rule:
    names = {field.name for field in fields(Rule)}
    if not isinstance(entry, dict) or set(entry) != names:
        wrong = sorted(names.symmetric_difference(entry)) if isinstance(entry, dict) else ["not an object"]
        raise PotstillError(f"{where}: has unknown or missing fields: {', '.join(map(str, wrong))}")
    where = f"{where} ({entry['id']})"
    for name in _TEXTS:
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise PotstillError(f"{where}: {name}: must be a text that is not empty")
    if not isinstance(entry["summary"], str):
        raise PotstillError(f"{where}: summary: must be a text")
    for name in _LISTS:
        if not isinstance(entry[name], list) or not all(isinstance(item, str) and item for item in entry[name]):
            raise PotstillError(f"{where}: {name}: must be a list of texts")
    for name in ("applies_to", "conditions"):
        if not entry[name]:
            raise PotstillError(f"{where}: {name}: must not be empty")
    for name, choices in _CHOICES.items():
        if entry[name] not in choices:
            raise PotstillError(f"{where}: {name}: {entry[name]!r} is not one of {', '.join(choices)}")
    lists = {name: tuple(entry[name]) for name in _LISTS}
    return Rule(**{**entry, **lists, "checked": _date(entry["checked"], where)})


def _date(value: Any, where: str) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise PotstillError(f"{where}: checked: {value!r} is neither null nor a date such as 2026-11-25") from None
