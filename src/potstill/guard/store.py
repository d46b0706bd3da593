"""Events on disk: Parquet files by day, written within bounded memory, and a DuckDB connection that reads them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from potstill.errors import PotstillError
from potstill.guard.schema import SCHEMA, VERSION

if TYPE_CHECKING:
    import duckdb

MANIFEST = "events.json"
EVENTS = "events"
QUARANTINE = "quarantine.jsonl"
_DAY_US = 86_400_000_000
_FILE_ROWS = 1 << 17
_HELD_BYTES = 1 << 27  # in memory before the fullest day is written
_NO_DAY = "__HIVE_DEFAULT_PARTITION__"  # of events without a time; DuckDB reads it as null


class EventWriter:
    """Writes batches into one folder a day; a file has the writer's `prefix`, so several may write side by side."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix, self._files = folder / EVENTS, prefix, 0
        self._held: dict[int | None, list[pa.RecordBatch]] = {}
        self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch of the canonical schema; full days, or the fullest where memory is, are written."""
        days = pc.divide(batch.column("time").cast(pa.int64()), _DAY_US)
        for day in pc.unique(days).to_pylist():
            chosen = pc.is_null(days) if day is None else pc.fill_null(pc.equal(days, day), False)
            part = batch.filter(chosen)
            self._held.setdefault(day, []).append(part)
            self._bytes += part.nbytes
            if sum(one.num_rows for one in self._held[day]) >= _FILE_ROWS:
                self._write(day)
        while self._bytes > _HELD_BYTES:
            self._write(max(self._held, key=lambda day: sum(one.nbytes for one in self._held[day])))

    def close(self) -> None:
        """Write what is held."""
        for day in list(self._held):
            self._write(day)

    def _write(self, day: int | None) -> None:
        batches = self._held.pop(day)
        self._bytes -= sum(one.nbytes for one in batches)
        name = _NO_DAY if day is None else datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
        folder = self._folder / f"day={name}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self._prefix}-{self._files:05}.parquet"
        try:
            pq.write_table(pa.Table.from_batches(batches, SCHEMA).combine_chunks(), path, compression="zstd")
        except OSError as error:
            raise PotstillError(f"{path}: cannot be written ({error.strerror or error})") from None
        self._files += 1


@dataclass(frozen=True, slots=True)
class EventStore:
    """A folder of events, as its manifest describes it."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def fields(self) -> dict[str, int]:
        """How many events have a value, by field."""
        return {str(name): int(count) for name, count in self.manifest["fields"].items()}

    @contextmanager
    def connection(self, memory_gb: float = 2.0, threads: int = 2) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A DuckDB connection with the view `events`; beyond `memory_gb` it goes on in files of the folder."""
        import duckdb

        connection = duckdb.connect(
            config={
                "memory_limit": f"{int(memory_gb * 1024)}MB",
                "threads": threads,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,  # nothing is fetched
                "temp_directory": str(self.folder / ".duckdb"),
            }
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")  # it would go between the lines that a verb prints
            if self.manifest["events"]:
                files = str(self.folder / EVENTS / "*" / "*.parquet").replace("'", "''")
                connection.execute(
                    f"CREATE VIEW events AS SELECT * FROM read_parquet('{files}', hive_partitioning=true)"
                )
            else:
                empty = SCHEMA.append(pa.field("day", pa.date32())).empty_table()
                connection.register("no_events", empty)
                connection.execute("CREATE TABLE events AS SELECT * FROM no_events")
            yield connection
        finally:
            connection.close()


def open_events(folder: Path) -> EventStore:
    """The events of a folder. Raises PotstillError where they are not there, or were not written to the end."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["version"]
    except FileNotFoundError:
        raise PotstillError(f"{folder}: no events here, or not written to the end; run potstill guard events") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise PotstillError(f"{path}: cannot be read; read the logs again into another folder") from None
    if version != VERSION:
        raise PotstillError(f"{path}: written as version {version}, this reads {VERSION}; read the logs again")
    return EventStore(folder, manifest)
