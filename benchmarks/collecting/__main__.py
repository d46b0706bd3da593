"""Collecting beside other tools: requests a second, each side in turn, medians; then a million rows, and kills.

    make benchmark-collecting
    .venv/bin/python benchmarks/collecting .peers potstill aiohttp    # some sides only, and no more than the speeds

One client process on one core, the server on another. Peers run in environments of their own under .peers, which the
command makes. Ours keeps every answer in the journal, durably; none of the others' does. Takes some ten minutes.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kills import killed
from loopback import BODY_BYTES, CLIENT_CORE, DELAY_S, nginx, slow_server
from resume import resumed

HERE = Path(__file__).parent
ROUNDS = 3
OURS = "potstill"
ENVIRONMENTS = {
    "aiohttp": "clients", "httpx2": "clients", "httpx": "clients", "openai": "clients", "openai+aiohttp": "clients",
    "litellm": "litellm", "curator": "curator", "data-designer": "data-designer", "distilabel": "distilabel",
}  # fmt: skip
TOOLS = ("litellm", "curator", "data-designer", "distilabel")
REQUESTS = {OURS: 10_000, "aiohttp": 10_000}  # enough for some seconds each
REQUESTS_OF_OTHERS = 1000
# Half a minute each, so that the first second, in which the window opens from 16 to 512, hardly counts.
SLOW = {OURS: 60_000, "aiohttp": 60_000}
SLOW_OF_OTHERS = 3000


def main(peers: Path, only: Sequence[str] = ()) -> None:
    print(f"{os.cpu_count()} cores, one for the client; bodies of {BODY_BYTES} bytes; medians of {ROUNDS} rounds")
    with nginx() as url:
        rates = measure(peers, url, 64, REQUESTS, REQUESTS_OF_OTHERS, only)
    report("nginx on loopback, concurrency 64", rates)
    with slow_server() as url:
        rates = measure(peers, url, 512, SLOW, SLOW_OF_OTHERS, only)
    report(f"a server that answers after {DELAY_S * 1000:.0f} ms, concurrency 512 (ideal {512 / DELAY_S:,.0f})", rates)
    if only:
        return
    found = resumed(1_000_000)
    print(f"\n1,000,000 rows: first request after {found['first_request_s']:.1f} s, peak {found['peak_mib']:.0f} MiB")
    print("\nSIGKILL at random moments: " + ", ".join(f"{value:,} {name}" for name, value in killed(2000, 20).items()))


def measure(
    peers: Path, url: str, concurrency: int, counts: dict[str, int], others: int, only: Sequence[str]
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name in (OURS, *ENVIRONMENTS) if not only or name in only}
    for _ in range(ROUNDS):
        for name in found:
            number = counts.get(name, others)
            if (rate := run(name, peers, [url, str(number), str(concurrency)])) is not None:
                found[name].append(rate)
    return found


def run(name: str, peers: Path, arguments: list[str]) -> dict[str, Any] | None:
    if name == OURS:
        command = [sys.executable, str(HERE / "potstill_side.py"), *arguments]
    else:
        python = peers / ENVIRONMENTS[name] / "bin" / "python"
        command = [str(python), str(HERE / "client_side.py"), name, *arguments]
    done = subprocess.run(["taskset", "-c", CLIENT_CORE, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: did not run: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return None
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(title: str, found: dict[str, list[Any]]) -> None:
    print(f"\n{title}: requests a second")
    medians = {name: statistics.median(one["rate"] for one in many) for name, many in found.items() if many}
    for name, rate in sorted(medians.items(), key=lambda item: -item[1]):
        rates = [one["rate"] for one in found[name]]
        print(f"  {name} {found[name][0]['version']}: {rate:,.0f} ({min(rates):,.0f} to {max(rates):,.0f})")
    tools = [medians[name] for name in TOOLS if name in medians]
    if tools and OURS in medians:
        print(f"  Potstill is {medians[OURS] / max(tools):.1f} times the best of the tools", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".peers"), sys.argv[2:])
