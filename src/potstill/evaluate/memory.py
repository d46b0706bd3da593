"""Run as a process of its own: loads model folders, each in a copy of its own, and prints their peak resident memory.

Importing takes ten times as long as loading a small model, so it is done once and each model gets a fork of this
process, taken before there is anything of another in it.
"""

import json
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def main() -> None:
    """Read [{"folder", "prompt": token ids, "new_tokens": n}, ...] from standard input; print bytes, a line a model."""
    import potstill.evaluate.speed
    import potstill.models.local  # noqa: F401  here, so that no fork has to

    libraries = _status_bytes("RssFile") or 0
    for job in json.load(sys.stdin):
        sys.stdout.flush()
        if (child := os.fork()) == 0:
            _measure(job, libraries - (_status_bytes("RssFile") or 0))
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(os.waitstatus_to_exitcode(status))


def _measure(job: Mapping[str, Any], uncounted: int) -> None:
    """Load one model, answer its prompt, print the peak; ends the process where that fails.

    `uncounted` bytes of library files are in memory, but do not count as a fork's until it touches them. All of them
    are added, though it touches some: rather too much than too little, and the same for every model.
    """
    from potstill.evaluate.speed import time_models
    from potstill.models.local import LocalModel

    try:
        model = LocalModel.load(Path(job["folder"]))
        time_models({"model": model}, {"model": [[job["prompt"]]]}, job["new_tokens"])
        print(_peak_bytes() + uncounted)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _peak_bytes() -> int:
    """This program's own peak. Linux keeps ru_maxrss across exec, so there it would be the parent's; VmHWM is not."""
    if (found := _status_bytes("VmHWM")) is not None:
        return found
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others KiB


def _status_bytes(field: str) -> int | None:
    """A size that Linux tells of this process; None elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


if __name__ == "__main__":
    main()
