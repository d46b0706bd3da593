"""The table of a run's prompts: what the prompts stage leaves and every later stage reads."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.errors import PotstillError
from potstill.records import Grown, Message, Prompt, canonical_json
from potstill.store.durable import written_whole

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
    try:
        rows = pq.read_table(path, schema=_SCHEMA).to_pylist()
        return [
            Prompt(
                tuple(Message.read(one) for one in json.loads(row["messages"])), row["split"], row["source"],
                row["hash"], row["tag"], tuple(json.loads(row["tools"] or "[]")), _grown(row["grown"]),
            )
            for row in rows
        ]  # fmt: skip
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        raise PotstillError(f"{path}: not a table of prompts ({error}); run the prompts stage again") from None


def _grown(text: str | None) -> Grown | None:
    if text is None:
        return None
    data = json.loads(text)
    return Grown(data["model"], data["request"], tuple(data["parents"]))
