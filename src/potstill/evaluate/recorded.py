"""What the finished stages of a run recorded of themselves, for evaluation.json and the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
_TIMED = ("prompts", "collect", "screen", "train")


def stage_facts(folder: Path, stage: str) -> dict[str, Any]:
    """The facts in a stage's marker; none where the stage has not finished."""
    facts: dict[str, Any] = _marker(folder, stage).get("facts", {})
    return facts


def stage_seconds(folder: Path) -> dict[str, float | None]:
    """How long each stage before the evaluation took, None where it has not finished."""
    found = {stage: _marker(folder, stage).get("seconds") for stage in _TIMED}
    return {stage: None if seconds is None else float(seconds) for stage, seconds in found.items()}


def data_facts(folder: Path) -> dict[str, Any]:
    """How many prompts, answers and tokens there were, what became of them, and what they cost."""
    prompts, collected, trained = (stage_facts(folder, name) for name in ("prompts", "collect", "train"))
    screened = stage_facts(folder, "screen")
    rejected = {reason: count for reason, count in collected.get("use", {}).items() if reason != "ok"}
    if screened:  # every reason; an answer may have several
        rejected = {reason: sum(by_split.values()) for reason, by_split in screened["reasons"].items()}
    if collected.get("errors"):
        rejected["error"] = collected["errors"]
    return {
        "prompts_train": prompts.get("train"), "prompts_holdout": prompts.get("holdout"),
        "answers": collected.get("answers"), "answers_trained_on": trained.get("answers"),
        "rejected": rejected if collected else None,
        "train_tokens": trained.get("train_tokens"), "supervised_tokens": trained.get("supervised_tokens"),
        "cost_usd": collected.get("cost_usd"),
        **({"judge_cost_usd": screened["judge"]["cost_usd"]} if "judge" in screened else {}),
        **({"scoring_cost_usd": trained["scoring_cost_usd"]} if "scoring_cost_usd" in trained else {}),
        **({"tokens": _tokens(collected)} if collected else {}),
    }  # fmt: skip


def _tokens(collected: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a server counted; None where the teacher is local."""
    return {name: collected.get(name) for name in _TOKENS} if "base_url" in collected else None


def _marker(folder: Path, stage: str) -> Mapping[str, Any]:
    path = folder / "stages" / f"{stage}.json"
    if not path.exists():
        return {}
    marker: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return marker
