"""What a pilot left in a run folder: pilot.json, its lines in the ledger, and whether it stops the run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill import ledger
from potstill.config import Recipe
from potstill.errors import Inconclusive, PotstillError, RecipeError
from potstill.progress import Reporter
from potstill.records import content_hash
from potstill.run import inputs
from potstill.run.markers import hash_or_absent, partial_path, put_in_place, write_aside
from potstill.run.record import note, plain

PILOT_FILE = "pilot.json"


def asked_about(recipe: Recipe) -> str:
    """The hash of what a pilot's word on the teacher holds for: prompts, questions and references."""
    return content_hash([inputs.prompts(recipe), inputs.questions(recipe), inputs.evaluate(recipe).get("task")])


def read_pilot(folder: Path) -> Mapping[str, Any] | None:
    """What the last pilot found; None where there was none. Raises PotstillError for a damaged file."""
    path = folder / PILOT_FILE
    if not path.exists():
        return None
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not all(key in found for key in ("inputs", "about", "lines", "stopped", "exit_code")):
            raise ValueError("keys are missing")
    except (OSError, ValueError) as error:
        raise PotstillError(f"{path}: not what a pilot leaves ({error}); delete it and pilot again") from None
    return found


def write_pilot(folder: Path, found: Mapping[str, Any], files: Sequence[str]) -> None:
    """Keep what a pilot found; the ledger has its hash and those of `files` before it counts."""
    text = json.dumps(plain(found), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    path = folder / PILOT_FILE
    write_aside(path, text)
    hashes = {PILOT_FILE: hashlib.sha256(text.encode()).hexdigest()}
    hashes |= {name: hash_or_absent(folder / name) for name in files}
    note(folder, "pilot", {"stopped": found["stopped"], "prompts": found["prompts"], "files": hashes})
    put_in_place(path)


def refuse_after_pilot(recipe: Recipe, folder: Path, despite: str | None, reporter: Reporter) -> None:
    """Stop a run whose pilot said that its teacher is no better than always giving the most frequent label.

    `despite` is the reason why it goes on all the same; the ledger keeps it, and later starts need not give it again.
    """
    if despite is not None and not despite.strip():
        raise RecipeError("--despite-pilot: give the reason why the run goes on all the same")
    found = read_pilot(folder)
    if found is None or not found["stopped"] or found["about"] != asked_about(recipe):
        return
    pilot = hash_or_absent(folder / PILOT_FILE)
    overruled = [one for one in ledger.read(folder / "ledger.jsonl") if one.kind == "pilot_overruled"]
    if despite is not None:
        note(folder, "pilot_overruled", {"pilot_sha256": pilot, "reason": despite.strip()})
        reporter.say(f"pilot: {found['stopped']}; the run goes on all the same: {despite.strip()}")
    elif not any(one.facts["pilot_sha256"] == pilot for one in overruled):
        raise_stopped(str(found["stopped"]), int(found["exit_code"]))


def raise_stopped(reason: str, exit_code: int) -> None:
    """Raise what a pilot that stops its run raises: Inconclusive (5) or PotstillError (1)."""
    kind = Inconclusive if exit_code == Inconclusive.exit_code else PotstillError
    raise kind(
        f"stopped by the pilot: {reason}; look at prompts, labels and teacher, or go on with "
        '`potstill run … --despite-pilot "REASON"`'
    )


def recorded_files(entries: Sequence[ledger.Entry]) -> Mapping[str, str]:
    """The hashes of the files that the last pilot left; none where their rows were withdrawn since."""
    last = next((one for one in reversed(entries) if one.kind in ("pilot", "withdrawal")), None)
    return last.facts["files"] if last is not None and last.kind == "pilot" else {}


def pilot_problems(folder: Path, entries: Sequence[ledger.Entry]) -> list[str]:
    """What of the last pilot's files is missing or changed, one line each."""
    problems = []
    for name, recorded in recorded_files(entries).items():
        if hash_or_absent(folder / name) != recorded:
            waiting = partial_path(folder / name)  # a crash came just before it took its place
            if entries[-1].kind != "pilot" or hash_or_absent(waiting) != recorded:
                problems.append(f"{folder / name}: is not what the last pilot in the ledger left")
    return problems
