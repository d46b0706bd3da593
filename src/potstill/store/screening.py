"""Why answers are not trained on: a table beside the answers, because the reasons depend on the recipe and the set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.errors import PotstillError
from potstill.records import Split
from potstill.store.durable import written_whole

SCREENING: Final = "screening.parquet"  # in the run folder
_ROWS_A_GROUP = 10_000

# Every reason, in the order in which they are told, and in words for people.
REASONS: Final[Mapping[str, str]] = {
    "truncated": "cut off at the token limit",
    "empty": "empty",
    "reasoning_only": "reasoning without an answer",
    "refused": "refused",
    "filtered": "filtered by the server",
    "wrong_language": "in another language",
    "repeated_ngrams": "repeats itself",
    "json_schema": "fails the JSON schema",
    "contaminated": "holds a passage of an evaluation set",
    "exact_duplicate": "the same as an earlier answer to the prompt",
    "near_duplicate": "nearly the same as an earlier answer",
    "judged_low": "judged below the minimum",
    "not_judged": "the judge gave no score",
}

_SCHEMA = pa.schema(
    [
        pa.field("request_key", pa.string(), nullable=False),
        pa.field("prompt_hash", pa.string(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("used", pa.bool_(), nullable=False),  # trained on, or of the held-out split evaluated on
        pa.field("reasons", pa.list_(pa.string()), nullable=False),  # all that speak against it; empty where used
        pa.field("details", pa.list_(pa.string()), nullable=False),  # one for each reason, "" where there is no more
        pa.field("judge_score", pa.int32()),  # null where no judge gave one
    ]
)


@dataclass(frozen=True, slots=True)
class Screened:
    """One answer and all that speaks against using it."""

    request_key: str
    prompt_hash: str
    sample: int
    split: Split
    used: bool
    reasons: Sequence[str]
    details: Sequence[str]
    judge_score: int | None = None


def write_screening(rows: Iterable[Screened], path: Path) -> None:
    """Write screening.parquet a group of rows at a time; the file appears whole or not at all."""
    waiting = iter(rows)
    with written_whole(path) as file, pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer:
        while group := list(islice(waiting, _ROWS_A_GROUP)):
            writer.write_table(pa.Table.from_pylist([asdict(one) for one in group], _SCHEMA))


def read_screening(path: Path) -> Iterator[Screened]:
    """The rows of screening.parquet. Raises PotstillError where it is not such a table."""
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_A_GROUP):
                for row in batch.to_pylist():
                    yield Screened(**row)
    except (OSError, pa.ArrowException, TypeError) as error:
        raise PotstillError(f"{path}: not a table of screened answers ({error}); delete it and run again") from None


def left_out(folder: Path) -> frozenset[str]:
    """The request keys of a run's answers that are not used; empty where nothing was screened.

    Raises PotstillError where screening.parquet is damaged.
    """
    path = folder / SCREENING
    try:
        table = pq.read_table(path, columns=["request_key", "used"])
    except FileNotFoundError:
        return frozenset()  # a run that collected before there was screening, or has not come to it
    except (OSError, pa.ArrowException) as error:
        raise PotstillError(f"{path}: not a table of screened answers ({error}); delete it and run again") from None
    return frozenset(row["request_key"] for row in table.to_pylist() if not row["used"])
