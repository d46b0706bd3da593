"""Checks that nothing in a run folder was changed since it was recorded: files, markers, the ledger's chain."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from potstill import ledger
from potstill.errors import PotstillError
from potstill.records import content_hash
from potstill.run.folder import read_recipe, require_run
from potstill.run.markers import ABSENT, Marker, hash_or_absent, marker_path, read_marker
from potstill.run.stages import STAGES, resolved

# Folders that are handed on: whatever lies in them without having been recorded is a finding.
_CLOSED_FOLDERS = ("student", "signals", "export")


def verify(folder: Path) -> list[str]:
    """What is wrong in a run folder, one readable line each; empty where everything is as it was recorded.

    Raises RecipeError where the folder is not a run. Whoever can rewrite the folder can rewrite the whole ledger with
    it: keep the hash of its last line (`summary` gives it) somewhere else to rule that out.
    """
    require_run(folder)
    problems = ledger.verify(folder / "ledger.jsonl")
    try:
        entries = ledger.read(folder / "ledger.jsonl")
    except PotstillError:
        entries = None  # `ledger.verify` has said which line; what the ledger records cannot be compared then
    if entries is not None:
        problems.extend(_recipe_problems(folder, entries))
    recorded: dict[str, str] = {}
    for stage in STAGES:
        try:
            marker = read_marker(folder, stage.name)
        except PotstillError as error:
            problems.append(str(error))
            continue
        if entries is not None:
            problems.extend(_marker_problems(folder, stage.name, marker, entries))
        if marker is not None:
            recorded |= marker.outputs
            problems.extend(_output_problems(folder, marker))
    problems.extend(_strangers(folder, recorded))
    return list(dict.fromkeys(problems))


def summary(folder: Path) -> str:
    """What `verify` looked at, in one line, with the ledger's last hash: keep that elsewhere."""
    entries = ledger.read(folder / "ledger.jsonl")
    markers = [(stage.name, read_marker(folder, stage.name)) for stage in STAGES]
    files = sum(len(marker.outputs) for _, marker in markers if marker is not None)
    open_stages = [name for name, marker in markers if marker is None]
    left = f"; not finished: {', '.join(open_stages)}" if open_stages else ""
    head = entries[-1].hash if entries else ledger.NO_PREVIOUS
    return f"{folder}: {files:,} files and {len(entries):,} ledger lines are as recorded{left}; ledger head {head}"


def _recipe_problems(folder: Path, entries: list[ledger.Entry]) -> Iterator[str]:
    runs = [entry for entry in entries if entry.kind == "run"]
    if not runs:
        yield f"{folder / 'ledger.jsonl'}: records no run"
        return
    try:
        found = content_hash(dict(resolved(read_recipe(folder))))
    except PotstillError as error:
        yield str(error)
        return
    if found != runs[-1].facts.get("recipe_sha256"):
        yield f"{folder / 'recipe.yaml'}: is not the recipe that line {runs[-1].line} of the ledger recorded"


def _marker_problems(folder: Path, stage: str, marker: Marker | None, entries: list[ledger.Entry]) -> Iterator[str]:
    """A marker has to be the one that the ledger's last word on the stage recorded."""
    path = marker_path(folder, stage)
    about = [one for one in entries if one.facts.get("stage") == stage and one.kind.startswith("stage_")]
    last = about[-1] if about else None
    finished = last is not None and last.kind == "stage_finished"
    if marker is None:
        if finished and last is not None:
            yield f"{path}: missing, although line {last.line} of the ledger records that the stage finished"
        return
    if last is None or not finished:
        yield f"{path}: the ledger does not record that this stage finished"
    elif last.facts.get("marker_sha256") != hash_or_absent(path):
        yield f"{path}: is not the marker that line {last.line} of the ledger recorded"
    elif dict(last.facts.get("outputs", {})) != dict(marker.outputs):
        yield f"{path}: lists other outputs than line {last.line} of the ledger"


def _output_problems(folder: Path, marker: Marker) -> Iterator[str]:
    for name, recorded in marker.outputs.items():
        found = hash_or_absent(folder / name)
        if found == ABSENT:
            yield f"{folder / name}: missing; the {marker.stage} stage recorded it"
        elif found != recorded:
            yield (
                f"{folder / name}: changed since the {marker.stage} stage recorded it "
                f"(sha256 {found[:12]}… instead of {recorded[:12]}…)"
            )


def _strangers(folder: Path, recorded: Mapping[str, Any]) -> Iterator[str]:
    for closed in _CLOSED_FOLDERS:
        for path in sorted((folder / closed).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name not in recorded:
                yield f"{path}: no stage recorded this file"
