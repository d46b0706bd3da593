"""Steps that bring a journal of an earlier version up to this one; a new journal takes them all."""

import sqlite3

VERSION = 2

# Each step leads to its version. Version 1 is what `journal` creates.
_STEPS = {
    2: """
ALTER TABLE requests ADD COLUMN tool_calls TEXT;
CREATE TABLE batches (
  id INTEGER PRIMARY KEY,
  tag TEXT NOT NULL UNIQUE,
  input_sha256 TEXT NOT NULL,
  base_url TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'prepared' CHECK (state IN ('prepared', 'uploaded', 'submitted', 'read')),
  status TEXT,
  requests INTEGER NOT NULL,
  most_usd REAL NOT NULL,
  file_id TEXT, batch_id TEXT, output_file_id TEXT, error_file_id TEXT,
  words TEXT,
  created_s REAL NOT NULL, submitted_s REAL, read_s REAL
);
CREATE TABLE batch_requests (
  key TEXT NOT NULL,
  batch INTEGER NOT NULL REFERENCES batches (id),
  PRIMARY KEY (key, batch)
) WITHOUT ROWID;
CREATE INDEX batch_requests_by_batch ON batch_requests (batch);
""",
}


def migrate(db: sqlite3.Connection) -> None:
    """Take the steps that are missing, each in a transaction of its own."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    for target, statements in _STEPS.items():
        if version < target:
            db.executescript(f"BEGIN IMMEDIATE; {statements} PRAGMA user_version = {target}; COMMIT;")


def readable_columns(columns: str, version: int) -> str:
    """The columns as a journal of an earlier version, opened to read only, can give them."""
    return columns if version >= VERSION else columns.replace("tool_calls", "NULL AS tool_calls")
