"""Checks that nothing in a run folder was changed since it was recorded: files, markers, the ledger's chain."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from potstill import ledger
from potstill.errors import PotstillError
from potstill.records import content_hash
from potstill.run.folder import require_run
from potstill.run.markers import (
    ABSENT,
    Marker,
    hash_or_absent,
    marker_path,
    partial_path,
    read_marker_file,
)
from potstill.run.pilot_record import pilot_problems, recorded_files
from potstill.run.stages import STAGES

# Folders of which every file is recorded, and the stages that fill them: whatever else lies in them is a finding.
_CLOSED_FOLDERS = {"student": ("train",), "signals": ("collect", "train"), "export": ("export",)}
_OWN = ("recipe.yaml", "ledger.jsonl", "ledger.head")
# Files of no content: locks, and the index of a journal's write-ahead log, which SQLite makes anew.
_EMPTY = (".lock", "-shm")
_LOGS = ("-wal", "-journal")  # of SQLite
_UNFINISHED = (".part", ".partial")
_NAMED = 5  # files that the summary names
# A stage's marker goes after one of these lines; a crash can leave it.
_REOPENING = ("stage_started", "stage_reopened", "stage_withdrawn")


def verify(folder: Path, only: Collection[str] | None = None) -> list[str]:
    """What is wrong in a run folder, one readable line each; empty where everything is as it was recorded.

    `only`: of the stages' files look at these alone, by path in the folder; the ledger and all markers count as ever.
    Raises RecipeError where the folder is not a run. Whoever can rewrite the folder can rewrite the whole ledger with
    it: sign it (`potstill sign`), or keep the hash of its last line (`summary` gives it) somewhere else.
    """
    require_run(folder)
    problems = ledger.verify(folder / "ledger.jsonl")
    entries = _entries(folder)
    if entries is not None:
        problems.extend(_recipe_problems(folder, entries))
        problems.extend(_signature_problems(folder, entries))
        problems.extend(pilot_problems(folder, entries))
    markers: dict[str, Marker] = {}
    for stage in STAGES:
        try:
            found = _standing_marker(folder, stage.name, entries)
        except PotstillError as error:
            problems.append(str(error))
            continue
        if entries is not None:
            problems.extend(_marker_problems(folder, stage.name, found, entries))
        if found is not None:
            markers[stage.name] = found[1]
            problems.extend(_output_problems(folder, found[1], only))
    if only is None:
        problems.extend(_strangers(folder, markers, entries or ()))
    return list(dict.fromkeys(problems))


def summary(folder: Path) -> str:
    """What `verify` looked at, in one line, with the ledger's last hash: keep that elsewhere."""
    entries = ledger.read(folder / "ledger.jsonl")
    found = {str(stage.name): _standing_marker(folder, stage.name, entries) for stage in STAGES}
    markers: dict[str, Marker] = {name: one[1] for name, one in found.items() if one is not None}
    files = sum(len(marker.outputs) for marker in markers.values())
    open_stages = [name for name in found if name not in markers]
    left = f"; not finished: {', '.join(open_stages)}" if open_stages else ""
    if others := unrecorded(folder, markers, entries):
        more = ", …" if len(others) > _NAMED else ""
        left += f"; no finished stage recorded {', '.join(others[:_NAMED])}{more}"
    if signed := last_signing(entries):
        left += f"; signed at line {signed.facts['line']}"
    head = entries[-1].hash if entries else ledger.NO_PREVIOUS
    return f"{folder}: {files:,} files and {len(entries):,} ledger lines are as recorded{left}; ledger head {head}"


def last_signing(entries: Sequence[ledger.Entry]) -> ledger.Entry | None:
    """The newest line that records signatures."""
    return next((one for one in reversed(entries) if one.kind == "signed"), None)


def unrecorded(folder: Path, markers: Mapping[str, Marker], entries: Sequence[ledger.Entry]) -> list[str]:
    """The files of a run folder that neither these markers nor the ledger vouch for, by path in the folder."""
    known = {*_OWN, *(f"stages/{stage.name}.json" for stage in STAGES)}
    known |= {name for marker in markers.values() for name in marker.outputs}
    known |= {name for one in entries if one.kind == "signed" for name in one.facts["files"]}
    known |= set(recorded_files(entries))
    found = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in known and not name.endswith(_EMPTY) and not (name.endswith(_LOGS) and not path.stat().st_size):
            found.append(name)
    return found


def _entries(folder: Path) -> list[ledger.Entry] | None:
    try:
        return ledger.read(folder / "ledger.jsonl")
    except PotstillError:
        return None  # `ledger.verify` has said which line; what the ledger records cannot be compared then


