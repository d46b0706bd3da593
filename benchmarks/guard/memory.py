"""The most memory that this program and its children held together, looked at every 50 ms; needs Linux's /proc."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EVERY_S = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")


@contextmanager
def watched() -> Iterator[list[int]]:
    """A list of one number: the largest sum so far, in bytes. Pages that processes share count in each."""
    peak, done = [_resident(os.getpid())], threading.Event()

    def look() -> None:
        while not done.wait(_EVERY_S):
            peak[0] = max(peak[0], _resident(os.getpid()))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield peak
    finally:
        done.set()
        looking.join()


def _resident(process: int) -> int:
    """Of a process and all below it; one that has ended meanwhile counts nothing."""
    folder = Path("/proc", str(process))
    try:
        held = int((folder / "statm").read_text().split()[1]) * _PAGE
        children = [int(one) for file in folder.glob("task/*/children") for one in file.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return held + sum(map(_resident, children))
