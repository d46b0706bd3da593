"""Writes the journal's rows as answers.parquet, for training, the report and other people's tools."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.config import FIRST, Recipe
from potstill.errors import PotstillError
from potstill.records import Clearance, Prompt, canonical_json
from potstill.store.durable import written_whole
from potstill.store.journal import Journal, Row
from potstill.store.prompts import fields
from potstill.store.provenance import PROVENANCE, cleared_by, reference, sampling

_ROWS_A_GROUP = 10_000

SCHEMA = pa.schema(
    [
        pa.field("request_key", pa.string(), nullable=False),
        pa.field("prompt_hash", pa.string(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("messages", pa.string(), nullable=False),  # JSON: a list of {role, content}
        pa.field("answer", pa.string()),  # null where there is none: see error
        pa.field("reasoning", pa.string()),
        pa.field("finish_reason", pa.string()),
        pa.field("use", pa.string(), nullable=False),  # "ok" may be trained on; the others say why not
        pa.field("error", pa.string()),
        pa.field("teacher", pa.string()),
        pa.field("served_model", pa.string()),
        pa.field("host", pa.string()),  # null for local weights
        pa.field("input_tokens", pa.int64()),
        pa.field("cached_tokens", pa.int64()),
        pa.field("output_tokens", pa.int64()),
        pa.field("reasoning_tokens", pa.int64()),
        pa.field("cost_usd", pa.float64()),  # null where unknown
        pa.field("finished", pa.timestamp("us", tz="UTC")),
        *PROVENANCE,
    ]
)
# With several teachers: who wrote the answer, by its name in the recipe, and by what it was chosen.
_SEVERAL = (pa.field("writer", pa.string(), nullable=False), pa.field("tag", pa.string()))
# Where answers may call tools: the tools that the request had and the calls, both JSON.
_CALLING = (pa.field("tools", pa.string()), pa.field("tool_calls", pa.string()))
_SUMMED = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "cost_usd")


def write_answers_table(
    journal: Journal, prompts: Sequence[Prompt], path: Path, recipe: Recipe, clearance: Clearance,
    writers: Mapping[str, str] | None = None,
) -> Mapping[str, float | None]:  # fmt: skip
    """Write the wanted rows that have an outcome, in the prompts' order; the file appears whole or not at all.

    Each row says where it comes from: teacher, sampling, time, and the rule of the clearance. `writers` names the
    teacher of each prompt, by the prompt's hash, where there are several: the table then has a column for it and one
    for the prompt's tag. Where prompts have tools, there are columns for them and for the calls.

    Returns the sums over all answers of the token counts and cost_usd; None where an answer does not tell. Raises
    PotstillError where the journal holds a request for a prompt that is not given, or the file cannot be written.
    """
    calling = any(tools for (tools,) in fields(prompts, "tools"))
    schema = pa.schema([*SCHEMA, *(_SEVERAL if writers is not None else ()), *(_CALLING if calling else ())])
    totals: dict[str, float | None] = dict.fromkeys(_SUMMED, 0)
    named = {name: reference(one) for name, one in recipe.teachers.items()}
    cleared = cleared_by(clearance)
    with written_whole(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(journal, prompts):
            _add_up(totals, group)
            for columns in group:
                writer_name = FIRST if writers is None else writers[columns["prompt_hash"]]
                columns.update(writer=writer_name, teacher_reference=named[writer_name], **cleared)
            writer.write_table(pa.Table.from_pylist(group, schema))
    return totals


def _groups(journal: Journal, prompts: Sequence[Prompt]) -> Iterator[list[dict[str, Any]]]:
    outcomes = _with_prompts((row for row in journal.rows() if row.state in ("done", "error")), prompts, journal.path)
    while group := list(islice(outcomes, _ROWS_A_GROUP)):
        yield [_columns(row, prompt) for row, prompt in group]


def _with_prompts(rows: Iterable[Row], prompts: Sequence[Prompt], origin: Path) -> Iterator[tuple[Row, Prompt]]:
    """Each row with its prompt. Both come in the same order, so neither side is held in memory."""
    coming = iter(prompts)
    prompt: Prompt | None = None
    for row in rows:
        while prompt is None or prompt.hash != row.prompt_hash:
            prompt = next(coming, None)
            if prompt is None:
                raise PotstillError(f"{origin}: request {row.key[:12]} belongs to a prompt that this run does not have")
        yield row, prompt


def _columns(row: Row, prompt: Prompt) -> dict[str, Any]:
    messages = [one.plain for one in prompt.messages]
    base_url, reply = row.request["base_url"], row.reply
    columns: dict[str, Any] = {
        "request_key": row.key,
        "prompt_hash": row.prompt_hash,
        "sample": row.sample,
        "split": row.split,
        "messages": canonical_json(messages),
        "tag": prompt.tag,
        "use": row.use or "error",
        "error": row.error,
        "teacher": row.request["body"].get("model"),
        "host": urlsplit(base_url).hostname if base_url else None,
        "cost_usd": row.cost_usd,
        "tools": canonical_json(tools) if (tools := row.request["body"].get("tools")) else None,
        "finished": int(row.finished_s * 1e6) if row.finished_s is not None else None,
        **sampling(row),
    }
    if reply is None:
        return columns
    return columns | {
        "answer": reply.text,
        "tool_calls": canonical_json(reply.tool_calls) if reply.tool_calls else None,
        "reasoning": reply.reasoning,
        "finish_reason": reply.finish_reason,
        "served_model": reply.served_model,
        "input_tokens": reply.input_tokens,
        "cached_tokens": reply.cached_tokens,
        "output_tokens": reply.output_tokens,
        "reasoning_tokens": reply.reasoning_tokens,
    }


def _add_up(totals: dict[str, float | None], group: Sequence[Mapping[str, Any]]) -> None:
    for name in _SUMMED:
        for columns in group:
            if columns["error"] is None:
                before, value = totals[name], columns[name]
                totals[name] = before + value if before is not None and value is not None else None
