"""The rows of log files, one after the other and never a whole file in memory: JSONL, a JSON array, gzip, folders."""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from potstill.errors import PotstillError
from potstill.exchanges.record import Unreadable

_SUFFIXES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
_BLOCK = 1 << 16
_LONGEST_VALUE = 1 << 26  # characters that one value of a JSON array may take before it is called broken

Located = tuple[str, dict[str, Any]]


def log_files(paths: Sequence[Path]) -> list[Path]:
    """The files that these paths stand for: of a folder, every log file in it, by name.

    Raises PotstillError for a path that is not there, and a folder without log files.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise PotstillError(f"{path}: no such file")
            found.append(path)
            continue
        inside = sorted(one for one in path.rglob("*") if one.name.endswith(_SUFFIXES) and one.is_file())
        if not inside:
            raise PotstillError(f"{path}: holds no log file; logs end with {', '.join(_SUFFIXES[:3])} or .gz after it")
        found += inside
    return found


def opened(path: Path) -> BinaryIO:
    """The file for reading, unpacked where it is gzip by its first bytes."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def rows(path: Path, longest: int | None = None) -> Iterator[Located | Unreadable]:
    """Place and JSON object of every row; a row that is none is Unreadable and ends nothing.

    A file whose first line is not a JSON object by itself is read as a JSON array, or as objects over several lines.
    A line of more than `longest` bytes is Unreadable, and never in memory as a whole. Raises PotstillError where the
    file cannot be read, or not to its end: then after the rows that could be.
    """
    try:
        with opened(path) as file:
            first = _first_line(file, longest)
        with opened(path) as file:
            yield from _lines(path, file, longest) if _whole(first) else _values(path, file, longest)
    except FileNotFoundError:
        raise PotstillError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PotstillError(f"{path}: cannot be read ({reason})") from None


def _first_line(file: BinaryIO, longest: int | None) -> bytes:
    """The first line that is not empty; of one that is too long, only whether it begins an array."""
    while line := file.readline(-1 if longest is None else longest + 1):
        if line.strip():
            if longest is not None and len(line) > longest:
                return b"[" if line.lstrip(b"\xef\xbb\xbf \t").startswith(b"[") else b"{}"
            return line
    return b"{}"


def bounded_lines(file: BinaryIO, longest: int | None = None) -> Iterator[tuple[int, bytes | None]]:
    """Number, from 1, and bytes of every line; None for one of more than `longest` bytes, which is passed over."""
    if longest is None:
        yield from enumerate(file, 1)
        return
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if len(line) <= longest:
            yield number, line
            continue
        while not line.endswith(b"\n") and (line := file.readline(_BLOCK)):
            pass
        yield number, None


def _whole(line: bytes) -> bool:
    """Whether a file that begins with this line has one value a line; a broken first line counts as such."""
    start = line.removeprefix(b"\xef\xbb\xbf").strip()
    if start in (b"[", b"{") or start.startswith(b"["):
        return False
    try:
        json.loads(start)
    except (ValueError, RecursionError):
        return not start.endswith((b"{", b"[", b","))
    return True


def _lines(path: Path, file: BinaryIO, longest: int | None) -> Iterator[Located | Unreadable]:
    for number, line in bounded_lines(file, longest):
        place = f"{path}:{number}"
        if line is None:
            yield Unreadable(place, f"a line of more than {longest:,} bytes")
            continue
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            yield Unreadable(place, "not UTF-8 text")
        except RecursionError:
            yield Unreadable(place, "not JSON (nested too deeply)")
        except ValueError as error:
            yield Unreadable(place, f"not JSON ({_plain(error)})")
        else:
            yield (place, row) if isinstance(row, dict) else Unreadable(place, "not a JSON object")


def _values(path: Path, file: BinaryIO, longest: int | None) -> Iterator[Located | Unreadable]:
    """The objects of a JSON array, or of a file that has them one after the other over several lines."""
    decoder, buffer, line = json.JSONDecoder(), "", 1
    characters = codecs.getincrementaldecoder("utf-8")()  # a block may end inside a character
    most = min(longest or _LONGEST_VALUE, _LONGEST_VALUE)
    while True:
        start = len(buffer) - len(buffer.lstrip(" \t\r\n,[]\ufeff"))
        line += buffer.count("\n", 0, start)
        buffer = buffer[start:]
        try:
            if not buffer:
                raise json.JSONDecodeError("nothing", buffer, 0)
            value, end = decoder.raw_decode(buffer)
        except (ValueError, RecursionError) as error:
            block = b"" if len(buffer) > most else file.read(_BLOCK)
            if not block:
                if buffer:
                    yield Unreadable(f"{path}:{line}", f"not JSON ({_plain(error)}); the rest of the file is not read")
                return
            try:
                buffer += characters.decode(block)
            except UnicodeDecodeError:
                yield Unreadable(f"{path}:{line}", "not UTF-8 text; the rest of the file is not read")
                return
            continue
        place = f"{path}:{line}"
        yield (place, value) if isinstance(value, dict) else Unreadable(place, "not a JSON object")
        line += buffer.count("\n", 0, end)
        buffer = buffer[end:]


def _plain(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else "a number or nesting that is too long"
