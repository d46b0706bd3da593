"""Exporting a finished run by itself, also one whose student is refused, if a person says why."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill import ledger
from potstill.errors import PotstillError
from potstill.export.refusal import refusal
from potstill.progress import Reporter, Silent
from potstill.run.folder import locked, read_recipe
from potstill.run.markers import changed_outputs, read_marker
from potstill.run.record import note
from potstill.run.summary import read_decision

_KIND = "despite"


def despite(folder: Path) -> str | None:
    """Why this run's student is exported despite its decision; None where nobody said so of its present evaluation."""
    marker, path = read_marker(folder, "evaluate"), folder / "ledger.jsonl"
    if marker is None or not path.is_file():
        return None
    said = [one.facts for one in ledger.read(path) if one.kind == _KIND]
    return str(said[-1]["reason"]) if said and said[-1]["evaluation"] == marker.result_hash else None


def export_run(folder: Path, reason: str | None = None, reporter: Reporter | None = None) -> Path:
    """Export the student of a run folder that has been evaluated; gives the folder of the export.

    `reason` says why a student that was refused goes out all the same: it is written into the ledger before anything is
    exported, and holds for this evaluation only. Raises NotAccepted (exit code 3) or Inconclusive (5) for a refused
    student without one, PotstillError where the run has not come so far, or where nothing is refused.
    """
    from potstill.run.pipeline import run_stage
    from potstill.run.stages import STAGES

    recipe = read_recipe(folder)
    said = " ".join(reason.split()) if reason is not None else None
    if said == "":
        raise PotstillError('--despite: say why in a few words, such as --despite "a demo, not for customers"')
    with locked(folder):
        _check_evaluated(folder)
        decision = read_decision(folder)
        refused = refusal(recipe, decision)
        if refused is not None and said is None and despite(folder) is None:
            raise type(refused)(str(refused).replace("export RUN", f"export {folder}"))
        if said is not None and refused is None:
            raise PotstillError(f"--despite: {folder} is not refused ({decision['word']}); leave it out")
        if said is not None and said != despite(folder):
            note(folder, _KIND, _facts(folder, decision, said))
        run_stage(STAGES[-1], recipe, folder, reporter or Silent())
    return folder / "export"


def _check_evaluated(folder: Path) -> None:
    marker = read_marker(folder, "evaluate")
    if marker is None:
        raise PotstillError(f"{folder}: is not evaluated yet; `potstill run` goes on from where it is")
    if changed := changed_outputs(folder, marker):
        raise PotstillError(f"{folder}: {changed[0]} is missing or was changed; `potstill run` evaluates it again")


def _facts(folder: Path, decision: Mapping[str, Any], reason: str) -> dict[str, Any]:
    marker = read_marker(folder, "evaluate")
    return {
        "reason": reason,
        "decision": decision["word"],
        "decision_reason": decision["reason"],
        "evaluation": marker.result_hash if marker is not None else None,
    }
