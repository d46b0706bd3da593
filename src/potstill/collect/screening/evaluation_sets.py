"""Reads the texts of evaluation sets, which training answers must not hold."""

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.config import EvaluationSet
from potstill.errors import RecipeError
from potstill.texts.overlap import Passages, passages_of


@dataclass(frozen=True, slots=True)
class KnownTexts:
    """The passages of one evaluation set, and its name for people."""

    name: str
    passages: Passages
    places: Sequence[int]  # the row of each text, from 1

    def found_in(self, text: str) -> str | None:
        """Which row of the set shares a passage with a text, in words; None for none."""
        which = self.passages.found_in(text)
        return None if which is None else f"{self.name}, row {self.places[which]}"


def read_sets(sections: Sequence[EvaluationSet]) -> list[KnownTexts]:
    """The sets that a recipe names. Raises RecipeError with file and row where one cannot be read."""
    found = []
    for section in sections:
        rows = list(_texts(section))
        if not rows:
            raise RecipeError(f"screen.contamination: {section.source}: holds no text in the field {section.field!r}")
        found.append(
            KnownTexts(section.source.name, passages_of(text for _, text in rows), [number for number, _ in rows])
        )
    return found


def _texts(section: EvaluationSet) -> Iterator[tuple[int, str]]:
    """The number and the text of each row; a field may hold a text, or a list of texts or messages."""
    path = section.source
    try:
        for number, row in enumerate(_rows(path), 1):
            where = f"screen.contamination: {path}:{number}"
            if not isinstance(row, dict):
                raise RecipeError(f"{where}: not an object")
            if section.field not in row:
                raise RecipeError(
                    f"{where}: no field {section.field!r}; there is {', '.join(map(repr, list(row)[:8]))}"
                )
            yield from ((number, text) for text in _in_field(row[section.field], f"{where}: {section.field}"))
    except OSError as error:
        raise RecipeError(f"screen.contamination: {path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError, csv.Error, pa.ArrowException, EOFError) as error:
        raise RecipeError(f"screen.contamination: {path}: not a table of rows ({error})") from None


def _rows(path: Path) -> Iterator[Any]:
    plain = path.name.removesuffix(".gz")
    if plain.endswith(".parquet"):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    elif plain.endswith((".csv", ".jsonl", ".json")):
        opening = gzip.open if path.suffix == ".gz" else open
        with opening(path, "rt", encoding="utf-8") as lines:
            if plain.endswith(".csv"):
                yield from csv.DictReader(lines)
            else:
                yield from (json.loads(line) for line in lines if line.strip())
    else:
        raise RecipeError(f"screen.contamination: {path}: must be .jsonl, .csv or .parquet, plain or .gz")


def _in_field(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and isinstance(value.get("content"), str):
        yield value["content"]
    elif isinstance(value, list):
        for one in value:
            yield from _in_field(one, where)
    elif value is not None:
        raise RecipeError(f"{where}: neither a text nor a list of texts or messages")
