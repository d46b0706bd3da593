"""Which batches a run has given to a provider, and which requests are in them; kept in the journal's own file."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from potstill.errors import PotstillError
from potstill.store.migrations import VERSION

_ROWS_A_PAGE = 1000
_COLUMNS = (
    "id, tag, input_sha256, state, status, requests, most_usd, file_id, batch_id, output_file_id, error_file_id, "
    "words, created_s"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. Its state is written before each step: prepared, uploaded, submitted, read."""

    id: int
    tag: str  # goes to the provider with the batch, so that it is found again where its id was not written down
    input_sha256: str
    state: Literal["prepared", "uploaded", "submitted", "read"]
    status: str | None  # the provider's word
    requests: int
    most_usd: float  # that it can cost
    file_id: str | None
    batch_id: str | None
    output_file_id: str | None
    error_file_id: str | None
    words: str | None  # what became of it, where that is worth a line
    created_s: float  # since the epoch


class BatchLog:
    """The batches of the journal at `path`, which is open to write (or, with `read_only`, may be) beside this.

    A request that is in a batch under way has the state "sent". What a method writes is durable when it returns.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        mode = "ro" if read_only else "rw"
        self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA synchronous = FULL")
        self._known = self._db.execute("PRAGMA user_version").fetchone()[0] >= VERSION

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def under_way(self, base_url: str | None = None) -> list[Batch]:
        """The batches that were prepared and not read yet, all or those of one server; the oldest first."""
        if not self._known:  # a journal of a version that had no batches
            return []
        query = f"SELECT {_COLUMNS} FROM batches WHERE state <> 'read' AND base_url = coalesce(?, base_url) ORDER BY id"
        return [Batch(*row) for row in self._db.execute(query, (base_url,))]

    def hold(self) -> None:
        """Keep what is in a batch under way from being sent again: a journal that is opened puts it back to pending."""
        with self._transaction():
            self._db.execute(
                "UPDATE requests SET state = 'sent' WHERE state = 'pending' AND key IN (SELECT key FROM batch_requests "
                "WHERE batch IN (SELECT id FROM batches WHERE state <> 'read'))"
            )

    def pending(self) -> Iterator[tuple[str, str]]:
        """Key and content of each wanted request that is to be asked, in order."""
        query = (
            "SELECT key, request, position FROM requests WHERE wanted = 1 AND state = 'pending' AND position > ? "
            f"ORDER BY position LIMIT {_ROWS_A_PAGE}"
        )
        after = -1
        while page := self._db.execute(query, (after,)).fetchall():
            yield from ((key, content) for key, content, _ in page)
            after = page[-1][2]

    def prepare(self, tag: str, keys: Sequence[str], input_sha256: str, base_url: str, most_usd: float) -> Batch:
        """Write a batch down, before anything of it is sent, and its requests as being sent."""
        with self._transaction():
            row = self._db.execute(
                "INSERT INTO batches (tag, input_sha256, base_url, requests, most_usd, created_s) "
                f"VALUES (?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",
                (tag, input_sha256, base_url, len(keys), most_usd, time.time()),
            ).fetchone()
            made = Batch(*row)
            self._db.executemany("INSERT INTO batch_requests (key, batch) VALUES (?, ?)", ((k, made.id) for k in keys))
            self._db.executemany(
                "UPDATE requests SET state = 'sent', sent_s = ? WHERE key = ? AND state = 'pending'",
                ((time.time(), key) for key in keys),
            )
        return made

    def forget(self, batch: Batch) -> None:
        """Undo `prepare`: for a batch that the provider cannot have, because its file's id was never known."""
        with self._transaction():
            self._free(batch)
            self._db.execute("DELETE FROM batch_requests WHERE batch = ?", (batch.id,))
            self._db.execute("DELETE FROM batches WHERE id = ?", (batch.id,))

    def uploaded(self, batch: Batch, file_id: str) -> Batch:
        """Its input file is at the provider."""
        return self._change(batch, "state = 'uploaded', file_id = ?", file_id)

    def submitted(self, batch: Batch, batch_id: str) -> Batch:
        """The provider has it, under this id."""
        return self._change(batch, "state = 'submitted', submitted_s = ?, batch_id = ?", time.time(), batch_id)

    def looked(self, batch: Batch, status: str, output_file_id: str | None, error_file_id: str | None) -> Batch:
        """What the provider says of it now."""
        said = (status, output_file_id, error_file_id)
        return self._change(batch, "status = ?, output_file_id = ?, error_file_id = ?", *said)

    def read(self, batch: Batch, words: str | None = None) -> None:
        """Everything of it is in the journal; its requests without an outcome are to be asked again."""
        with self._transaction():
            self._free(batch)
            self._db.execute(
                "UPDATE batches SET state = 'read', words = ?, read_s = ? WHERE id = ?", (words, time.time(), batch.id)
            )

    def contents(self, batch: Batch) -> dict[str, str]:
        """Key and content of each of its requests."""
        query = "SELECT key, request FROM requests WHERE key IN (SELECT key FROM batch_requests WHERE batch = ?)"
        return dict(self._db.execute(query, (batch.id,)))

    def tries(self, batch: Batch) -> dict[str, int]:
        """In how many batches, this one counted, each of its requests without an outcome has been."""
        query = (
            "SELECT key, count(*) FROM batch_requests WHERE key IN (SELECT key FROM batch_requests JOIN requests "
            "USING (key) WHERE batch = ? AND state IN ('sent', 'pending')) GROUP BY key"
        )
        return dict(self._db.execute(query, (batch.id,)))

    def beginning_with(self, prefix: str) -> list[tuple[str, str]]:
        """Key and content of the requests whose key begins so, those of earlier recipes included."""
        query = "SELECT key, request FROM requests WHERE key >= ? AND key < ?"
        return self._db.execute(query, (prefix, prefix + "g")).fetchall()  # "g" follows the last hexadecimal digit

    def _free(self, batch: Batch) -> None:
        self._db.execute(
            "UPDATE requests SET state = 'pending' WHERE state = 'sent' "
            "AND key IN (SELECT key FROM batch_requests WHERE batch = ?)",
            (batch.id,),
        )

    def _change(self, batch: Batch, what: str, *values: object) -> Batch:
        with self._transaction():
            statement = f"UPDATE batches SET {what} WHERE id = ? RETURNING {_COLUMNS}"
            return Batch(*self._db.execute(statement, (*values, batch.id)).fetchone())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError):
                raise PotstillError(
                    f"{self._path}: the journal cannot be written ({error}); free space or close what holds it, and "
                    "run the same command again"
                ) from None
            raise
