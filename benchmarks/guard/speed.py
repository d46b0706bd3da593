"""How fast guard reads events, computes evidence and finds cases, and in how much memory: made-up traffic of any size.

Traffic is 670 events an account over four weeks, in two Parquet files; the prompts are 5,000 random texts, each with a
number of its own. `python benchmarks/guard speed 1000000 4000000` prints a line a step and size, and one of the whole
scan; with `--scan` only that. Last comes the time of the larger scans over what the smallest would take in proportion.
Every size has a process of its own. Memory is that of all its processes together, at its highest in the step.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from memory import watched

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


def told(step: str, events: int, call: Callable[[], Any]) -> float:
    """Seconds that it took, after printing them with processor time, events a second and memory."""
    begun, used = time.perf_counter(), processor_s()
    with watched() as peak:
        call()
    seconds = time.perf_counter() - begun
    print(f"{events:>12,} {step:<22} {seconds:8.1f} s {processor_s() - used:8.1f} s of processor "
          f"{events / seconds:>12,.0f} events/s {peak[0] / 1e9:6.2f} GB", flush=True)  # fmt: skip
    return seconds


def processor_s() -> float:
    """Seconds of processor time so far, with that of children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measured(events: int, folder: Path, every_step: bool, answer: "Queue[float]") -> None:
    how, logs = Intake(b"a key of the benchmark", processes=2), folder / "logs"
    if every_step:
        store = folder / "events"
        told("reading", events, partial(ingest, [logs], store, how))
        with open_events(store).connection() as connection:
            for step, function in STEPS.items():
                told(step, events, partial(function, connection))
    answer.put(told("whole scan", events, partial(scan, [logs], folder / "scan", how)))


def main(arguments: list[str]) -> None:
    processes = get_context("spawn")
    took: dict[int, float] = {}
    for events in sorted(int(one) for one in arguments if one != "--scan") or [1_000_000]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "logs").mkdir()
            answer: Queue[float] = processes.Queue()
            in_process(processes.Process(target=write, args=(folder / "logs", events)))
            in_process(processes.Process(target=measured, args=(events, folder, "--scan" not in arguments, answer)))
            took[events] = answer.get()
    least = min(took)
    for events in [one for one in took if one > least]:
        ratio = took[events] / (took[least] * events / least)
        print(f"{events:>12,} events: {ratio:.2f} times what is in proportion to {least:,}")


def in_process(one: SpawnProcess) -> None:
    """Run it to its end, so that its memory is its own."""
    one.start()
    one.join()
    if one.exitcode:
        raise SystemExit(one.exitcode)


if __name__ == "__main__":
    main(sys.argv[1:])
