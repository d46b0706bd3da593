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

_SCHEMA = pa.schema([(name, pa.string()) for name in ("messages", "split", "source", "hash", "tag", "grown")])
# Without them the table is, to the byte, what it was before there were any: a finished run stays finished.
_NOT_ALWAYS = ("tag", "grown")


def write_prompts(prompts: Sequence[Prompt], path: Path) -> None:
    """Write prompts.parquet: messages as JSON text, split, source, hash, and where a prompt has one tag and growth.

    The last is JSON of model, request and parents. The file appears whole or not at all.
    """
    absent = [name for name in _NOT_ALWAYS if all(getattr(prompt, name) is None for prompt in prompts)]
    table = pa.Table.from_pylist(
        [
            {
                "messages": canonical_json([{"role": one.role, "content": one.content} for one in prompt.messages]),
                "split": prompt.split,
                "source": prompt.source,
                "hash": prompt.hash,
                "tag": prompt.tag,
                "grown": canonical_json(asdict(prompt.grown)) if prompt.grown is not None else None,
            }
            for prompt in prompts
        ],
        pa.schema([field for field in _SCHEMA if field.name not in absent]),
    )
    with written_whole(path) as file:
        pq.write_table(table, file, compression="zstd")


def read_prompts(path: Path) -> list[Prompt]:
    """Read what `write_prompts` wrote. Raises PotstillError where the file is missing or not such a table."""
    try:
        rows = pq.read_table(path, schema=_SCHEMA).to_pylist()
        return [
            Prompt(
                tuple(Message(**one) for one in json.loads(row["messages"])), row["split"], row["source"], row["hash"],
                row["tag"], _grown(row["grown"]),
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
