"""A journal of a million requests: how long until a resumed run sends, and how much memory it takes to its end."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from loopback import nginx
from potstill_side import CLEARANCE, prompts, recipe

from potstill.collect.endpoint import collect_endpoint
from potstill.models.http import Endpoint
from potstill.progress import Silent
from potstill.records import Prompt, canonical_json
from potstill.store.journal import Journal
from potstill.store.prompts import StoredPrompts

UNANSWERED = 2000


class Noting(Endpoint):
    """Notes when the first request is sent."""

    first_s: float | None = None

    async def ask(self, body: Mapping[str, Any], spelled: bytes | None = None) -> Any:
        self.first_s = self.first_s or time.time()
        return await super().ask(body, spelled)


def resumed(rows: int) -> dict[str, float]:
    """Seconds from the start of the process to the first request, and its peak memory in MiB."""
    with nginx() as url, tempfile.TemporaryDirectory(dir=".") as home:
        folder = Path(home)
        write_prompts(folder / "prompts.parquet", rows)
        fill(url, folder, rows)
        command = [sys.executable, __file__, url, str(folder), str(time.time())]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"resume: {done.stderr[-2000:]}")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def write_prompts(path: Path, rows: int) -> None:
    """As the prompts stage writes them, but a page at a time, so that this process stays small too."""
    schema = pa.schema([(name, pa.string()) for name in ("messages", "split", "source", "hash")])
    coming = prompts(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while page := list(islice(coming, 100_000)):
            writer.write_table(pa.Table.from_pylist([columns(one) for one in page], schema))


def columns(prompt: Prompt) -> dict[str, str]:
    messages = canonical_json([{"role": one.role, "content": one.content} for one in prompt.messages])
    return {"messages": messages, "split": prompt.split, "source": prompt.source, "hash": prompt.hash}


class Unsent(Endpoint):
    """Adds the requests to the journal and stops before the first is sent."""

    async def ask(self, body: Mapping[str, Any], spelled: bytes | None = None) -> Any:
        raise KeyboardInterrupt


def fill(url: str, folder: Path, rows: int) -> None:
    """A journal in which all but the last `UNANSWERED` requests have answers."""
    asked = recipe(url, 64)
    assert asked.teacher.endpoint is not None
    given = StoredPrompts(folder / "prompts.parquet")
    with suppress(KeyboardInterrupt):
        collect_endpoint(asked, CLEARANCE, given, folder, Silent(), model=Unsent(asked.teacher.endpoint))
    with Journal(folder / "answers.sqlite") as journal:
        journal._db.execute(
            "UPDATE requests SET state = 'done', use = 'ok', text = ?, reasoning = '', finish_reason = 'stop', "
            "input_tokens = 12, output_tokens = 30, cost_usd = 0.00007, seconds = 0.5, finished_s = 1.8e9, raw = '{}' "
            "WHERE position < ?", ("the kettle is a vessel for water " * 6, rows - UNANSWERED),
        )  # fmt: skip


def main(url: str, folder: Path, started_s: float) -> None:
    asked = recipe(url, 64)
    assert asked.teacher.endpoint is not None
    model = Noting(asked.teacher.endpoint)
    given = StoredPrompts(folder / "prompts.parquet")
    result = collect_endpoint(asked, CLEARANCE, given, folder, Silent(), model=model)
    assert result.facts["answers"] == len(given), result.facts
    assert model.first_s is not None
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"first_request_s": model.first_s - started_s, "peak_mib": peak_kib / 1024}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
