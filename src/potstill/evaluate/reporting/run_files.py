"""What a finished run left in its folder, read for the report: nothing in it can break an HTML file."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from potstill.errors import PotstillError

_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def read_text(path: Path) -> str | None:
    """The text of a file with whatever no page may hold made visible; None where there is no such file."""
    try:
        return str(_clean(path.read_bytes().decode("utf-8", errors="replace")))
    except FileNotFoundError:
        return None


def read_evaluation(path: Path) -> Mapping[str, Any]:
    """The run's evaluation.json. Raises PotstillError with the path where it is missing or no JSON object."""
    try:
        evaluation = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PotstillError(f"{path}: no such file; `potstill run` writes it in the stage evaluate") from None
    except (ValueError, OSError) as error:
        raise PotstillError(f"{path}: cannot be read ({error}); delete it and run the recipe again") from None
    if not isinstance(evaluation, dict):
        raise PotstillError(f"{path}: holds no JSON object; delete it and run the recipe again")
    cleaned: Mapping[str, Any] = _clean(evaluation)
    return cleaned


def read_metrics(path: Path) -> tuple[list[Mapping[str, Any]], int]:
    """The lines of metrics.jsonl and how many could not be read (a crash may tear the last one)."""
    lines: list[Mapping[str, Any]] = []
    unreadable = 0
    for text in (read_text(path) or "").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict):
            lines.append(line)
        elif text.strip():
            unreadable += 1
    return lines, unreadable


def read_ledger(path: Path) -> dict[str, Any] | None:
    """How many lines the ledger had and the hash of its last one, which fixes all lines before it."""
    try:
        lines = [line for line in path.read_bytes().split(b"\n") if line]
    except FileNotFoundError:
        return None
    return {"lines": len(lines), "head": hashlib.sha256(lines[-1]).hexdigest()} if lines else None


def _clean(value: Any) -> Any:
    """The same value with control characters and lone surrogates, which no HTML file may hold, made visible."""
    if isinstance(value, str):
        return _UNSAFE.sub("\ufffd", value.replace("\r\n", "\n"))
    if isinstance(value, dict):
        return {_clean(key): _clean(entry) for key, entry in value.items()}
    return [_clean(entry) for entry in value] if isinstance(value, list) else value