def _recipe_problems(folder: Path, entries: Sequence[ledger.Entry]) -> Iterator[str]:
    """The recipe is the one of the last run, to the byte; a crash may leave that of the run before."""
    path = folder / "recipe.yaml"
    runs = [entry for entry in entries if entry.kind == "run"]
    if not runs:
        yield f"{folder / 'ledger.jsonl'}: records no run"
        return
    last, before = runs[-1], runs[-2] if len(runs) > 1 else None
    if _is_recipe(path, last):
        return
    waiting = last is entries[-1] and _is_recipe(partial_path(path), last)
    if not (waiting and before is not None and _is_recipe(path, before)):
        yield f"{path}: is not the recipe that line {last.line} of the ledger recorded"


def _is_recipe(path: Path, entry: ledger.Entry) -> bool:
    if "recipe_file_sha256" in entry.facts:
        return bool(entry.facts["recipe_file_sha256"] == hash_or_absent(path))
    try:  # a run of before its bytes were recorded: the content that the file had then, whatever keys there are now
        return content_hash(yaml.safe_load(path.read_text(encoding="utf-8"))) == entry.facts.get("recipe_sha256")
    except (OSError, ValueError, TypeError, yaml.YAMLError):
        return False


def _standing_marker(
    folder: Path, stage: str, entries: Sequence[ledger.Entry] | None
) -> tuple[Path, Marker] | None:  # fmt: skip
    """A stage's marker and its file; where a crash came just before it took its place, the one that waits for that.

    Raises PotstillError where it is damaged.
    """
    path = marker_path(folder, stage)
    if path.exists():
        return path, read_marker_file(path)
    last = entries[-1] if entries else None
    if last is None or last.kind != "stage_finished" or last.facts.get("stage") != stage:
        return None
    waiting = partial_path(path)
    return (waiting, read_marker_file(waiting)) if waiting.exists() else None


def _marker_problems(
    folder: Path, stage: str, found: tuple[Path, Marker] | None, entries: Sequence[ledger.Entry]
) -> Iterator[str]:
    """A marker has to be the one that the ledger's last word on the stage recorded."""
    about = [one for one in entries if one.facts.get("stage") == stage and one.kind.startswith("stage_")]
    finished = [one for one in about if one.kind == "stage_finished"]
    # The last line takes back what was finished before, and the process ended before the marker went.
    crashed = bool(about) and about[-1] is entries[-1] and about[-1].kind in _REOPENING
    last = finished[-1] if finished and (about[-1] is finished[-1] or (crashed and found is not None)) else None
    if found is None:
        if last is not None:
            path = marker_path(folder, stage)
            yield f"{path}: missing, although line {last.line} of the ledger records that the stage finished"
        return
    path, marker = found
    if last is None:
        yield f"{path}: the ledger does not record that this stage finished"
    elif last.facts.get("marker_sha256") != hash_or_absent(path):
        yield f"{path}: is not the marker that line {last.line} of the ledger recorded"
    elif dict(last.facts.get("outputs", {})) != dict(marker.outputs):
        yield f"{path}: lists other outputs than line {last.line} of the ledger"


def _output_problems(folder: Path, marker: Marker, only: Collection[str] | None) -> Iterator[str]:
    for name, recorded in marker.outputs.items():
        if only is not None and name not in only:
            continue
        path = folder / name
        found = hash_or_absent(path)
        if found == ABSENT:
            yield f"{path}: missing; the {marker.stage} stage recorded it"
        elif found != recorded:
            yield (
                f"{path}: changed since the {marker.stage} stage recorded it "
                f"(sha256 {found[:12]}… instead of {recorded[:12]}…)"
            )
        if path.suffix == ".sqlite":
            yield from _log_problems(path)


def _signature_problems(folder: Path, entries: Sequence[ledger.Entry]) -> Iterator[str]:
    """The files of every signing are as they were when it ended; whether they fit takes a key (`run.signing`)."""
    for one in entries:
        for name, recorded in one.facts["files"].items() if one.kind == "signed" else ():
            if (found := hash_or_absent(folder / name)) != recorded:
                what = "missing" if found == ABSENT else "changed"
                yield f"{folder / name}: {what} since line {one.line} of the ledger recorded it"


def _log_problems(path: Path) -> Iterator[str]:
    """SQLite reads these files with the database: what stands in them counts, although its own bytes are the same."""
    for log in (path.with_name(path.name + end) for end in _LOGS):
        if log.is_file() and log.stat().st_size:
            yield f"{log}: changes what {path.name} says, and no stage recorded it"


def _strangers(folder: Path, markers: Mapping[str, Marker], entries: Sequence[ledger.Entry]) -> Iterator[str]:
    """Files that nobody recorded in folders where everything is; a stage that has not finished may still be at it."""
    filled = {name.partition("/")[0] for marker in markers.values() for name in marker.outputs}
    for name in unrecorded(folder, markers, entries):
        top, _, inside = name.partition("/")
        stages = _CLOSED_FOLDERS.get(top, ())
        if top == "stages" and not name.endswith(_UNFINISHED):
            yield f"{folder / name}: is the marker of no stage"
        elif inside and stages and (top in filled or all(stage in markers for stage in stages)):
            yield f"{folder / name}: no stage recorded this file"
