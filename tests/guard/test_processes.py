"""Processes that read: none is left behind when the one that started them is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STARTS = """
import time
from potstill.guard.processes import process_pool

if __name__ == "__main__":
    pool = process_pool(2)
    waiting = [pool.submit(time.sleep, 60) for _ in range(2)]
    while not all(one.running() for one in waiting):
        time.sleep(0.05)
    print(*pool._processes, flush=True)
    time.sleep(60)
"""


def test_readers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "starts.py"
    script.write_text(STARTS, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(one) for one in parent.stdout.readline().split()]
    assert len(children) == 2
    assert all(_is_there(one) for one in children)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(_is_there(one) for one in children):
        assert time.monotonic() < deadline, "a reader outlived the process that started it"
        time.sleep(0.05)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
