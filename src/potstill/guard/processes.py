"""Processes that read files side by side, and end when the one that started them is killed."""

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait


def process_pool(processes: int) -> ProcessPoolExecutor:
    """A pool of fresh processes: forking beside the threads of libraries is not safe."""
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Without it, a process whose parent was killed waits for more work for ever, with all of its memory."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
