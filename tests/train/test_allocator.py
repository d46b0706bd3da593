import platform
import resource
import subprocess
import sys

import pytest

from potstill.train import allocator
from potstill.train.allocator import freed_memory_kept

# A block of 40 MiB, written to and freed five times: how many pages the kernel had to bring.
_FAULTS = """
import ctypes, resource, runpy, sys
from contextlib import nullcontext
freed_memory_kept = runpy.run_path(sys.argv[2])["freed_memory_kept"]  # alone: its package loads torch
size, libc = 40 << 20, ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def use():
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
with freed_memory_kept() if sys.argv[1] == "kept" else nullcontext():
    use()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        use()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory its own way")
def test_a_freed_block_is_used_again_without_new_pages() -> None:
    faults = {}
    for way in ("kept", "usual"):
        command = [sys.executable, "-c", _FAULTS, way, allocator.__file__]
        faults[way] = int(subprocess.run(command, capture_output=True, check=True).stdout)
    pages = (40 << 20) // resource.getpagesize()
    assert faults["kept"] < pages / 10
    assert faults["usual"] > 4 * pages


def test_it_ends_with_the_block_that_it_wraps() -> None:
    with pytest.raises(RuntimeError, match="inside"), freed_memory_kept():
        raise RuntimeError("inside")
    with freed_memory_kept():
        pass
