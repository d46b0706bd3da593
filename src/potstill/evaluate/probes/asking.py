"""Prompts besides the held-out answers, such as those whose answers were left out as refusals, and their answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from potstill.config import Recipe
from potstill.evaluate.probes.shapes import Form, form_of
from potstill.models.local import LocalModel
from potstill.records import Message
from potstill.rendering import render_prompt
from potstill.store.journal import request_seed
from potstill.store.screening import SCREENING, left_out, read_screening

_AT_ONCE = 64
_MOST_FORMS = 50_000  # training answers that are looked at for their form


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt to be answered."""

    hash: str
    messages: tuple[Message, ...]
    sample: int = 0
    tools: tuple[dict[str, Any], ...] = ()


def answers_of(model: LocalModel, asked: Sequence[Asked], recipe: Recipe) -> list[str | None]:
    """A model's answers, sampled as the teacher's were; None where a prompt leaves no room for one in its context."""
    collect, answers = recipe.collect, dict[int, str]()
    tokens = [render_prompt(model.tokenizer, one.messages, one.tools) for one in asked]
    room = (model.context_tokens or max(map(len, tokens), default=0) + collect.max_new_tokens) - collect.max_new_tokens
    fitting = [at for at, one in enumerate(tokens) if len(one) <= room]
    for start in range(0, len(fitting), _AT_ONCE):
        few = fitting[start : start + _AT_ONCE]
        generations = model.generate(
            [tokens[at] for at in few],
            max_new_tokens=collect.max_new_tokens,
            temperature=collect.temperature,
            top_p=collect.top_p,
            seeds=[request_seed(collect.seed, asked[at].hash, asked[at].sample) for at in few],
        )
        for at, one in zip(few, generations, strict=True):
            answers[at] = model.tokenizer.decode(one.tokens, skip_special_tokens=True)
    return [answers.get(at) for at in range(len(asked))]


def left_out_refusals(folder: Path) -> list[tuple[Asked, str]]:
    """Held-out prompts whose answers nothing speaks against but that they refuse, with these answers' texts."""
    path = folder / SCREENING
    if not path.exists():
        return []
    refused = {
        row.request_key
        for row in read_screening(path)
        if row.split == "holdout" and not row.used and set(row.reasons) == {"refused"}
    }
    return [(one, text) for key, one, text in _held_out_rows(folder) if key in refused] if refused else []


def held_out_answers(folder: Path) -> list[tuple[Asked, str]]:
    """Held-out prompts with the teacher's answers that are measured on."""
    gone = left_out(folder)
    return [(one, text) for key, one, text in _held_out_rows(folder, "ok") if key not in gone]


def trained_forms(folder: Path, uses: frozenset[str]) -> dict[Form, int]:
    """How many training answers have which form, by the first fifty thousand; empty where the table is not there."""
    path, gone, counts, seen = folder / "answers.parquet", left_out(folder), dict[Form, int](), 0
    if not path.exists():
        return counts
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["request_key", "split", "use", "answer"]):
            for row in batch.to_pylist():
                if row["split"] != "train" or row["use"] not in uses or not row["answer"] or row["request_key"] in gone:
                    continue
                form = form_of(row["answer"])
                counts[form] = counts.get(form, 0) + 1
                seen += 1
                if seen == _MOST_FORMS:
                    return counts
    return counts


def _held_out_rows(folder: Path, use: str | None = None) -> list[tuple[str, Asked, str]]:
    """Request key, prompt and answer of the held-out rows of answers.parquet."""
    path = folder / "answers.parquet"
    if not path.exists():
        return []
    found = []
    with pq.ParquetFile(path) as file:
        names = ["request_key", "prompt_hash", "sample", "split", "use", "messages", "answer"]
        names += [name for name in ("tools",) if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=names):
            for row in batch.to_pylist():
                if row["split"] != "holdout" or (use is not None and row["use"] != use):
                    continue
                messages = tuple(Message.read(one) for one in json.loads(row["messages"]))
                tools = tuple(json.loads(row["tools"])) if row.get("tools") else ()
                asked = Asked(row["prompt_hash"], messages, row["sample"], tools)
                found.append((row["request_key"], asked, row["answer"] or ""))
    return found
