"""Writes what the doctor concluded as three files: to train on, to ask again, and left out with the reasons."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from potstill.doctor.examine import Examination
from potstill.doctor.findings import VERDICTS, Verdict, reasons_of, verdict_of
from potstill.errors import PotstillError
from potstill.exchanges import Exchange, read_exchanges
from potstill.exchanges.record import Form
from potstill.store.durable import written_whole


def export(
    examined: Examination, paths: Sequence[Path], folder: Path, form: Form | None = None, job_key: str | None = None
) -> dict[Verdict, int]:
    """Write usable.jsonl, ask_again.jsonl and left_out.jsonl into `folder`, by one more reading of the same log.

    Each is an OpenAI fine-tuning file, and so one that `prompts.source` takes; those to ask again have no answer. The
    metadata of a row name its job, its source and the reasons. Files of an earlier export are replaced. Personal data
    stand in left_out.jsonl as they stand in the log. Returns the number of rows by file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[Verdict, int] = dict.fromkeys(VERDICTS, 0)
    columns = examined.columns
    with ExitStack() as stack:
        files = {one: stack.enter_context(written_whole(folder / f"{one}.jsonl")) for one in VERDICTS}
        exchanges = (one for one in read_exchanges(paths, form, job_key) if isinstance(one, Exchange))
        for row, one in enumerate(islice(exchanges, len(columns))):
            if one.place != columns.place(row):
                raise PotstillError(f"{one.place}: the log changed while it was read; give a copy of it")
            flags = int(examined.flags[row])
            verdict = verdict_of(flags)
            name = examined.names[int(examined.named[row])]
            line = json.dumps(_row(one, verdict, flags, name), ensure_ascii=False) + "\n"
            files[verdict].write(line.encode(errors="replace"))
            counts[verdict] += 1
    return counts


def _row(one: Exchange, verdict: Verdict, flags: int, name: str | None) -> dict[str, Any]:
    messages = [dict(turn) for turn in one.messages]
    if verdict != "ask_again" and one.answer is not None:
        answer: dict[str, Any] = {"role": "assistant", "content": one.answer or None}
        if one.tool_calls:
            answer["tool_calls"] = list(one.tool_calls)
        messages.append(answer if one.tool_calls else {**answer, "content": one.answer})
    reasons = reasons_of(flags)
    row: dict[str, Any] = {"messages": messages}
    # Superseded tools are not asked with again: the recipe gives today's.
    if one.tools and not (verdict == "ask_again" and "old_tools" in reasons):
        row["tools"] = list(one.tools)
    metadata = {"job": name, "source": one.place, "reasons": ", ".join(reasons)}
    return row | {"metadata": {key: value for key, value in metadata.items() if value}}
