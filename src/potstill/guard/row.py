"""One event on its way in: fields are read into their types, identifiers become pseudonyms, faults are counted."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Final

import pyarrow as pa

from potstill.exchanges.record import RowFault
from potstill.guard.clock import instant
from potstill.guard.pseudonyms import Pseudonyms
from potstill.guard.schema import COUNTS, FIELDS, IDENTIFIERS, LABELS, SWITCHES, TEXTS, TIMES

LONGEST_LABEL = (
    256  # characters; a caller writes the model's name, so a longer one is cut and no reason to lose the row
)
_MOST = 1 << 62
_SWITCHES: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_IDENTIFIERS: Final = frozenset(IDENTIFIERS)


@dataclass(slots=True)
class Noted:
    """What was noticed on the way in, in numbers."""

    events: int = 0
    naive_times: int = 0  # times that named no zone
    backwards: int = 0  # events that are earlier than the one before them in their file
    unreadable_fields: Counter[str] = field(
        default_factory=Counter
    )  # values of the wrong type, left out of their events
    quarantined: Counter[str] = field(default_factory=Counter)  # rows, by reason
    present: Counter[str] = field(default_factory=Counter)  # events that have a value, by field
    forms: Counter[str] = field(default_factory=Counter)  # files, by form of log

    def add(self, other: "Noted") -> None:
        """Count what another part of the work noticed too."""
        self.events += other.events
        self.naive_times += other.naive_times
        self.backwards += other.backwards
        for mine, others in (
            (self.unreadable_fields, other.unreadable_fields), (self.quarantined, other.quarantined),
            (self.present, other.present), (self.forms, other.forms),
        ):  # fmt: skip
            mine.update(others)


@dataclass(slots=True)
class Cleaner:
    """Makes rows of the canonical schema out of what adapters found."""

    pseudonyms: Pseudonyms
    metadata_only: bool = False
    zone: tzinfo = UTC  # of times that name none
    noted: Noted = field(default_factory=Noted)
    latest_us: int = 0  # of the last event with a time, in this file

    def clean(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The event with its values in the types of the schema; times are integers in microseconds.

        A value of another type is left out and counted: callers write some of them, and nobody shall hide a request by
        a bad temperature. Raises RowFault where the time cannot be read, or nothing of an event is there.
        """
        event: dict[str, Any] = {}
        for name, value in found.items():
            if value is None or value == "" or (self.metadata_only and name in TEXTS):
                continue
            try:
                if name in _IDENTIFIERS:
                    event[name] = self.pseudonyms.of(name, _text(value))
                elif name in TIMES:
                    read = instant(value, self.zone)
                    self.noted.naive_times += read.naive
                    event[name] = read.us
                else:
                    event[name] = _READ[name](value)
            except (ValueError, OverflowError):
                if name == "time":
                    raise RowFault("its time cannot be read") from None
                self.noted.unreadable_fields[name] += 1
        if not event:
            raise RowFault("nothing of an event in it")
        when = event.get("time")
        if when is not None:
            self.noted.backwards += when < self.latest_us
            self.latest_us = when
        self.noted.events += 1
        return event

    def note_present(self, batch: pa.RecordBatch) -> None:
        """Count the events of a finished batch that have a value, by field."""
        for name, column in zip(FIELDS, batch.columns, strict=True):
            if len(column) > column.null_count:
                self.noted.present[name] += len(column) - column.null_count


def _text(value: Any) -> str:
    """A text, or a number as one; half characters, which no file can hold, become question marks."""
    if type(value) is str and value.isascii():
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("not a text")
    try:
        text = str(value)
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


def _count(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError("not a count")
    number = value if isinstance(value, int) else _finite(value)
    if number != int(number) or not 0 <= number < _MOST:
        raise ValueError("not a count")
    return int(number)


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a number")
    return number


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = _SWITCHES.get(str(value).strip().casefold()) if isinstance(value, int | str) else None
    if known is None:
        raise ValueError("neither true nor false")
    return known


def _label(value: Any) -> str:
    return _text(value)[:LONGEST_LABEL]


def _prose(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return _text(value)


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(LABELS, _label),
    **dict.fromkeys(COUNTS, _count),
    **dict.fromkeys(SWITCHES, _switch),
    **dict.fromkeys(TEXTS, _prose),
    "temperature": _finite,
}


def canonical(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that have names of the schema."""
    return {name: row[name] for name in FIELDS if row.get(name) is not None}
