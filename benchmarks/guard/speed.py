"""How fast guard reads events, computes evidence and finds cases, and in how much memory: made-up traffic of any size.

Traffic is 670 events an account over four weeks, in two Parquet files; the prompts are 5,000 random texts, each with a
number of its own. `python benchmarks/guard speed 1000000 4000000` prints a line a step and size, and
one of the whole scan; with `--scan` only that.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from potstill.guard import Intake, ingest, open_events, scan
from potstill.guard.evidence import activity, changes, coactivation, failover, phrasing, requests, sharing, templates

AN_ACCOUNT = 670
CHUNK = 500_000
START_US, SPAN_US = 1_769_904_000_000_000, 28 * 86_400_000_000
WORDS = np.array(("tax", "soil", "bread", "river", "engine", "poem", "ticket", "lamp", "chart", "explain", "answer"))

STEPS: dict[str, Callable[[Any], Any]] = {
    "requests": requests.requests,
    "hours": activity.hours,
    "ramp": activity.ramp,
    "one_shot": requests.one_shot,
    "phrasing": phrasing.phrasing,
    "template_use": templates.template_use,
    "template_links": templates.template_links,
    "near_duplicate_links": templates.near_duplicate_links,
    **{f"shared {kind}": partial(sharing.shared, kind=kind) for kind in sharing.SHARED},
    "plan_use": changes.plan_use,
    "release_shift": changes.release_shift,
    "own_history": changes.own_history,
    "failover_links": failover.failover_links,
    "signup_batches": sharing.signup_batches,
    "coactive_pairs": coactivation.coactive_pairs,
}


def chunk(rng: np.random.Generator, rows: int, accounts: int, begins_us: int) -> pa.Table:
    """So many events of half of the time."""
    account = rng.integers(accounts, size=rows)
    texts = [" ".join(rng.choice(WORDS, 30)) for _ in range(5_000)]
    prompts = [f"{texts[at]} {number}" for at, number in rng.integers((5_000, 10**9), size=(rows, 2)).tolist()]
    numbered = {name: np.char.add(name, account.astype(str)) for name in ("account", "key", "payment")}
    us = pa.timestamp("us", "UTC")
    return pa.table({
        **numbered, "time": pa.array(np.sort(rng.integers(SPAN_US // 2, size=rows)) + begins_us, us),
        "signup_time": pa.array(START_US - account * 500_000_000, us), "prompt": prompts,
        "address_prefix": np.char.add(np.char.add("198.51.", (account % 256).astype(str)), ".7"),
        "client": np.char.add("sdk", (account % 20).astype(str)), "model": ["m"] * rows,
        "max_tokens": np.full(rows, 1_000), "input_tokens": rng.integers(10, 500, rows), "status": np.full(rows, 200),
        "output_tokens": rng.integers(10, 1_000, rows), "temperature": rng.choice([0.0, 0.7, 1.0], rows),
        "conversation": np.char.add("c", rng.integers(accounts * 200, size=rows).astype(str)),
    })  # fmt: skip


def write(folder: Path, events: int) -> None:
    rng = np.random.default_rng(0)
    for half in range(2):
        left = events // 2
        first = chunk(rng, 1, 1, START_US)
        with pq.ParquetWriter(folder / f"half-{half}.parquet", first.schema) as file:
            while left:
                rows = min(left, CHUNK)
                file.write_table(chunk(rng, rows, max(events // AN_ACCOUNT, 1), START_US + half * SPAN_US // 2))
                left -= rows


def told(step: str, events: int, call: Callable[[], Any]) -> None:
    begun = time.perf_counter()
    call()
    seconds = time.perf_counter() - begun
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024
    print(f"{events:>12,} {step:<22} {seconds:8.1f} s {events / seconds:>14,.0f} events/s {peak:>8,} MB", flush=True)


def main(arguments: list[str]) -> None:
    how = Intake(b"a key of the benchmark", processes=2)
    for events in [int(one) for one in arguments if one != "--scan"] or [1_000_000]:
        with tempfile.TemporaryDirectory() as name:
            (folder := Path(name, "logs")).mkdir()
            write(folder, events)
            if "--scan" not in arguments:
                store = Path(name, "events")
                told("reading", events, partial(ingest, [folder], store, how))
                with open_events(store).connection() as connection:
                    for step, function in STEPS.items():
                        told(step, events, partial(function, connection))
            told("whole scan", events, partial(scan, [folder], Path(name, "scan"), how))


if __name__ == "__main__":
    main(sys.argv[1:])
