"""The ledger: how a run came to be, as append-only lines that each carry the hash of the line before."""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError
from potstill.records import canonical_json

NO_PREVIOUS = "0" * 64
_KEYS = {"previous", "time", "kind", "facts"}
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger; `hash` is what the next line must carry as `previous`."""

    line: int  # counted from 1
    previous: str
    time: str  # ISO 8601, UTC
    kind: str
    facts: Mapping[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class _Head:
    """Where the newest line lies and its hash, kept beside the ledger: a chain alone can't guard its last link."""

    start: int
    end: int  # one past the line's newline
    hash: str


def append(path: Path, kind: str, facts: Mapping[str, Any]) -> str:
    """Add one line, on disk before this returns, and give its hash.

    Waits for other writers (a lock on the file). A line that a crash tore is removed, and a line of kind "repair" says
    how many bytes it had. Raises PotstillError when the last line is not the one written last, or the disk is full.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        head, torn = _end_of(descriptor, path)
        if torn:
            repair = {"removed_bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            head = _write_line(descriptor, path, head, "repair", repair)
        return _write_line(descriptor, path, head, kind, facts).hash
    finally:
        os.close(descriptor)  # gives the lock back


def read(path: Path) -> list[Entry]:
    """All whole lines, oldest first; a torn last line never counted as written and is left out.

    Raises PotstillError with the line number where a line is no entry. The chain is not checked: see `verify`.
    """
    entries = []
    for number, line in enumerate(_whole_lines(_bytes_of(path)), start=1):
        entry = _entry(line, number)
        if entry is None:
            raise PotstillError(f"{path}:{number}: not a ledger line; `potstill verify` lists what was changed")
        entries.append(entry)
    return entries


def verify(path: Path) -> list[str]:
    """What is wrong with the ledger, one readable line each; empty when every line is as it was written."""
    if not path.is_file():
        return [f"{path.name}: there is no ledger"]
    data = path.read_bytes()
    lines = _whole_lines(data)
    problems = []
    if torn := data[len(b"".join(line + b"\n" for line in lines)) :]:
        problems.append(
            f"{path.name}:{len(lines) + 1}: the last line is torn ({len(torn)} bytes without an end); "
            "the next append removes it"
        )
    entries = [_entry(line, number) for number, line in enumerate(lines, start=1)]
    problems += [
        f"{path.name}:{number}: edited: this is not a line as the ledger writes it"
        for number, entry in enumerate(entries, start=1)
        if entry is None
    ]
    hashes = [hashlib.sha256(line).hexdigest() for line in lines]
    problems += _chain_problems(path.name, entries, hashes)
    return problems + _head_problems(path, lines, hashes, chained=not problems)


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def tree_hashes(folder: Path, patterns: Iterable[str]) -> dict[str, str]:
    """SHA-256 by path relative to `folder`, for files, whole folders and globs; what matches nothing adds nothing."""
    found: set[Path] = set()
    for pattern in patterns:
        target = folder / pattern
        if target.is_dir():
            found.update(path for path in target.rglob("*") if path.is_file())
        elif target.is_file():
            found.add(target)
        else:
            found.update(path for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in sorted(found)}


def _write_line(descriptor: int, path: Path, head: _Head | None, kind: str, facts: Mapping[str, Any]) -> _Head:
    start = head.end if head else 0
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    previous = head.hash if head else NO_PREVIOUS
    line = canonical_json({"previous": previous, "time": time, "kind": kind, "facts": dict(facts)}).encode()
    try:
        os.ftruncate(descriptor, start)
        _write_all(descriptor, line + b"\n", start)
        os.fsync(descriptor)
        written = _Head(start, start + len(line) + 1, hashlib.sha256(line).hexdigest())
        _write_head(path, written)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, start)  # half a line would only have to be removed later
        raise PotstillError(
            f"{path}: the line could not be written ({error.strerror}); make room and run again"
        ) from None
    return written


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count


def _end_of(descriptor: int, path: Path) -> tuple[_Head | None, bytes]:
    """The newest whole line, checked against the head file, and the torn bytes after it."""
    head = _read_head(path)
    size = os.fstat(descriptor).st_size
    if head and (size < head.end or _hash_at(descriptor, head) != head.hash):
        raise PotstillError(f"{path}: its last line was edited or removed; `potstill verify` shows where")
    start = head.end if head else 0
    tail = os.pread(descriptor, size - start, start)
    line, newline, rest = tail.partition(b"\n")
    if not newline and _entry(line, 1) is None:
        return head, tail
    # A crash fell between writing this line and its head: the line is whole, so it counts.
    entry = _entry(line, 1)
    if entry is None or entry.previous != (head.hash if head else NO_PREVIOUS) or rest:
        raise PotstillError(f"{path}: lines were added by something else than Potstill; `potstill verify` shows which")
    if not newline:
        _write_all(descriptor, b"\n", size)
    head = _Head(start, start + len(line) + 1, entry.hash)
    _write_head(path, head)
    return head, b""


def _hash_at(descriptor: int, head: _Head) -> str:
    line = os.pread(descriptor, head.end - head.start, head.start)
    return hashlib.sha256(line[:-1]).hexdigest() if line.endswith(b"\n") else ""


def _head_path(path: Path) -> Path:
    return path.with_suffix(".head")


def _read_head(path: Path) -> _Head | None:
    try:
        text = _head_path(path).read_bytes()
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(text)
        head = _Head(start=fields["start"], end=fields["end"], hash=fields["hash"])
        if isinstance(head.hash, str) and 0 <= head.start < head.end and text == canonical_json(fields).encode():
            return head
    except (ValueError, KeyError, TypeError):
        pass
    raise PotstillError(f"{_head_path(path)}: edited: this is not what the ledger writes there")


def _write_head(path: Path, head: _Head) -> None:
    """Replace the head file in one step, so that a crash leaves the old one or the new one."""
    part = path.with_suffix(".head.part")
    with part.open("w") as file:
        file.write(canonical_json({"start": head.start, "end": head.end, "hash": head.hash}))
        file.flush()
        os.fsync(file.fileno())
    part.replace(_head_path(path))
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PotstillError(f"{path}: the ledger cannot be read ({error.strerror})") from None


def _whole_lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def _entry(line: bytes, number: int) -> Entry | None:
    """The entry that a raw line holds, or None where it is not one in the ledger's own spelling."""
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict) or set(fields) != _KEYS or canonical_json(fields).encode() != line:
            return None
    except (ValueError, RecursionError):
        return None
    texts = all(isinstance(fields[key], str) for key in ("previous", "time", "kind"))
    if not texts or not isinstance(fields["facts"], dict):
        return None
    return Entry(number, hash=hashlib.sha256(line).hexdigest(), **fields)


