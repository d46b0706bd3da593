"""Logs in, events out: files are read side by side, cleaned, and written; what was noticed becomes the manifest."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from potstill.errors import PotstillError
from potstill.exchanges import Unreadable
from potstill.exchanges.record import RowFault
from potstill.guard.columns import cleaned_columns
from potstill.guard.forms import Form, files_of, form_of
from potstill.guard.processes import process_pool
from potstill.guard.pseudonyms import Pseudonyms
from potstill.guard.reading import read_batches, read_events
from potstill.guard.row import Cleaner, Noted
from potstill.guard.schema import FIELDS, SCHEMA, TEXTS, VERSION
from potstill.guard.store import EVENTS, MANIFEST, QUARANTINE, EventWriter
from potstill.progress import Reporter, Silent
from potstill.store.durable import written_whole

_BATCH_ROWS = 1 << 15
_BATCH_CHARACTERS = 1 << 24  # of texts, before a batch of fewer rows is passed on


@dataclass(frozen=True, slots=True)
class Intake:
    """How logs are read: `key` for the pseudonyms, and what the caller knows about the logs."""

    key: bytes = field(repr=False)
    form: Form | None = None  # None looks at each file
    columns: Mapping[str, str] = field(default_factory=dict)  # the event's field -> where rows have it
    metadata_only: bool = False  # drop prompts, system prompts and answers
    zone: tzinfo = UTC  # of times that name none
    processes: int = 1  # files read at a time


@dataclass(frozen=True, slots=True)
class Ingested:
    """What came of reading logs."""

    folder: Path
    noted: Noted
    files: int


def ingest(paths: Sequence[Path], folder: Path, how: Intake, reporter: Reporter | None = None) -> Ingested:
    """Read log files or folders of them into `folder`: events/day=…/*.parquet, quarantine.jsonl and events.json.

    The manifest, events.json, is written last. What a killed call left there is removed first; a finished folder is
    not touched. Raises PotstillError for a finished or foreign folder, a path that is not there, a file of no known
    form, and where rows were read and none of them was an event (after writing their reasons).
    """
    files = files_of(list(paths))
    forms = [how.form or form_of(path, bool(how.columns)) for path in files]
    _prepare(folder)
    noted = Noted()
    with (reporter or Silent()).meter("reading logs", len(files), "files") as meter:
        for one in _each(list(zip(files, forms, strict=True)), folder, how):
            noted.add(one)
            meter.advance(1, f"{noted.events:,} events")
    _join_quarantines(folder, len(files))
    if noted.quarantined and not noted.events:
        reason, count = noted.quarantined.most_common(1)[0]
        raise PotstillError(f"{folder / QUARANTINE}: no row of the logs is an event; {count:,} times: {reason}")
    _write_manifest(folder, noted, how, len(files))
    return Ingested(folder, noted, len(files))


def _prepare(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        raise PotstillError(f"{folder}: holds events already; name another folder, or remove this one")
    ours = (EVENTS, QUARANTINE, ".quarantine")
    if folder.exists() and any(one.name not in ours for one in folder.iterdir()):
        raise PotstillError(f"{folder}: holds other files; name a new folder for the events")
    for name in (EVENTS, ".quarantine"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / ".quarantine").mkdir(parents=True)


def _each(files: Sequence[tuple[Path, Form]], folder: Path, how: Intake) -> Iterator[Noted]:
    jobs = [(number, path, form, folder, how) for number, (path, form) in enumerate(files)]
    if how.processes < 2 or len(jobs) < 2:
        yield from map(_read_file, jobs)
        return
    with process_pool(min(how.processes, len(jobs))) as pool:
        yield from pool.map(_read_file, jobs)


def _read_file(job: tuple[int, Path, Form, Path, Intake]) -> Noted:
    """Read one file into parts of its own. At module level, so that another process can be given it."""
    number, path, form, folder, how = job
    cleaner = Cleaner(Pseudonyms(how.key), how.metadata_only, how.zone)
    cleaner.noted.forms[form] += 1
    writer = EventWriter(folder, f"part-{number:05}")
    with (folder / ".quarantine" / f"{number:05}").open("w", encoding="utf-8") as bad:
        for batch in _batches(path, form, how, cleaner, bad):
            writer.add(batch)
    writer.close()
    return cleaner.noted


def _batches(path: Path, form: Form, how: Intake, cleaner: Cleaner, bad: IO[str]) -> Iterator[pa.RecordBatch]:
    if form != "parquet":
        yield from _from_rows(read_events(path, form, how.columns), cleaner, bad)
        return
    first = 1
    for batch in read_batches(path):
        made = cleaned_columns(batch, how.columns, cleaner)
        if made is not None:
            yield made
        else:
            yield from _from_rows(_rows_of(batch, how.columns, path, first), cleaner, bad)
        first += batch.num_rows


def _rows_of(
    batch: pa.RecordBatch, columns: Mapping[str, str], path: Path, first: int
) -> Iterator[tuple[str, dict[str, Any]] | Unreadable]:
    """Rows of a table's batch that had to be looked at one by one; finer times than microseconds are cut."""
    names = {name: columns.get(name, name) for name in FIELDS}
    arrays = {}
    for field_name, column_name in names.items():
        if column_name in batch.schema.names:
            column = batch.column(column_name)
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
            arrays[field_name] = column
    for at in range(batch.num_rows):
        try:
            yield f"{path}:{first + at}", {name: column[at].as_py() for name, column in arrays.items()}
        except (ValueError, OverflowError):  # a time that Python's calendar does not reach
            yield Unreadable(f"{path}:{first + at}", "its time cannot be read")


def _from_rows(
    found: Iterator[tuple[str, dict[str, Any]] | Unreadable], cleaner: Cleaner, bad: IO[str]
) -> Iterator[pa.RecordBatch]:
    held: list[dict[str, Any]] = []
    characters = 0
    for one in found:
        if isinstance(one, Unreadable):
            _quarantine(one, cleaner.noted, bad)
            continue
        try:
            event = cleaner.clean(one[1])
        except RowFault as fault:
            _quarantine(Unreadable(one[0], str(fault)), cleaner.noted, bad)
            continue
        held.append(event)
        characters += sum(len(event.get(name, "")) for name in TEXTS)
        if len(held) >= _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
            yield _batch(held, cleaner)
            held, characters = [], 0
    if held:
        yield _batch(held, cleaner)


def _batch(events: list[dict[str, Any]], cleaner: Cleaner) -> pa.RecordBatch:
    arrays = [pa.array([event.get(one.name) for event in events], one.type) for one in SCHEMA]
    batch = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
    cleaner.note_present(batch)
    return batch


def _quarantine(row: Unreadable, noted: Noted, bad: IO[str]) -> None:
    noted.quarantined[row.reason] += 1
    bad.write(json.dumps({"place": row.place, "reason": row.reason}, ensure_ascii=False) + "\n")


def _join_quarantines(folder: Path, files: int) -> None:
    with written_whole(folder / QUARANTINE) as whole:
        for number in range(files):
            with (folder / ".quarantine" / f"{number:05}").open("rb") as part:
                shutil.copyfileobj(part, whole)
    shutil.rmtree(folder / ".quarantine")


def _write_manifest(folder: Path, noted: Noted, how: Intake, files: int) -> None:
    manifest = {
        "version": VERSION,
        "events": noted.events,
        "files": files,
        "forms": dict(noted.forms),
        "key_id": Pseudonyms(how.key).key_id,
        "metadata_only": how.metadata_only,
        "fields": {name: noted.present[name] for name in FIELDS},
        "quarantined": dict(noted.quarantined.most_common()),
        "unreadable_fields": dict(noted.unreadable_fields),
        "naive_times": noted.naive_times,
        "backwards": noted.backwards,
    }
    with written_whole(folder / MANIFEST) as file:
        file.write((json.dumps(manifest, indent=2) + "\n").encode())
