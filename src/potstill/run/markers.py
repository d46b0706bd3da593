"""Markers: what a finished stage read and left, as hashes, so that the next start knows whether it still holds."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError
from potstill.ledger import file_hash
from potstill.records import content_hash

ABSENT = "absent"  # stands where the hash of a file would, when there is no such file


@dataclass(frozen=True, slots=True)
class Marker:
    """One finished stage. `inputs` are the parts whose hash is `input_hash`, so that a person sees what changed."""

    stage: str
    input_hash: str
    inputs: Mapping[str, str]  # part of the recipe, outside file or earlier stage: its hash
    outputs: Mapping[str, str]  # path relative to the run folder: SHA-256 of the file
    result_hash: str  # what later stages depend on
    seconds: float
    finished: str  # UTC, ISO 8601
    versions: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)


def hash_or_absent(path: Path) -> str:
    """SHA-256 (hex) of a file, or `ABSENT`."""
    try:
        return file_hash(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ABSENT


def hash_of_all(path: Path) -> str:
    """As `hash_or_absent`; of a folder, one hash over the names and hashes of all files in it."""
    if not path.is_dir():
        return hash_or_absent(path)
    files = sorted(one for one in path.rglob("*") if one.is_file())
    return content_hash({file.relative_to(path).as_posix(): hash_or_absent(file) for file in files})


def hash_outputs(folder: Path, outputs: Iterable[str]) -> dict[str, str]:
    """Hashes of these files of a run folder; of a folder, every file inside. Raises PotstillError for a missing one."""
    hashes: dict[str, str] = {}
    for output in outputs:
        path = folder / output
        files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(folder).as_posix()
            hashes[name] = hash_or_absent(file)
            if hashes[name] == ABSENT:
                raise PotstillError(f"{file}: a stage says that it wrote this file, but it is not there")
    return hashes


def changed_outputs(folder: Path, marker: Marker) -> list[str]:
    """Outputs of a marker that are missing or no longer have the recorded hash."""
    return [name for name, recorded in marker.outputs.items() if hash_or_absent(folder / name) != recorded]


def missing_outputs(folder: Path, marker: Marker) -> list[str]:
    """Outputs of a marker that are not there; quick, because nothing is hashed."""
    return [name for name in marker.outputs if not (folder / name).is_file()]


def marker_path(folder: Path, stage: str) -> Path:
    """Where a stage's marker stands."""
    return folder / "stages" / f"{stage}.json"


def read_marker(folder: Path, stage: str) -> Marker | None:
    """The marker of a stage, or None where the stage has not finished. Raises PotstillError for a damaged one."""
    path = marker_path(folder, stage)
    return read_marker_file(path) if path.exists() else None


def read_marker_file(path: Path) -> Marker:
    """The marker in a file. Raises PotstillError where it is none."""
    try:
        return Marker(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise PotstillError(f"{path}: not a marker ({error}); delete it, and the stage is done again") from None


def marker_text(marker: Marker) -> str:
    """The bytes of a marker's file, which the ledger records the hash of."""
    return json.dumps(asdict(marker), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_durably(path: Path, text: str) -> None:
    """Write a small file so that a crash at any instant leaves the old content or the new, on disk."""
    write_aside(path, text)
    put_in_place(path)


def partial_path(path: Path) -> Path:
    """Where a small file's new content waits until it takes its place."""
    return path.with_name(f".{path.name}.partial")


def write_aside(path: Path, text: str) -> None:
    """Write what `put_in_place` then puts there, so that the ledger can record it in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_path(path).open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def put_in_place(path: Path) -> None:
    """Give what `write_aside` wrote its name, in one step."""
    partial_path(path).replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the rename itself
    finally:
        os.close(descriptor)


def input_hash(stage: str, code_version: int, inputs: Mapping[str, str]) -> str:
    """The hash of everything that a stage's outputs depend on."""
    return content_hash({"stage": stage, "code_version": code_version, "inputs": dict(inputs)})
