"""Rows of tables of prompts or references, a batch at a time: CSV, Parquet, and Hugging Face dataset folders."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.errors import PotstillError, RecipeError
from potstill.exchanges.record import Unreadable
from potstill.exchanges.rows import opened, rows

_ROWS_A_BATCH = 1024
_SPLIT = re.compile(r"(?:^|[-_./])(train|training|test|testing|eval|validation|valid|val|dev)(?:[-_./]|$)")
_SAME = {"training": "train", "testing": "test", "eval": "test", "valid": "validation", "val": "validation",
         "dev": "validation"}  # fmt: skip
_DATA = (".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".jsonl.gz", ".ndjson")

Located = tuple[str, Mapping[str, Any]]


@contextmanager
def of_setting(setting: str, path: Path) -> Iterator[None]:
    """Reading the file that a recipe's setting names: RecipeError in one line where it is not there or not readable."""
    try:
        yield
    except FileNotFoundError:
        raise RecipeError(f"{setting}: {path}: no such file") from None
    except OSError as error:
        raise RecipeError(f"{setting}: {path}: cannot be read ({error.strerror or error})") from None


def csv_rows(path: Path, field: str) -> Iterator[Located]:
    """The records of a CSV file with a header; the place is the line that a record begins on.

    The separator is the comma, semicolon or tab that makes `field` a column. Raises RecipeError for a file that is not
    UTF-8 or not CSV.
    """
    csv.field_size_limit(sys.maxsize)  # the default of 128 KB is shorter than some prompts
    with opened(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
        line = 0
        try:
            head = file.readline()
            separator = next((one for one in ",;\t" if field in next(csv.reader([head], delimiter=one), [])), ",")
            names = next(csv.reader([head], delimiter=separator), [])
            reader = csv.reader(file, delimiter=separator, strict=True)
            line = 1
            for values in reader:
                place, line = f"{path}:{line + 1}", reader.line_num + 1
                if len(values) > len(names):
                    raise RecipeError(f"{place}: {len(values)} values, but the header names {len(names)} columns")
                if values:
                    yield place, dict(zip(names, values, strict=False))
        except UnicodeDecodeError:
            raise RecipeError(f"{path}: not UTF-8 text after line {line}; save the file as UTF-8") from None
        except csv.Error as error:
            raise RecipeError(f"{path}:{line + 1}: not CSV ({error})") from None


def parquet_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Located]:
    """The rows of a Parquet file, numbered from 1, with these columns where they are there, else all of its names."""
    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            if columns[0] not in there:
                yield f"{path}:1", dict.fromkeys(there)
                return
            wanted = [one for one in columns if one in there]
            yield from _numbered(path, file.iter_batches(_ROWS_A_BATCH, columns=wanted))
    except pa.ArrowException as error:
        raise RecipeError(f"{path}: not a Parquet file ({_first_line(error)})") from None


def arrow_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Located]:
    """The rows of an Arrow file as `datasets` writes it: the streaming format, or the one with a footer."""
    try:
        with pa.memory_map(str(path)) as source:
            framed = source.read(6) == b"ARROW1"
            source.seek(0)
            reader = pa.ipc.open_file(source) if framed else pa.ipc.open_stream(source)
            batches = map(reader.get_batch, range(reader.num_record_batches)) if framed else reader
            if columns[0] not in reader.schema.names:
                yield f"{path}:1", dict.fromkeys(reader.schema.names)
                return
            wanted = [one for one in columns if one in reader.schema.names]
            yield from _numbered(path, (batch.select(wanted) for batch in batches))
    except pa.ArrowException as error:
        raise RecipeError(f"{path}: not an Arrow file ({_first_line(error)})") from None


def dataset_rows(folder: Path, columns: tuple[str, ...], split: str | None) -> Iterator[Located]:
    """The rows of a dataset folder: one that `save_to_disk` wrote, or a snapshot of a hub repository."""
    for path in dataset_files(folder, split):
        name = path.name.lower()
        if name.endswith(".parquet"):
            yield from parquet_rows(path, columns)
        elif name.endswith(".arrow"):
            yield from arrow_rows(path, columns)
        elif name.endswith((".csv", ".tsv")):
            yield from csv_rows(path, columns[0])
        else:
            yield from json_rows(path)


def json_rows(path: Path, setting: str = "prompts.source") -> Iterator[Located]:
    """The objects of a JSONL file. Raises RecipeError with file and line on the first that is none.

    `setting` is the recipe's key that names the file, for the error of one that cannot be read.
    """
    try:
        for found in rows(path):
            if isinstance(found, Unreadable):
                raise RecipeError(f"{found.place}: {found.reason}; each line must be one JSON object")
            yield found
    except PotstillError as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"{setting}: {error}") from None


def dataset_files(folder: Path, split: str | None) -> list[Path]:
    """The data files of one split of a dataset, in order. Raises RecipeError where the split is not there, or not named
    although there are several.
    """
    splits = _saved(folder) or _snapshot(folder)
    if not splits:
        raise RecipeError(f"prompts.source: {folder}: holds no data file ({', '.join(_DATA)})")
    there = ", ".join(splits)
    if split is None and len(splits) > 1:
        raise RecipeError(f"prompts.dataset_split: {folder} has the splits {there}; name one of them")
    if split is not None and split not in splits:
        raise RecipeError(f"prompts.dataset_split: {folder} has no split {split!r}; there is {there}")
    return splits[split or next(iter(splits))]


def _saved(folder: Path) -> dict[str, list[Path]]:
    """The splits of what `datasets` wrote with save_to_disk, by the names in its own files."""
    whole = folder / "dataset_dict.json"
    if whole.is_file():
        names = _json(whole).get("splits")
        found = {}
        for name in names if isinstance(names, list) else []:
            found[str(name)] = next(iter(_saved(folder / str(name)).values()), [])
            if not found[str(name)]:
                raise RecipeError(f"{whole}: names the split {name!r}, whose folder has no state.json")
        return found
    state = folder / "state.json"
    if not state.is_file():
        return {}
    data = _json(state)
    names = [one.get("filename") for one in data.get("_data_files") or [] if isinstance(one, dict)]
    files = [folder / str(name) for name in names]
    for file in files:
        if not file.is_file():
            raise RecipeError(f"{state}: names {file.name}, which is not there")
    return {str(data.get("_split") or "train"): files} if files else {}


def _snapshot(folder: Path) -> dict[str, list[Path]]:
    """The splits of a hub repository's files, told by their names; without such a name all is the split train."""
    splits: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and path.name.lower().endswith(_DATA) and not any(x.startswith(".") for x in inside.parts):
            named = _SPLIT.findall(inside.as_posix().lower())
            split = _SAME.get(named[-1], named[-1]) if named else "train"
            splits.setdefault(split, []).append(path)
    return splits


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read ({_first_line(error)})") from None
    return data if isinstance(data, dict) else {}


def _numbered(path: Path, batches: Iterator[Any]) -> Iterator[Located]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield f"{path}:{number}", row


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