def _chain_problems(name: str, entries: list[Entry | None], hashes: list[str]) -> Iterator[str]:
    place = {digest: number for number, digest in enumerate(hashes, start=1)}
    for number, entry in enumerate(entries, start=1):
        expected = hashes[number - 2] if number > 1 else NO_PREVIOUS
        if entry is None or entry.previous == expected:
            continue
        if entry.previous in place:
            yield (
                f"{name}:{number}: follows line {place[entry.previous]} but stands after line {number - 1}: "
                "reordered, repeated or put in"
            )
        elif number == 1:
            yield f"{name}:1: is not the first line that was written: a line before it was removed"
        elif entry.previous == NO_PREVIOUS:
            yield f"{name}:{number}: is a first line but stands after line {number - 1}: reordered or put in"
        else:
            yield f"{name}:{number}: does not follow line {number - 1}: that one was edited, or one between was removed"


def _head_problems(path: Path, lines: list[bytes], hashes: list[str], *, chained: bool) -> list[str]:
    """What the head file shows about the last line; a head one line behind is a crash, not a change."""
    try:
        head = _read_head(path)
    except PotstillError as error:
        return [str(error)]
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line) + 1)
    if head is None:
        lost = len(lines) > 1 or path.stat().st_size > ends[-1] > 0
        return [f"{_head_path(path).name}: is missing, so the last line cannot be checked"] if lost else []
    if head.end in ends and ends.index(head.end) >= max(len(lines) - 1, 1):
        number = ends.index(head.end)
        if hashes[number - 1] == head.hash and head.start == ends[number - 1]:
            return []
        return [
            f"{path.name}:{number}: edited, or {_head_path(path).name} was: its hash is not the one that stands there"
        ]
    if chained and head.hash in hashes:
        return [f"{_head_path(path).name}: edited: line {hashes.index(head.hash) + 1} of the ledger is elsewhere"]
    if not lines:
        return [f"{path.name}: is empty: its lines were removed"]
    return [f"{path.name}:{len(lines)}: is not the line that was written last: lines were removed, edited or added"]
