"""Fields of JSON answers that the teacher leaves empty and the student fills, and the other way round."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Place = tuple[str, ...]  # keys down to an object or a field; an element of an array is "[]"
Kind = Literal["empty", "absent", "filled"]

_ABSENT: Final = object()
_ELEMENT: Final = "[]"
_USUAL_SHARE, _USUAL_LEAST = 0.1, 2
_PLACEHOLDERS: Final = frozenset({
    "", "-", "--", "–", "—", "?", "...", "…", "n/a", "na", "n.a.", "none", "null", "nil", "unknown", "not specified",
    "not provided", "not mentioned", "not stated", "not available", "unspecified", "undefined", "tbd", "unbekannt",
    "nicht angegeben", "keine angabe", "k.a.", "inconnu", "non précisé", "desconocido", "no especificado",
    "desconhecido", "sconosciuto", "onbekend", "неизвестно", "未知", "不明", "なし", "없음",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One field of one answer: what the teacher left there, and whether the student's answer agrees in being empty."""

    place: Place
    kind: Kind  # of the teacher's field
    changed: bool  # invented where the teacher's is empty or absent; dropped where it is filled
    student: Any = None


@dataclass(slots=True)
class UsualFields:
    """Which keys objects of the job usually have, from the teacher's answers: without them nothing is "absent"."""

    objects: Counter[Place] = field(default_factory=Counter)
    keys: dict[Place, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, answers: Iterable[Any]) -> "UsualFields":
        """Count the keys of every object in these JSON values, by its place."""
        found = cls()
        for answer in answers:
            for place, one in _objects(answer):
                found.objects[place] += 1
                found.keys.setdefault(place, Counter()).update(one.keys())
        return found

    def at(self, place: Place) -> list[str]:
        """Keys that a tenth of the objects at this place have, and two at least."""
        least = max(_USUAL_SHARE * self.objects[place], _USUAL_LEAST)
        return [key for key, count in self.keys.get(place, {}).items() if count >= least]


def is_empty(value: Any) -> bool:
    """Whether a field says nothing: null, "", [], {}, or a word that stands for nothing, such as "n/a"."""
    if isinstance(value, str):
        return value.strip().casefold() in _PLACEHOLDERS
    return value is None or value is _ABSENT or value in ([], {})


def occurrences(teacher: Any, student: Any, usual: UsualFields) -> Iterator[Occurrence]:
    """Every field that can be compared, one that stands in an object that both answers have at the same place.

    Elements of arrays are compared by their order, and those that only one side has are left aside. False and 0 are
    values. A key that neither the teacher's object nor the job's usual fields have is left aside as well.
    """
    waiting: list[tuple[Place, Any, Any]] = [((), teacher, student)]
    while waiting:
        place, theirs, ours = waiting.pop()
        if isinstance(theirs, list) and isinstance(ours, list):
            waiting.extend(((*place, _ELEMENT), *pair) for pair in zip(theirs, ours, strict=False))
        elif isinstance(theirs, dict) and isinstance(ours, dict):
            for key in dict.fromkeys([*theirs, *usual.at(place)]):
                before, after = theirs.get(key, _ABSENT), ours.get(key, _ABSENT)
                here = (*place, key)
                yield _occurrence(here, before, after)
                if isinstance(before, dict | list) and isinstance(after, dict | list):
                    waiting.append((here, before, after))


def _occurrence(place: Place, before: Any, after: Any) -> Occurrence:
    if is_empty(before):
        kind: Kind = "absent" if before is _ABSENT else "empty"
        return Occurrence(place, kind, not is_empty(after), None if after is _ABSENT else after)
    return Occurrence(place, "filled", is_empty(after), None if after is _ABSENT else after)


def shown(place: Place) -> str:
    """A place as people write it: a.b[].c."""
    return "".join(part if part == _ELEMENT else f".{part}" for part in place).removeprefix(".")


def field_at(value: Any, path: str) -> Any:
    """The field a.b.c of a JSON value; None where there is none."""
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _objects(value: Any) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    waiting: list[tuple[Place, Any]] = [((), value)]
    while waiting:
        place, one = waiting.pop()
        if isinstance(one, dict):
            yield place, one
            waiting.extend(((*place, key), part) for key, part in one.items())
        elif isinstance(one, list):
            waiting.extend(((*place, _ELEMENT), part) for part in one)
