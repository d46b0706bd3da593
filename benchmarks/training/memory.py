"""Peak resident memory of this process."""

from pathlib import Path


def peak_bytes() -> int:
    """VmHWM in bytes; ru_maxrss would survive exec and report the parent's peak in a child."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status: this benchmark needs Linux")
