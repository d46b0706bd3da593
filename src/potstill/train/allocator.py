"""Has the C library keep freed memory during training: every step asks for the same large blocks again."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# malloc.h of glibc. Blocks of some 32 MiB and more would otherwise go back to the kernel when they are freed, and the
# next step pays for every page of them anew: a fault and 4 KiB of zeros. What torch allocates on a GPU is not touched.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEPT = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20}
_USUAL = {_MMAP_MAX: 65536, _TRIM_THRESHOLD: 128 << 10, _TOP_PAD: 128 << 10}


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside it, freed memory stays with the process; after it, all that is free goes back. Nothing without glibc."""
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    _set(library, _KEPT)
    try:
        yield
    finally:
        _set(library, _USUAL)
        library.malloc_trim(0)


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for name, value in values.items():
        library.mallopt(name, value)
