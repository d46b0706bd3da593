"""The report of a run that is half done: which half, and what the stages that are done recorded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from potstill.evaluate.recorded import data_facts, stage_facts, stage_seconds
from potstill.evaluate.reporting.run_files import read_text
from potstill.evaluate.reporting.wording import capital
from potstill.records import StageState

_TONES: Final = {"done": "met", "stale": "undecided", "running": "undecided", "stopped": "undecided"}
_SIGNS: Final = {"done": "✓ done", "stale": "? out of date", "running": "… running", "stopped": "✕ stopped half-way"}
_AS_EARLIER: Final = "What is below was measured before that."


def unfinished_evaluation(folder: Path) -> Mapping[str, Any]:
    """What stands for evaluation.json before there is one: what the stages recorded, and no figures."""
    try:
        recipe = yaml.safe_load(read_text(folder / "recipe.yaml") or "")
    except yaml.YAMLError:
        recipe = None
    name = recipe.get("name") if isinstance(recipe, dict) else None
    return {
        "name": name if isinstance(name, str) else None,
        "data": data_facts(folder),
        "terms": stage_facts(folder, "terms"),
        "seconds": stage_seconds(folder),
    }


def unfinished_decision() -> dict[str, Any]:
    """What stands where the decision would, as `decision_section` words one."""
    return {
        "made": False, "word": "Not finished", "tone": "open", "conditions": [],
        "reason": "There is nothing to decide before the student is evaluated.",
    }  # fmt: skip


def progress_section(stages: Sequence[StageState], *, evaluated: bool) -> dict[str, Any] | None:
    """One row a stage, and in words what is missing; None where nothing is, or nobody asked.

    A student may be evaluated and not exported: then nothing of the report is missing.
    """
    if all(one.state == "done" for one in stages if one.name != "export"):
        return None
    done = [one.name for one in stages if one.state == "done"]
    return {
        "title": "This run has changed since it was evaluated." if evaluated else "This run is half done.",
        "says": f"Done: {', '.join(done) or 'nothing yet'}. {_missing(stages)}"
        + (f" {_AS_EARLIER}" if evaluated else ""),
        "rows": [
            {
                "stage": capital(one.name),
                "tone": _TONES.get(one.state, ""),
                "state": _SIGNS.get(one.state, "not started"),
                # The state stands before it already.
                "words": "" if one.state in ("not started", "running", "stopped") else capital(one.words),
                "progress": one.progress,
            }
            for one in stages
        ],
    }


def _missing(stages: Sequence[StageState]) -> str:
    told = [
        one.name
        + {"stale": " (out of date)", "stopped": " (stopped half-way)", "running": " (running)"}.get(one.state, "")
        for one in stages
        if one.state != "done"
    ]
    return f"Missing: {', '.join(told)}. The same “potstill run” goes on from there."
