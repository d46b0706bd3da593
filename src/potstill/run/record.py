"""What a run writes into its ledger besides the stages' own lines, and how a stage is taken back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill import ledger
from potstill.run.markers import marker_path


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON holds them (tuples become lists), so that what is compared is what was written."""
    data: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return data


def note(folder: Path, kind: str, facts: Mapping[str, Any]) -> None:
    """Add a line to the run's ledger."""
    ledger.append(folder / "ledger.jsonl", kind, plain(facts))


def reopen(folder: Path, stage: str, reason: str) -> None:
    """Take back, in the ledger and by its marker, that a stage has finished, because its files are about to change."""
    if marker_path(folder, stage).exists():
        note(folder, "stage_reopened", {"stage": stage, "reason": reason})
        marker_path(folder, stage).unlink()
