"""The table of a run's prompts: what the prompts stage leaves and every later stage reads."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.errors import PotstillError
from potstill.records import Grown, Message, Prompt, canonical_json
from potstill.store.durable import written_whole

_ROWS_A_PAGE = 1000

_SCHEMA = pa.schema([(name, pa.string()) for name in ("messages", "split", "source", "hash", "tag", "tools", "grown")])


def write_prompts(prompts: Sequence[Prompt], path: Path) -> None:
    """Write prompts.parquet: messages as JSON text, split, source, hash, and where prompts have them tag, tools, grown.

    The last is JSON of model, request and parents. The file appears whole or not at all.
    """
    table = pa.Table.from_pylist(
        [
            {
                "messages": canonical_json([one.plain for one in prompt.messages]),
                "split": prompt.split,
                "source": prompt.source,
                "hash": prompt.hash,
                "tag": prompt.tag,
                "tools": canonical_json(prompt.tools) if prompt.tools else None,
                "grown": canonical_json(asdict(prompt.grown)) if prompt.grown is not None else None,
            }
            for prompt in prompts
        ],
        _schema(prompts),
    )
    with written_whole(path) as file:
        pq.write_table(table, file, compression="zstd")


def _schema(prompts: Sequence[Prompt]) -> pa.Schema:
    """Without tags, tools and grown prompts the table is, to the byte, what it was before: a run stays finished."""
    empty = {name for name in ("tag", "tools", "grown") if not any(getattr(prompt, name) for prompt in prompts)}
    return pa.schema([field for field in _SCHEMA if field.name not in empty])


def read_prompts(path: Path) -> list[Prompt]:
    """Read what `write_prompts` wrote. Raises PotstillError where the file is missing or not such a table."""
    return list(StoredPrompts(path))


class StoredPrompts(Sequence[Prompt]):
    """The prompts of a file, read page by page each time they are gone through, so that a million take no memory.

    Raises PotstillError where the file is missing or not such a table.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                self._length = int(file.metadata.num_rows)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(error) from None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Prompt]:
        for row in self.rows(*_SCHEMA.names):
            try:
                messages = tuple(Message.read(one) for one in json.loads(row["messages"]))
                tools = tuple(json.loads(row["tools"] or "[]"))
                grown = _grown(row["grown"])
            except (ValueError, TypeError, KeyError) as error:
                raise self._unreadable(error) from None
            yield Prompt(messages, row["split"], row["source"], row["hash"], row["tag"], tools, grown)

    @overload
    def __getitem__(self, at: int) -> Prompt: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Prompt]: ...

    def __getitem__(self, at: int | slice) -> Prompt | Sequence[Prompt]:
        return list(self)[at]

    def rows(self, *names: str) -> Iterator[dict[str, Any]]:
        """Only these columns of every prompt, in order; a column that the file lacks is None throughout."""
        try:
            with pq.ParquetFile(self._path) as file:
                there = [name for name in names if name in file.schema_arrow.names]
                if "hash" in names and "hash" not in there:
                    raise ValueError("it has no column hash")
                for batch in file.iter_batches(_ROWS_A_PAGE, columns=there):
                    for row in batch.to_pylist():
                        yield dict.fromkeys(names) | row
        except (OSError, pa.ArrowException, ValueError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> PotstillError:
        return PotstillError(f"{self._path}: not a table of prompts ({error}); run the prompts stage again")


def _grown(text: str | None) -> Grown | None:
    if text is None:
        return None
    data = json.loads(text)
    return Grown(data["model"], data["request"], tuple(data["parents"]))


def fields(prompts: Sequence[Prompt], *names: str) -> Iterator[tuple[Any, ...]]:
    """These attributes of every prompt; of stored ones nothing else is read, which is many times faster.

    Of stored prompts they are as the file has them: tools as JSON text, None where there are none.
    """
    if isinstance(prompts, StoredPrompts):
        return (tuple(row.values()) for row in prompts.rows(*names))
    return (tuple(getattr(prompt, name) for name in names) for prompt in prompts)
