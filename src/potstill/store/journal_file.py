"""The journal's file: its tables, its lock against a second writer, and what SQLite's errors mean for a person."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError
from potstill.store.migrations import VERSION, migrate

# `wanted`: the rows of the recipe as it is now. Rows of an earlier recipe stay, so that going back costs nothing, but
# are neither sent nor listed. `position` is the order of the prompts file. The first index answers "what is
# next" and every count without touching the rows themselves, which are kilobytes each.
_TABLES = """
CREATE TABLE requests (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  prompt_hash TEXT NOT NULL,
  sample INTEGER NOT NULL,
  split TEXT NOT NULL,
  position INTEGER NOT NULL,
  wanted INTEGER NOT NULL DEFAULT 1,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'done', 'error')),
  attempts INTEGER NOT NULL DEFAULT 0,
  use TEXT,
  finish_reason TEXT,
  input_tokens INTEGER, cached_tokens INTEGER, output_tokens INTEGER, reasoning_tokens INTEGER,
  cost_usd REAL,
  seconds REAL,
  created_s REAL NOT NULL, sent_s REAL, finished_s REAL,
  served_model TEXT,
  error TEXT,
  permanent INTEGER,
  request TEXT NOT NULL,
  text TEXT, reasoning TEXT,
  top_logprobs TEXT,
  raw TEXT
);
CREATE INDEX requests_by_state ON requests (wanted, state, position, use, cost_usd);
CREATE INDEX requests_by_position ON requests (wanted, position);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def open_database(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """The database, with its tables and at today's version if it is opened to write.

    Raises PotstillError where it is missing (read_only), not a journal, or written by a newer Potstill.
    """
    if read_only and not path.is_file():
        raise PotstillError(f"{path}: no such journal; nothing has been collected in this run yet")
    address = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    db = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        _check_version(path, db)
        db.execute("PRAGMA cache_size = -65536")
        if not read_only:
            # A row grows by kilobytes when its answer comes: pages of 8 KiB are split less often than those of 4. Only
            # a new file takes this.
            db.execute("PRAGMA page_size = 8192")
            db.execute("PRAGMA journal_mode = WAL")
            # FULL, not NORMAL: in WAL mode NORMAL may lose the last commits to a power cut, and each of them
            # holds answers that were paid for. Commits carry many answers, so the fsync is shared.
            db.execute("PRAGMA synchronous = FULL")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = 1; COMMIT;")
            migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _check_version(path: Path, db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise PotstillError(
            f"{path}: written by a newer Potstill (journal version {version}, this one reads {VERSION}); "
            "update potstill, or run in another folder"
        )
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise PotstillError(f"{path}: a database, but not a journal of Potstill; move it away")


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Say in one line what SQLite's own errors mean for the person who runs the command."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        words = str(error)
        if "full" in words:
            what = "no space left on the disk; free some and run the same command again, what is collected is kept"
        elif "locked" in words:
            what = "another program holds it; close that and run the same command again"
        elif "malformed" in words or "not a database" in words:
            what = f"damaged or not a journal ({words}); restore it from a copy, or move it away to start anew"
        else:
            what = f"the journal cannot be used ({words})"
        raise PotstillError(f"{path}: {what}") from None


def hold(path: Path) -> Any:
    """An open, locked file beside the journal: two writers would ask, and pay, twice. A killed process lets it go."""
    try:
        guard = path.with_name(path.name + ".lock").open("w")
    except OSError as error:
        raise PotstillError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        guard.close()
        raise PotstillError(f"{path}: another process is collecting into it; wait for it, or stop it") from None
    return guard
