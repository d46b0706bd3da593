"""The durable journal of requests: a row exists before its request is sent and holds the answer before it counts."""

import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self

from potstill.store.entries import (
    COLUMNS,
    Counts,
    Failure,
    Finish,
    Request,
    Row,
    State,
    Use,
    Waiting,
    failed_sql,
    finished_sql,
    make_request,
    read_row,
    request_seed,
)
from potstill.store.journal_file import hold, open_database, plain_errors
from potstill.store.migrations import readable_columns

__all__ = [
    "Counts", "Failure", "Finish", "Journal", "Request", "Row", "State", "Use", "Waiting", "make_request",
    "request_seed",
]  # fmt: skip

_ROWS_A_PAGE = 1000


class Journal:
    """The journal file. One writer at a time; its methods may be called from any thread.

    Opening it to write puts requests that a killed process left as "sent" back to "pending". `read_only` opens it
    beside a writer and changes nothing. Raises PotstillError where the file is missing (read_only), not a journal,
    damaged, written by a newer Potstill, or in the hands of another writer.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._guard = None if read_only else hold(path)
        try:
            with plain_errors(self.path):
                self._db = open_database(path, read_only=read_only)
                version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            self._columns = readable_columns(COLUMNS, version)
        except BaseException:
            self._let_go()
            raise
        if not read_only:
            self.requeue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Fold the write-ahead log into the file, so that the file alone is the journal, and close it."""
        with self._lock:
            self._db.close()
            self._let_go()

    def holds(self, plan: str) -> bool:
        """Whether the wanted rows are those of this plan, so that a resume need not make and add them again."""
        return self._all("SELECT value FROM facts WHERE name = 'plan'") == [(plan,)]

    def add(self, requests: Iterable[Request], plan: str | None = None) -> int:
        """Make these requests, in this order, the wanted ones; returns how many are new. Adding again changes nothing.

        A request that is known keeps its answer. Rows that are not among them stay, but are no longer wanted. `plan`
        is a hash of whatever the requests were made from; `holds` knows it once all of them are in.
        """
        before = self._rows_ever()
        upsert = (
            "INSERT INTO requests (key, prompt_hash, sample, split, position, request, created_s) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET wanted = 1, split = excluded.split, position = excluded.position "
            "WHERE wanted = 0 OR split <> excluded.split OR position <> excluded.position"
        )
        numbered = enumerate(requests)
        with self._lock, plain_errors(self.path):
            self._db.execute("DELETE FROM facts WHERE name = 'plan'")
            self._db.execute("CREATE TEMP TABLE asked (key TEXT PRIMARY KEY) WITHOUT ROWID")
            try:
                while page := list(islice(numbered, _ROWS_A_PAGE)):
                    now = time.time()
                    rows = [(r.key, r.prompt_hash, r.sample, r.split, at, r.content, now) for at, r in page]
                    with self._transaction():
                        self._db.executemany(upsert, rows)
                        self._db.executemany("INSERT OR IGNORE INTO asked VALUES (?)", ((row[0],) for row in rows))
                with self._transaction():
                    self._db.execute(
                        "UPDATE requests SET wanted = 0 WHERE wanted = 1 AND key NOT IN (SELECT key FROM asked)"
                    )
                    if plan is not None:
                        self._db.execute("INSERT INTO facts VALUES ('plan', ?)", (plan,))
            finally:
                self._db.execute("DROP TABLE asked")
        return self._rows_ever() - before

    def pending(self) -> Iterator[Row]:
        """The wanted requests without an answer, in order, read a page at a time while others are being finished."""
        return self._pages("wanted = 1 AND state = 'pending'", "position")

    def turn(self, outcomes: Iterable[Finish | Failure], number: int) -> list[Waiting]:
        """Keep outcomes, as `settle`, and take the next requests to send: one transaction, so one wait for the disk.

        Returns up to `number` wanted requests without an answer, in order, marked as being sent.
        """
        with self._lock, plain_errors(self.path), self._transaction():
            self._settle(outcomes)
            pending = "FROM requests WHERE wanted = 1 AND state = 'pending' ORDER BY position LIMIT ?"
            found = self._db.execute(f"SELECT id, key, json_extract(request, '$.body') {pending}", (number,)).fetchall()
            ids = ",".join(str(row[0]) for row in found)
            self._db.execute(f"UPDATE requests SET state = 'sent', sent_s = ? WHERE id IN ({ids})", (time.time(),))
        return [Waiting(key, json.loads(body), body.encode()) for _, key, body in found]

    def mark_sent(self, keys: Iterable[str]) -> None:
        """Write down, before they go out, that these requests are being sent. One transaction."""
        now = time.time()
        with self._lock, plain_errors(self.path), self._transaction():
            self._db.executemany(
                "UPDATE requests SET state = 'sent', sent_s = ? WHERE key = ? AND state = 'pending'",
                ((now, key) for key in keys),
            )

    def requeue(self) -> int:
        """Put what was sent and not answered back to pending; returns how many."""
        return self._change("UPDATE requests SET state = 'pending' WHERE wanted IN (0, 1) AND state = 'sent'")

    def retry_errors(self, *, permanent: bool = False) -> int:
        """Put error rows back to pending: those that ran out of attempts, and with `permanent` the refused ones too."""
        return self._change(
            "UPDATE requests SET state = 'pending', error = NULL, permanent = NULL, finished_s = NULL "
            "WHERE wanted = 1 AND state = 'error' AND permanent <= ?",
            int(permanent),
        )

    def finish(self, outcome: Finish) -> None:
        """Keep one answer; durable when this returns."""
        self.settle([outcome])

    def finish_many(self, outcomes: Iterable[Finish]) -> None:
        """Keep a batch of answers in one transaction; durable when this returns."""
        self.settle(outcomes)

    def fail(self, key: str, words: str, *, permanent: bool = True, attempts: int = 1) -> None:
        """Turn a request into an error row with the server's words."""
        self.settle([Failure(key, words, permanent, attempts)])

    def settle(self, outcomes: Iterable[Finish | Failure]) -> None:
        """Keep answers and failures in one transaction. An answer that is there already is never overwritten."""
        with self._lock, plain_errors(self.path), self._transaction():
            self._settle(outcomes)

    def rows(self, *, with_logprobs: bool = False) -> Iterator[Row]:
        """Every wanted row in order. `with_logprobs` also reads the replies' top_logprobs, which may be long."""
        return self._pages("wanted = 1", "position", with_logprobs=with_logprobs)

    def answers(self, use: Sequence[Use] | None = None, *, with_logprobs: bool = False) -> Iterator[Row]:
        """The wanted rows that have an answer, in order; `use` keeps only answers of those kinds."""
        for row in self._pages("wanted = 1 AND state = 'done'", "position", with_logprobs=with_logprobs):
            if use is None or row.use in use:
                yield row

    def raw(self, key: str) -> str | None:
        """The server's own JSON for a request, without the log-probabilities, which have their own column."""
        found = self._all("SELECT raw FROM requests WHERE key = ?", key)
        return found[0][0] if found else None

    def counts(self) -> Counts:
        """Wanted rows by state and use, from the index alone."""
        states: dict[str, int] = {}
        use: dict[str, int] = {}
        for state, kind, number in self._all(
            "SELECT state, use, count(*) FROM requests WHERE wanted = 1 GROUP BY state, use ORDER BY state, use"
        ):
            states[state] = states.get(state, 0) + number
            if state == "done":
                use[kind] = number
        return Counts(**states, use=use)

    def common_errors(self, limit: int = 3) -> list[tuple[str, int]]:
        """The most frequent words of the wanted error rows, each with its count."""
        return self._all(
            "SELECT error, count(*) FROM requests WHERE wanted = 1 AND state = 'error' "
            "GROUP BY error ORDER BY count(*) DESC, error LIMIT ?",
            limit,
        )

    def spent_usd(self) -> float:
        """The known cost of every answer in the file, those of earlier recipes and what was deleted included."""
        total = self._all("SELECT total(cost_usd) FROM requests WHERE wanted IN (0, 1) AND state = 'done'")[0][0]
        forgotten = self._all("SELECT value FROM facts WHERE name = 'forgotten_usd'")  # see `store.forgetting`
        return float(total) + sum(float(value) for (value,) in forgotten)

    def unpriced(self) -> Iterator[Row]:
        """Answers of unknown cost, those of earlier recipes included."""
        return self._pages("wanted IN (0, 1) AND state = 'done' AND cost_usd IS NULL", "id")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _pages(self, condition: str, order: str, *, with_logprobs: bool = False) -> Iterator[Row]:
        """Rows that meet the condition, by keyset pages, so that no reader holds up the writer or fills the memory."""
        size = _ROWS_A_PAGE // 20 if with_logprobs else _ROWS_A_PAGE
        query = (
            f"SELECT {self._columns}, {'top_logprobs' if with_logprobs else 'NULL'}, {order} FROM requests "
            f"WHERE {condition} AND {order} > ? ORDER BY {order} LIMIT {size}"
        )
        after = -1
        while page := self._all(query, after):
            for values in page:
                yield read_row(values[:-1])
            after = page[-1][-1]

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self._lock, plain_errors(self.path):
            return self._db.execute(query, values).fetchall()

    def _change(self, statement: str, *values: Any) -> int:
        with self._lock, plain_errors(self.path), self._transaction():
            return self._db.execute(statement, values).rowcount

    def _settle(self, outcomes: Iterable[Finish | Failure]) -> None:
        now = time.time()
        alike: dict[str, list[Sequence[Any]]] = {}
        keys = []
        for one in outcomes:
            statement, values = finished_sql(one, now) if isinstance(one, Finish) else failed_sql(one, now)
            alike.setdefault(statement, []).append(values)
            keys.append(one.key)
        changed = sum(self._db.executemany(statement, many).rowcount for statement, many in alike.items())
        unknown = [key for key in keys if not self._knows(key)] if changed < len(keys) else []
        if unknown:
            raise KeyError(f"{self.path}: no request has the key {unknown[0]}")

    def _knows(self, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM requests WHERE key = ?", (key,)).fetchone() is not None

    def _rows_ever(self) -> int:
        return int(self._all("SELECT count(*) FROM requests")[0][0])

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.close()
