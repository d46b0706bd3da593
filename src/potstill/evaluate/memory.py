"""Run as a process of its own: loads one model folder, answers one prompt, prints its peak resident memory in bytes."""

import json
import resource
import sys
from pathlib import Path


def main() -> None:
    """Read {"prompt": token ids, "new_tokens": n} from standard input; the model folder is the only argument."""
    from potstill.evaluate.speed import time_models
    from potstill.models.local import LocalModel

    job = json.load(sys.stdin)
    model = LocalModel.load(Path(sys.argv[1]))
    time_models({"model": model}, {"model": [job["prompt"]]}, job["new_tokens"])
    print(_peak_bytes())


def _peak_bytes() -> int:
    """This program's own peak. Linux keeps ru_maxrss across exec, so there it would be the parent's; VmHWM is not."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others KiB


if __name__ == "__main__":
    main()
