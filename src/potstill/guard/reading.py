"""The events of one log file, one by one and never a whole file in memory; a bad row is passed on with its reason."""

import csv
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.errors import PotstillError
from potstill.exchanges import Unreadable, opened, rows
from potstill.exchanges.chat import decoded
from potstill.exchanges.record import RowFault, mapping
from potstill.exchanges.rows import bounded_lines
from potstill.guard.adapters.chat_log import read_chat_log
from potstill.guard.adapters.litellm import read_litellm
from potstill.guard.adapters.otel import read_spans
from potstill.guard.forms import LONGEST_ROW, Form
from potstill.guard.row import canonical
from potstill.guard.schema import FIELDS

_BATCH_ROWS = 1 << 15

Found = tuple[str, dict[str, Any]]  # place, and values by the fields of the event
Columns = Mapping[str, str]  # the event's field -> where rows have it, dotted where it lies deeper


def read_columns(given: list[str]) -> dict[str, str]:
    """The mapping that FIELD=COLUMN texts say. Raises PotstillError for what is none, or no field of the event."""
    columns: dict[str, str] = {}
    for one in given:
        field, equals, column = one.partition("=")
        if not (equals and column.strip()) or field.strip() not in FIELDS:
            raise PotstillError(f"--map {one}: wanted is FIELD=COLUMN, with a field of {', '.join(FIELDS)}")
        columns[field.strip()] = column.strip()
    return columns


def read_events(path: Path, form: Form, columns: Columns | None = None) -> Iterator[Found | Unreadable]:
    """Place and fields of every event of a JSON log or CSV file, and every row that is none, with the reason.

    `columns` says where rows have fields under other names, and comes before what the form says. A file that ends too
    early, as a truncated gzip does, gives the rows that it has and one Unreadable.
    """
    source = _csv_rows(path) if form == "csv" else rows(path, LONGEST_ROW)
    try:
        for found in source:
            if isinstance(found, Unreadable):
                yield found
                continue
            place, row = found
            try:
                yield from ((place, fields) for fields in _events_of(row, form, columns or {}))
            except RowFault as fault:
                yield Unreadable(place, str(fault))
            except RecursionError:
                yield Unreadable(place, "nested too deeply")
    except PotstillError as error:
        reason = str(error).removeprefix(f"{path}: ")
        yield Unreadable(str(path), f"the file ends too early; the rows before that are read ({reason})")


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a Parquet file. Raises PotstillError where it is none."""
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_BATCH_ROWS)
    except (OSError, pa.ArrowException) as error:
        raise PotstillError(f"{path}: not a Parquet file that can be read ({str(error).splitlines()[0]})") from None


def _events_of(row: Mapping[str, Any], form: Form, columns: Columns) -> Iterator[dict[str, Any]]:
    match form:
        case "otel":
            pairs: Iterator[tuple[dict[str, Any], Mapping[str, Any]]] = read_spans(row)
        case "litellm":
            pairs = iter([read_litellm(row)])
        case "chat_log":
            pairs = iter([read_chat_log(row)])
        case _:
            pairs = iter([(canonical(row), row)])
    for fields, source in pairs:
        for field, column in columns.items():
            fields[field] = _under(source, column)
        yield fields


def _under(row: Mapping[str, Any], name: str) -> Any:
    if name in row:  # names of attributes have dots themselves
        return row[name]
    found: Any = row
    for part in name.split("."):
        found = mapping(decoded(found)).get(part)
    return found


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]] | Unreadable]:
    csv.field_size_limit(LONGEST_ROW)
    too_long: list[int] = []
    try:
        with opened(path) as file:
            reader = csv.reader(
                _texts(file, too_long), delimiter="\t" if path.name.casefold().endswith(".tsv") else ","
            )
            names = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
            while True:
                try:
                    values = next(reader, None)
                except csv.Error:
                    yield Unreadable(f"{path}:{reader.line_num}", "not a row of CSV")
                    continue
                yield from (Unreadable(f"{path}:{at}", "a line that is too long") for at in too_long)
                too_long.clear()
                if values is None:
                    return
                place = f"{path}:{reader.line_num}"
                if values and len(values) != len(names):
                    yield Unreadable(place, "another number of columns than the header has")
                elif values:
                    yield place, dict(zip(names, values, strict=True))
    except (OSError, EOFError, zlib.error) as error:
        raise PotstillError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _texts(file: BinaryIO, too_long: list[int]) -> Iterator[str]:
    """The lines of a file; the numbers of those that are too long are noted, and an empty line stands for each."""
    for number, line in bounded_lines(file, LONGEST_ROW):
        if line is None:
            too_long.append(number)
        yield "\n" if line is None else line.decode("utf-8", "replace")
