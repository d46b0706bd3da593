"""What differs between two sets of rules, verdicts first."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from potstill.terms.rule import STRICTNESS, Rule
from potstill.terms.rule_files import packaged, read_rules

PACKAGE = "package"
_NOT_CONTENT = ("id", "origin", "own")  # a rule that moves to another file says the same


@dataclass(frozen=True, slots=True)
class Change:
    """A rule that stands in both sets and says something else: old and new value of each field that differs."""

    id: str
    fields: Mapping[str, tuple[Any, Any]]

    @property
    def verdict(self) -> tuple[str, str] | None:
        """Old and new verdict, where it changed."""
        return self.fields.get("output_training")

    @property
    def direction(self) -> str:
        """Whether the new verdict is stricter or milder; empty where it did not change."""
        if self.verdict is None:
            return ""
        old, new = (STRICTNESS.index(one) for one in self.verdict)
        return "stricter" if new > old else "milder"


@dataclass(frozen=True, slots=True)
class Changes:
    """From one set of rules to another; `changed` begins with the verdicts that did."""

    added: tuple[Rule, ...]
    removed: tuple[Rule, ...]
    changed: tuple[Change, ...]

    def lines(self) -> list[str]:
        """The changes in words."""
        if not (self.added or self.removed or self.changed):
            return ["no rule differs"]
        lines = []
        for change in self.changed:
            was = f": {change.verdict[0]} -> {change.verdict[1]} ({change.direction})" if change.verdict else ""
            lines.append(f"changed {change.id}{was}")
            for name, (old, new) in change.fields.items():
                lines += [] if name == "output_training" else [f"  {name}: {_difference(old, new)}"]
        lines += [f"added {rule.id}: {rule.output_training} ({', '.join(rule.applies_to)})" for rule in self.added]
        lines += [f"removed {rule.id}: {rule.output_training} ({', '.join(rule.applies_to)})" for rule in self.removed]
        return lines

    def data(self) -> dict[str, Any]:
        """The changes for other programs."""
        return {
            "added": [_content(rule) for rule in self.added],
            "removed": [_content(rule) for rule in self.removed],
            "changed": [
                {
                    "id": change.id,
                    "direction": change.direction or None,
                    "fields": {name: {"old": _plain(old), "new": _plain(new)}
                               for name, (old, new) in change.fields.items()},
                }
                for change in self.changed
            ],
        }  # fmt: skip


def compare(old: Iterable[Rule], new: Iterable[Rule]) -> Changes:
    """What is added, removed and changed from `old` to `new`; rules are the same by their id."""
    before, after = {rule.id: rule for rule in old}, {rule.id: rule for rule in new}
    both = [Change(one, _fields(before[one], after[one])) for one in before if one in after]
    return Changes(
        added=tuple(rule for rule in after.values() if rule.id not in before),
        removed=tuple(rule for rule in before.values() if rule.id not in after),
        changed=tuple(sorted((one for one in both if one.fields), key=lambda one: (one.verdict is None, one.id))),
    )


def rules_of(place: str) -> tuple[Rule, ...]:
    """The rules of a file or folder, or those of this release for the word package. Raises PotstillError."""
    return packaged() if place == PACKAGE else read_rules([Path(place)])


def _fields(old: Rule, new: Rule) -> dict[str, tuple[Any, Any]]:
    before, after = asdict(old), asdict(new)
    pairs = {name: (before[name], after[name]) for name in before if name not in _NOT_CONTENT}
    return {name: (one, other) for name, (one, other) in pairs.items() if one != other}


def _content(rule: Rule) -> dict[str, Any]:
    return {name: _plain(value) for name, value in asdict(rule).items() if name not in ("origin", "own")}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | tuple) else str(value)


def _difference(old: Any, new: Any) -> str:
    """Two values side by side; of lists what went and what came, and their order where that is all."""
    if not isinstance(old, tuple):
        return f"{_shown(old)} -> {_shown(new)}"
    went, came = [one for one in old if one not in new], [one for one in new if one not in old]
    moved = "" if went or came else "in another order"
    return "; ".join((*(f"- {one}" for one in went), *(f"+ {one}" for one in came), *([moved] if moved else [])))


def _shown(value: Any) -> str:
    return "none" if value in (None, "") else str(value)
