"""The text of a file of rules, read and checked; what is wrong is named with its line, its rule and its field."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from potstill.errors import PotstillError
from potstill.terms.obligations import OBLIGATIONS, known_obligation
from potstill.terms.rule import RECHECK_DAYS, STRICTNESS, Confidence, Kind, Rule

_TEXTS = ("id", "provider", "document", "version_or_date", "section", "url", "basis")
_LISTS = ("applies_to", "conditions", "obligations")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "kind": get_args(Kind), "output_training": STRICTNESS, "confidence": get_args(Confidence),
}  # fmt: skip
_FIELDS = {*_TEXTS, *_LISTS, *_CHOICES, "summary", "checked", "recheck_days"}
_REQUIRED = _FIELDS - {"recheck_days"}
_FILE_FIELDS = {"family", "about", "rules"}

if TYPE_CHECKING:
    from yaml import SafeLoader as _Base
else:
    # The parser in C is some ten times as fast; wheels of PyYAML have it, a build without libyaml has not.
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """YAML in which a date stays a text, as in the JSON Schema, and a key that stands twice is an error."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as the class above has it)
        first: [(tag, expression) for tag, expression in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        if len(found) != len(node.value):
            raise yaml.MarkedYAMLError(problem="a key stands twice", problem_mark=node.start_mark)
        return found


class _Fault(Exception):
    """What is wrong with the entry of a rule, and in which field of it, if in one."""

    def __init__(self, what: str, field: str | None = None) -> None:
        super().__init__(f"{field}: {what}" if field else what)
        self.field = field


def parse_rules(text: str, origin: str, own: bool = False) -> tuple[Rule, ...]:
    """Read and check the rules of one file. Raises PotstillError naming `origin`, the line, the rule and the field."""
    data = load(text, origin)
    if not isinstance(data, dict) or not isinstance(data.get("rules"), list):
        raise PotstillError(f"{origin}: a file of rules is a mapping with a list of them under `rules:`")
    if unknown := data.keys() - _FILE_FIELDS:
        raise PotstillError(
            f"{origin}: no such key: {', '.join(sorted(map(str, unknown)))}; there are family, about and rules"
        )
    found: list[Rule] = []
    for number, entry in enumerate(data["rules"]):
        try:
            found.append(_rule(entry, Path(origin).name, own))
        except _Fault as fault:
            name = f" ({entry['id']})" if isinstance(entry, dict) and entry.get("id") else ""
            where = f"{origin}:{_line(text, number, fault.field)}: rule {number + 1}{name}"
            raise PotstillError(f"{where}: {fault}") from None
    check_ids(found)
    return tuple(found)


def check_ids(found: Iterable[Rule]) -> None:
    """Raises PotstillError where two rules have one id."""
    seen: dict[str, Rule] = {}
    for rule in found:
        if other := seen.get(rule.id):
            where = rule.origin if rule.origin == other.origin else f"{other.origin} and {rule.origin}"
            raise PotstillError(f"{where}: two rules are called {rule.id}; give each its own id")
        seen[rule.id] = rule


def load(text: str, origin: str) -> Any:
    """YAML as plain data. Raises PotstillError with the line where it is none."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(error, "problem", None) or error).split())
        raise PotstillError(f"{origin}{line}: not valid YAML ({what})") from None
    except (ValueError, RecursionError) as error:
        raise PotstillError(f"{origin}: not valid YAML ({error})") from None


def _line(text: str, number: int, field: str | None) -> int:
    """The line of a field of a rule, or where the rule begins; read again, because only a fault asks for it."""
    top: Any = yaml.compose(text, _Loader)
    rules = next(value for key, value in top.value if key.value == "rules")
    node = rules.value[number]
    keys = dict(_keys(node)) if isinstance(node, yaml.MappingNode) else {}
    mark = keys.get(field or "", node.start_mark)
    return int(mark.line) + 1


def _keys(node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Mark]]:
    for key, _ in node.value:
        yield str(key.value), key.start_mark


def _rule(entry: Any, origin: str, own: bool) -> Rule:
    if not isinstance(entry, dict):
        raise _Fault("must be a mapping of fields")
    if unknown := entry.keys() - _FIELDS:
        first = min(map(str, unknown))
        raise _Fault(f"no such field; there are {', '.join(sorted(_FIELDS))}", first)
    if missing := sorted(_REQUIRED - entry.keys()):
        raise _Fault(f"missing: {', '.join(missing)}")
    for name in (*_TEXTS, "summary"):
        _check_text(entry[name], name)
    for name in _LISTS:
        _check_list(entry[name], name)
    for name, choices in _CHOICES.items():
        if entry[name] not in choices:
            raise _Fault(f"{entry[name]!r} is not one of {', '.join(choices)}", name)
    for given in entry["obligations"]:
        if not known_obligation(given):
            raise _Fault(_no_obligation(given), "obligations")
    days = entry.get("recheck_days", RECHECK_DAYS)
    if not isinstance(days, int) or isinstance(days, bool) or days < 1:
        raise _Fault(f"{days!r} is not a number of days", "recheck_days")
    lists = {name: tuple(entry[name]) for name in _LISTS}
    read = {**entry, **lists, "checked": _date(entry["checked"]), "recheck_days": days}
    return Rule(**read, origin=origin, own=own)


def _check_text(value: Any, name: str) -> None:
    if not isinstance(value, str):
        hint = f"; write it in quotes: '{value}'" if isinstance(value, int | float) else ""
        raise _Fault(f"must be a text{hint}", name)
    if name != "summary" and not value.strip():
        raise _Fault("must not be empty", name)


def _check_list(value: Any, name: str) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise _Fault("must be a list of texts", name)
    if name != "obligations" and not value:
        raise _Fault("must not be empty", name)


def _no_obligation(given: str) -> str:
    name = given.partition(":")[0]
    if name not in OBLIGATIONS:
        return f"{given!r} is none; there are {', '.join(OBLIGATIONS)}"
    form = OBLIGATIONS[name].value
    return f"{given!r}: write {name}" + {"none": "", "text": ":TEXT", "number": ":NUMBER"}[form]


def _date(value: Any) -> date | None:
    if value is None:
        return None
    try:
        found = date.fromisoformat(value)
    except (TypeError, ValueError):
        found = None
    if found is None or found.isoformat() != value:  # a week or a day without hyphens is read by no other tool
        raise _Fault(f"{value!r} is neither null nor a date such as 2026-11-25", "checked")
    return found
