"""Joins the input and output files of OpenAI's Batch interface by custom_id, on disk, whatever their order."""

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.exchanges.chat import decoded, exchanges
from potstill.exchanges.record import Exchange, RowFault, Unreadable, mapping, text
from potstill.exchanges.rows import rows
from potstill.models.chat_completion import error_in

_SCHEMA = """
CREATE TABLE asked (custom_id TEXT, digest TEXT);
CREATE TABLE answers (custom_id TEXT, place TEXT, good INTEGER, row TEXT, used INTEGER DEFAULT 0);
"""
_INDEXES = "CREATE INDEX by_asked ON asked (custom_id); CREATE INDEX by_answer ON answers (custom_id)"


def read_batch(files: Sequence[Path], key: str | None = None) -> Iterator[Exchange | Unreadable]:
    """The exchanges of batches whose input and output files are given together, in the order of the requests.

    A request that was submitted again under its own id takes the answer that succeeded. Requests without an answer
    come without one. Unreadable are answers to requests that are not among the files, answers to a request that has
    one already, and an id that stands for two different requests, because its answers cannot be told apart.
    """
    with tempfile.TemporaryDirectory() as folder, sqlite3.connect(Path(folder) / "join.sqlite") as join:
        join.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        for file in files:
            for found in rows(file):
                if isinstance(found, tuple):
                    _keep(join, *found)
        join.executescript(_INDEXES)
        seen: set[str] = set()
        for file in files:
            for found in rows(file):
                if isinstance(found, Unreadable):
                    yield found
                elif "body" in found[1]:
                    yield from _answered(join, found[1], found[0], key, seen)
                elif not text(found[1].get("custom_id")):
                    yield Unreadable(found[0], "no custom_id")
        yield from _left(join)


def _keep(join: sqlite3.Connection, place: str, row: Mapping[str, Any]) -> None:
    name = text(row.get("custom_id"))
    if not name:
        return
    if "body" in row:
        join.execute("INSERT INTO asked VALUES (?, ?)", (name, _digest(row["body"])))
        return
    response = mapping(row.get("response"))
    good = not row.get("error") and response.get("status_code") == 200
    join.execute("INSERT INTO answers VALUES (?, ?, ?, ?, 0)", (name, place, good, json.dumps(row)))


def _answered(
    join: sqlite3.Connection, row: Mapping[str, Any], place: str, key: str | None, seen: set[str]
) -> Iterator[Exchange | Unreadable]:
    name, body = text(row.get("custom_id")), mapping(row.get("body"))
    if not name:
        yield Unreadable(place, "no custom_id")
        return
    digests = {digest for (digest,) in join.execute("SELECT digest FROM asked WHERE custom_id = ?", (name,))}
    if len(digests) > 1:
        join.execute("UPDATE answers SET used = 1 WHERE custom_id = ?", (name,))
        yield Unreadable(place, f"custom_id {name!r} stands for two different requests; give each batch on its own")
        return
    again = f"{name}\n{digests.pop()}"
    if again in seen:
        return  # submitted again; the first one has taken the answer
    seen.add(again)
    query = "SELECT rowid, row FROM answers WHERE custom_id = ? ORDER BY good DESC, rowid LIMIT 1"
    found = join.execute(query, (name,)).fetchone()
    answer: Mapping[str, Any] = {}
    if found is not None:
        join.execute("UPDATE answers SET used = 1 WHERE rowid = ? OR (custom_id = ? AND NOT good)", (found[0], name))
        answer = json.loads(found[1])
    response = decoded(mapping(answer.get("response")).get("body"))
    error = error_in(answer)[1] or error_in(response)[1]
    try:
        yield from exchanges(row, body, mapping(response) or None, place, key, error)
    except RowFault as fault:
        yield Unreadable(place, str(fault))


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _left(join: sqlite3.Connection) -> Iterator[Unreadable]:
    known = "SELECT place, custom_id, custom_id IN (SELECT custom_id FROM asked) FROM answers WHERE NOT used"
    for place, name, asked in join.execute(f"{known} ORDER BY rowid"):
        why = "another answer has been taken" if asked else "its request is not among the files"
        yield Unreadable(place, f"an answer to custom_id {name!r}: {why}")
