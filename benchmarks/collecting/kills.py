"""SIGKILL at random moments: what the server sees twice, what the journal keeps, and whether its file is whole."""

import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "servers"))

from scripted_server import ScriptedServer, answer

CONCURRENCY = 64
DELAY_S = 0.02


def killed(number: int, kills: int, seed: int = 1) -> dict[str, int]:
    """What happened in so many kills and a last run to the end; the last three counts must be 0."""
    moments = random.Random(seed)
    with ScriptedServer(lambda _: answer(delay_s=DELAY_S)) as server, tempfile.TemporaryDirectory(dir=".") as home:
        command = [sys.executable, __file__, server.base_url, str(number), home]
        in_flight: Counter[str] = Counter()
        broken = 0
        for _ in range(kills):
            seen = len(server.calls)
            process = subprocess.Popen(command)
            while len(server.calls) == seen and process.poll() is None:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 2 * number / kills * DELAY_S / CONCURRENCY))
            process.send_signal(signal.SIGKILL)
            process.wait()
            found, checked = sent(Path(home, "answers.sqlite"))
            in_flight.update(found)
            broken += checked != "ok"
        subprocess.run(command, check=True)
        times = server.prompts
        over = sum(count > 1 + in_flight[prompt] for prompt, count in times.items())
        done, checked = outcome(Path(home, "answers.sqlite"))
        assert len(times) == number, "a request was never sent"
        return {
            "kills": kills, "requests": number, "repeated": len(server.calls) - number,
            "in flight at the kills": in_flight.total(), "repeated too often": over, "without an answer": number - done,
            "damaged": broken + (checked != "ok"),
        }  # fmt: skip


def sent(path: Path) -> tuple[list[str], str]:
    """The prompts that the killed process had in flight, by its journal, and whether that is whole."""
    db = sqlite3.connect(path)
    try:
        query = "SELECT json_extract(request, '$.body.messages[#-1].content') FROM requests WHERE state = 'sent'"
        return [row[0] for row in db.execute(query)], db.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        db.close()


def outcome(path: Path) -> tuple[int, str]:
    db = sqlite3.connect(path)
    try:
        query = "SELECT count(*) FROM requests WHERE state = 'done' AND text = 'fine'"
        return db.execute(query).fetchone()[0], db.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        db.close()


def main(url: str, number: int, folder: Path) -> None:
    from potstill_side import CLEARANCE, prompts, recipe

    from potstill.collect.endpoint import collect_endpoint
    from potstill.progress import Silent

    collect_endpoint(recipe(url, CONCURRENCY), CLEARANCE, list(prompts(number)), folder, Silent())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
