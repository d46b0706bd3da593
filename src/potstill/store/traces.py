"""What became of single requests: rows of a journal without their texts, found by prompt or by the request's hash."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from potstill.records import Split
from potstill.store.entries import State, Use
from potstill.store.journal_file import open_database, plain_errors

_COLUMNS = "key, prompt_hash, sample, split, wanted, state, use, error, served_model, finished_s"


@dataclass(frozen=True, slots=True)
class Trace:
    """One request."""

    key: str
    prompt_hash: str
    sample: int
    split: Split
    wanted: int  # 0: it was asked by an earlier recipe, and nothing of this run uses it
    state: State
    use: Use | None
    error: str | None
    served_model: str | None
    finished_s: float | None  # since the epoch


def traces_of_prompts(path: Path, hashes: Collection[str]) -> list[Trace]:
    """The requests of these prompts, by prompt and sample; none where there is no journal."""
    where = "prompt_hash IN (SELECT hash FROM looked) ORDER BY prompt_hash, sample, id"
    return list(_select(path, f"SELECT {_COLUMNS} FROM requests WHERE {where}", (), hashes))


def traces_of_requests(path: Path, prefix: str) -> list[Trace]:
    """The requests whose hash begins so."""
    # "g" follows the last hexadecimal digit
    return list(_select(path, f"SELECT {_COLUMNS} FROM requests WHERE key >= ? AND key < ?", (prefix, prefix + "g")))


def prompts_beginning_with(path: Path, prefix: str) -> set[str]:
    """The hashes of prompts that have rows and begin so."""
    if not path.is_file():
        return set()
    with plain_errors(path):
        db = open_database(path, read_only=True)
        try:
            query = "SELECT DISTINCT prompt_hash FROM requests WHERE prompt_hash >= ? AND prompt_hash < ?"
            return {found for (found,) in db.execute(query, (prefix, prefix + "g"))}
        finally:
            db.close()


def _select(path: Path, query: str, values: tuple[str, ...], hashes: Collection[str] = ()) -> Iterator[Trace]:
    if not path.is_file():
        return
    with plain_errors(path):
        db = open_database(path, read_only=True)
        try:
            db.execute("PRAGMA temp_store = MEMORY")
            db.execute("CREATE TEMP TABLE looked (hash TEXT PRIMARY KEY) WITHOUT ROWID")
            db.executemany("INSERT OR IGNORE INTO looked VALUES (?)", ((one,) for one in hashes))
            for row in db.execute(query, values).fetchall():
                yield Trace(*row)
        finally:
            db.close()
