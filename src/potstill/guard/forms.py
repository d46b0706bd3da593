"""Which form of log a file is, found by looking at its first rows or as the caller says."""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from potstill.errors import PotstillError
from potstill.exchanges import form_named, form_of_row, log_files, rows
from potstill.guard.adapters.otel import holds_spans
from potstill.guard.row import canonical

Form = Literal["chat_log", "litellm", "otel", "canonical", "parquet", "csv"]
FORMS: tuple[Form, ...] = get_args(Form)
_TABLES: Mapping[str, Form] = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv", ".tsv": "csv"}
_LOOKED_AT = 20
LONGEST_ROW = 1 << 24  # bytes


def known_form(name: str | None) -> Form | None:
    """The form of this name. Raises PotstillError for another name."""
    return form_named(name, FORMS)


def files_of(paths: list[Path]) -> list[Path]:
    """The files that these paths stand for: of a folder every log and table in it, by name.

    Raises PotstillError for a path that is not there, and for a folder without either.
    """
    found: list[Path] = []
    for path in paths:
        tables = sorted(one for one in path.rglob("*") if _table(one) and one.is_file()) if path.is_dir() else []
        try:
            found += sorted({*tables, *log_files([path])})
        except PotstillError:
            if not tables:
                raise
            found += tables
    return found


def form_of(path: Path, mapped: bool = False) -> Form:
    """The form of one file. With `mapped` columns any rows will do: what has no other form is canonical.

    A file without a single JSON object is canonical too: its rows will say what is wrong with them. Raises
    PotstillError where there are objects and none of them is known.
    """
    table = _table(path)
    if table is not None:
        return table
    votes: Counter[Form] = Counter()
    objects = 0
    try:
        for _, row in (one for one in islice(rows(path, LONGEST_ROW), _LOOKED_AT) if isinstance(one, tuple)):
            objects += 1
            form = _form_of_row(row)
            if form is not None:
                votes[form] += 1
    except PotstillError:  # a file that ends too early; what could be read of it votes
        pass
    if votes:
        return votes.most_common(1)[0][0]
    if objects and not mapped:
        raise PotstillError(
            f"{path}: not a log that is known; wanted are requests and responses in the OpenAI form, LiteLLM's spend "
            "logs, OpenTelemetry spans (OTLP JSON), or rows with the event's own fields; name others with --map"
        )
    return "canonical"


def _form_of_row(row: Mapping[str, Any]) -> Form | None:
    if holds_spans(row):
        return "otel"
    form = form_of_row(row)
    if form in ("litellm", "chat_log"):
        return form
    return "canonical" if len(canonical(row)) > 1 else None


def _table(path: Path) -> Form | None:
    name = path.name.casefold()
    return next((form for end, form in _TABLES.items() if name.endswith(end)), None)
