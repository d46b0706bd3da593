"""The folder of a run's shards: written so that nothing half-made counts, and holding what is needed and no more."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from potstill.errors import PotstillError
from potstill.store.signals.records import Binding, Signals
from potstill.store.signals.shard import Shard, write_shard


def store_shard(path: Path, binding: Binding, sequences: Mapping[str, tuple[str, Signals]]) -> None:
    """`write_shard`. Raises PotstillError where the disk refuses."""
    try:
        write_shard(path, binding, sequences)
    except OSError as error:
        raise PotstillError(f"{path}: cannot be written ({error.strerror}); free space and run again") from None


def intact(path: Path) -> bool:
    """Whether a shard is there and every checksum of it holds; one that is not is simply made again."""
    if not path.exists():
        return False
    try:
        Shard.open(path).check()
    except PotstillError:
        return False
    return True


def keep_only(folder: Path, shards: Sequence[Path], reference: str, revision: str) -> None:
    """Drop shards of earlier recipes, so that the folder holds what this run's answers need and nothing else.

    `reference` and `revision` of the teacher are noted beside them.
    """
    wanted = set(shards)
    for path in folder.iterdir():
        if path.is_dir():  # of a recipe with several teachers
            shutil.rmtree(path)
        elif path not in wanted:
            path.unlink()
    note = {"reference": reference, "revision": revision}
    (folder / "teacher.json").write_text(json.dumps(note) + "\n", encoding="utf-8")
