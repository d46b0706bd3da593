"""Files that are there whole or not at all, whenever the process is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from potstill.errors import PotstillError


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write into; it takes the name `path`, synced to the disk, when the block ends without an error.

    Raises PotstillError where the system cannot write it, such as on a full disk.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise PotstillError(
            f"{path}: cannot be written ({error.strerror or error}); free space and run again"
        ) from None
