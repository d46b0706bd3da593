"""The answers that leave the run: each row with all that is known of where it comes from and what was thought of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.config import FIRST, Recipe
from potstill.errors import PotstillError
from potstill.ledger import file_hash
from potstill.store.durable import written_whole
from potstill.store.journal import Journal
from potstill.store.provenance import PROVENANCE, reference, sampling
from potstill.store.screening import SCREENING, Screened, read_screening

ANSWERS = "answers.parquet"
_ROWS_A_GROUP = 10_000
_SUMMED = ("teacher", "served_model", "host", "error", "split", "finished", "writer")
_DECIDE = ("request_key", "error", "use", "writer")
JUDGED = (
    pa.field("used", pa.bool_(), nullable=False),  # trained on, or of the held-out split evaluated on
    pa.field("left_out_for", pa.list_(pa.string()), nullable=False),  # every reason; empty where used
    pa.field("judge", pa.string()),  # the model that gave the score
    pa.field("judge_score", pa.int32()),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where answers come from, as their rows say it: one for each revision that was served."""

    teacher: str  # its name in the recipe
    asked: str | None  # sha256 of local weights, the model's name at a server
    served: str | None  # what says it answered
    host: str | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What papers tell of the run's answers."""

    sha256: str
    size_bytes: int
    rows: int
    sources: Mapping[Source, int]  # answered rows of each
    splits: Mapping[str, int]
    first: datetime | None  # when the first of them came
    last: datetime | None


def read_answers(folder: Path) -> Answers:
    """Sum up a run's answers.parquet. Raises PotstillError where it is missing or no such table."""
    path = folder / ANSWERS
    sources: Counter[Source] = Counter()
    splits: Counter[str] = Counter()
    first = last = None
    for row in (row for batch in _batches(path, _SUMMED) for row in batch.to_pylist()):
        splits[row["split"]] += 1
        if row["error"] is None:
            sources[Source(row.get("writer") or FIRST, row["teacher"], row["served_model"], row["host"])] += 1
            if (at := row["finished"]) is not None:
                first, last = min(first or at, at), max(last or at, at)
    return Answers(file_hash(path), path.stat().st_size, splits.total(), sources, splits, first, last)


def write_answers(recipe: Recipe, terms_facts: Mapping[str, Any], folder: Path, target: Path) -> None:
    """Write `target`: the run's answers.parquet with what screening and its judge said of each row.

    What a run of an earlier Potstill did not put into its table is taken from its journal and its clearance. Raises
    PotstillError where table, journal and screening are not of the same answers.
    """
    source = folder / ANSWERS
    schema = _schema(source)
    lacking = [one for one in PROVENANCE if one.name not in schema.names]
    older = _from_journal(terms_facts, folder) if lacking else None
    screened = read_screening(folder / SCREENING) if (folder / SCREENING).is_file() else None
    judge = recipe.screen.judge.endpoint.model if recipe.screen.judge is not None else None
    named = {name: reference(one) for name, one in recipe.teachers.items()}
    added = pa.schema([*lacking, *JUDGED])
    wide = pa.schema([*schema, *added])
    with written_whole(target) as file, pq.ParquetWriter(file, wide, compression="zstd") as writer:
        for batch in _batches(source):
            # Texts stay where they are: only the columns that decide become Python's.
            known = batch.select([name for name in _DECIDE if name in schema.names]).to_pylist()
            rows = [_verdict(row, recipe, screened, judge, folder) for row in known]
            if older is not None:
                for row, verdict in zip(known, rows, strict=True):
                    verdict |= {"teacher_reference": named[row.get("writer") or FIRST], **_next(older, row, source)}
            more = pa.Table.from_pylist(rows, added)
            writer.write_table(pa.Table.from_arrays([*batch.columns, *more.combine_chunks().columns], schema=wide))


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except FileNotFoundError:
        raise PotstillError(f"{path}: is not there; run the collect stage first") from None
    except (OSError, pa.ArrowException) as error:
        raise PotstillError(f"{path}: not a table of answers ({error}); delete it and run again") from None


def _batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The table a group of rows at a time; of `columns` those that it has."""
    known = [name for name in columns if name in _schema(path).names] if columns else None
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS_A_GROUP, columns=known)
    except (OSError, pa.ArrowException) as error:
        raise PotstillError(f"{path}: not a table of answers ({error}); delete it and run again") from None


def _verdict(
    row: Mapping[str, Any], recipe: Recipe, screened: Iterator[Screened] | None, judge: str | None, folder: Path
) -> dict[str, Any]:
    """What screening said; in a run without it, only whether an answer of this kind is used at all."""
    if row["error"] is not None or screened is None:
        used = row["error"] is None and row["use"] in recipe.collect.uses
        return {"used": used, "left_out_for": [] if used else [row["use"]], "judge": None, "judge_score": None}
    one = next(screened, None)
    if one is None or one.request_key != row["request_key"]:
        raise PotstillError(f"{folder / SCREENING}: is of other answers than {ANSWERS}; run the screen stage again")
    by = judge if one.judge_score is not None else None
    return {"used": one.used, "left_out_for": list(one.reasons), "judge": by, "judge_score": one.judge_score}


def _from_journal(terms_facts: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """The provenance of each row of an earlier Potstill's table, in its order, but for the teacher's name."""
    cleared = {
        "rule": terms_facts.get("rule"),
        "rule_document": terms_facts.get("document"),
        "rule_date": terms_facts.get("version_or_date"),
    }
    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        for row in journal.rows():
            if row.state in ("done", "error"):
                yield {"request_key": row.key, **sampling(row), **cleared}


def _next(older: Iterator[dict[str, Any]], row: Mapping[str, Any], source: Path) -> dict[str, Any]:
    found = next(older, None)
    if found is None or found["request_key"] != row["request_key"]:
        raise PotstillError(f"{source}: is of other requests than answers.sqlite; run the collect stage again")
    return found
