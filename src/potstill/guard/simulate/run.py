"""A simulation, written: Parquet files by day in the canonical schema, who is who, and what it was made with."""

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from potstill.errors import PotstillError
from potstill.guard.schema import SCHEMA
from potstill.guard.simulate.arrivals import Arrivals, read_arrivals
from potstill.guard.simulate.options import Options
from potstill.guard.simulate.population import Population, populate
from potstill.guard.simulate.requests import Stream, World, requests_of
from potstill.guard.simulate.texts import built_in_texts, read_texts
from potstill.progress import Reporter, Silent
from potstill.store.durable import written_whole

LOGS, TRUTH, MANIFEST = "logs", "truth.parquet", "simulation.json"
START: Final = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
_VERSION: Final = 1  # of what the same options give
_PART_ROWS: Final = 50_000  # expected of a stream at once
_SORTED_ROWS, _SORTED_BYTES = 250_000, 1 << 28  # of a day, in the order of time


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of a simulation. `logs` is the folder that a scan reads."""

    folder: Path
    logs: Path
    events: int
    accounts: int
    campaign_accounts: int


def simulate(options: Options, folder: Path, reporter: Reporter | None = None) -> Simulated:
    """Simulate into `folder`: logs/DATE.parquet, truth.parquet and, last, simulation.json.

    Memory holds a quarter of a million events and all accounts, however long the log. Raises PotstillError for
    options that make no simulation and for a folder that holds one, or anything else; what a killed call left is
    replaced.
    """
    options.check()
    _prepare(folder)
    texts = built_in_texts(options.seed) if options.prompts is None else read_texts(options.prompts, options.seed)
    arrivals = Arrivals() if options.arrivals is None else read_arrivals(options.arrivals)
    start_us = int(START.timestamp()) * 1_000_000
    population, release_us = populate(options, texts, start_us, START.weekday())
    world = World(options.seed, start_us, options.days, texts, arrivals, population.accounts, release_us)
    counts = np.zeros((2, len(population.accounts.names)), np.int64)  # all, attack
    with (reporter or Silent()).meter("simulating", options.days, "days") as meter:
        for day in range(options.days):
            path = folder / LOGS / f"{(START + timedelta(days=day)).date().isoformat()}.parquet"
            _write(path, _batches(population, day, world, counts))
            meter.advance(1, f"{counts[0].sum():,} events")
    _write_truth(folder / TRUTH, population, counts)
    made = Simulated(
        folder, folder / LOGS, int(counts[0].sum()), len(population.accounts.names),
        sum(len(row.accounts) for row in population.truth if row.label == "campaign"),
    )  # fmt: skip
    _write_manifest(folder, options, made)
    return made


def _prepare(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        raise PotstillError(f"{folder}: holds a simulation already; name another folder, or remove this one")
    if folder.exists() and any(one.name not in (LOGS, TRUTH) for one in folder.iterdir()):
        raise PotstillError(f"{folder}: holds other files; name a new folder for the simulation")
    shutil.rmtree(folder / LOGS, ignore_errors=True)
    (folder / TRUTH).unlink(missing_ok=True)
    (folder / LOGS).mkdir(parents=True)


def _batches(population: Population, day: int, world: World, counts: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    for stream in population.streams:
        for part in _parts(stream, day):
            batch, who = requests_of(stream, day, world, part)
            of = np.bincount(stream.accounts[who], minlength=counts.shape[1])
            counts[0] += of
            counts[1] += of if stream.attack else 0
            if batch.num_rows:
                yield batch


def _parts(stream: Stream, day: int) -> Iterator[slice]:
    """The stream's accounts in parts that expect so many requests, or one account that alone has more."""
    expected = stream.expected[:, day]
    if not expected.any():
        return
    number = np.floor(expected.cumsum() / _PART_ROWS)
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(expected)]
    yield from (slice(first, end) for first, end in itertools.pairwise(edges))


def _write(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    try:
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as file:
            held: list[pa.RecordBatch] = []
            for batch in batches:
                held.append(batch)
                full = sum(one.nbytes for one in held) >= _SORTED_BYTES
                if full or sum(one.num_rows for one in held) >= _SORTED_ROWS:
                    file.write_table(_sorted(held))
                    held = []
            if held:
                file.write_table(_sorted(held))
    except OSError as error:
        raise PotstillError(f"{path}: cannot be written ({error.strerror or error})") from None


def _sorted(batches: list[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches, SCHEMA).sort_by("time")


def _write_truth(path: Path, population: Population, counts: NDArray[np.int64]) -> None:
    """A row an account: label, kind, group, cover as it was ordered, and its requests."""
    rows, at = population.truth, np.concatenate([row.accounts for row in population.truth])

    def each(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([getattr(row, name) for row in rows for _ in range(len(row.accounts))], kind)

    table = pa.table(
        {
            "account": population.accounts.names.take(pa.array(at)), "label": each("label", pa.string()),
            "kind": each("kind", pa.string()), "group": each("group", pa.string()),
            "cover": each("cover", pa.float64()), "events": counts[0][at], "attack_events": counts[1][at],
        }
    )  # fmt: skip
    with written_whole(path) as file:
        pq.write_table(table, file, compression="zstd")


def _write_manifest(folder: Path, options: Options, made: Simulated) -> None:
    given = asdict(options) | {
        name: None if path is None else path.name
        for name, path in (("prompts", options.prompts), ("arrivals", options.arrivals))
    }
    content = {
        "version": _VERSION, "options": given, "events": made.events, "accounts": made.accounts,
        "campaign_accounts": made.campaign_accounts,
    }  # fmt: skip
    with written_whole(folder / MANIFEST) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode("utf-8"))
