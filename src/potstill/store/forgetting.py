"""Deletes what a run keeps of prompts that it no longer has, so that nothing of them can be read from its files."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from potstill.config import Prices
from potstill.models.http import most_usd
from potstill.store.durable import written_whole
from potstill.store.journal_file import hold, open_database, plain_errors
from potstill.store.scores import Scores

FORGOTTEN_USD: Final = "forgotten_usd"  # in a journal's facts: what the rows that were deleted had cost
_OTHERS = "prompt_hash NOT IN (SELECT hash FROM kept)"


def foreign_rows(path: Path, kept: Collection[str]) -> int:
    """How many rows of a journal belong to prompts whose hashes are not among `kept`; 0 where there is no journal."""
    if not path.is_file():
        return 0
    with plain_errors(path):
        db = open_database(path, read_only=True)
        try:
            _keep(db, kept)
            return int(db.execute(f"SELECT count(*) FROM requests WHERE {_OTHERS}").fetchone()[0])
        finally:
            db.close()


def forget_rows(path: Path, kept: Collection[str], prices: Prices | None) -> None:
    """Delete these rows for good: their bytes are overwritten and the file is made anew.

    What they cost stays known, because a budget is for all that a run has asked; of an unknown cost that is the most
    that it can have been at `prices`. Raises PotstillError where another process writes, or the disk is full.
    """
    guard = hold(path)
    try:
        with plain_errors(path):
            db = open_database(path, read_only=False)
            try:
                _forget(db, kept, prices)
            finally:
                db.close()
    finally:
        guard.close()


def forget_scores(path: Path) -> None:
    """Keep of a run's scores what they cost and nothing else: not even which texts they were of."""
    if not path.is_file():
        return
    kept = [replace(one, key=f"forgotten {number}", log_p=()) for number, one in enumerate(Scores.read(path), start=1)]
    with written_whole(path) as file:
        file.write("".join(json.dumps(asdict(one)) + "\n" for one in kept).encode())


def _forget(db: sqlite3.Connection, kept: Collection[str], prices: Prices | None) -> None:
    db.execute("PRAGMA secure_delete = ON")
    _keep(db, kept)
    db.execute("BEGIN IMMEDIATE")
    known = db.execute(f"SELECT total(cost_usd) FROM requests WHERE {_OTHERS} AND state = 'done'").fetchone()[0]
    # What is under way, in a provider's batch for one, will be charged although nobody reads its answer.
    charged = "(state = 'sent' OR state = 'done' AND cost_usd IS NULL)"
    unknown = db.execute(f"SELECT request FROM requests WHERE {_OTHERS} AND {charged}")
    spent = known + sum(most_usd(json.loads(request)["body"], prices) for (request,) in unknown)
    before = db.execute("SELECT value FROM facts WHERE name = ?", (FORGOTTEN_USD,)).fetchone()
    total = spent + (float(before[0]) if before else 0.0)
    db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (FORGOTTEN_USD, repr(total)))
    db.execute("DELETE FROM facts WHERE name = 'plan'")
    db.execute(f"DELETE FROM batch_requests WHERE key IN (SELECT key FROM requests WHERE {_OTHERS})")
    db.execute(f"DELETE FROM requests WHERE {_OTHERS}")
    db.execute("COMMIT")
    # The log still holds the pages as they were, and the file those that are free now.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _keep(db: sqlite3.Connection, kept: Collection[str]) -> None:
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("CREATE TEMP TABLE kept (hash TEXT PRIMARY KEY) WITHOUT ROWID")
    db.executemany("INSERT OR IGNORE INTO kept VALUES (?)", ((one,) for one in kept))
