"""Where a run stands: every stage, how far the current one has come, the decision. Reads only, hashes no weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from potstill import ledger
from potstill.config import Recipe
from potstill.errors import PotstillError
from potstill.records import Progress, StageState
from potstill.run.folder import is_locked, read_recipe
from potstill.run.markers import input_hash, missing_outputs, read_marker
from potstill.run.pilot_record import read_pilot
from potstill.run.stages import STAGES, Stage, stage_inputs
from potstill.run.summary import read_decision

_SPLIT_WORDS = {"train": "to train on", "holdout": "held out"}


def status(folder: Path) -> list[str]:
    """One line a stage, then progress and the decision. Raises RecipeError where the folder is not a run."""
    recipe = read_recipe(folder)
    lines = [f"{recipe.name} in {folder}{': a process is working on it' if is_locked(folder) else ''}"]
    for one in stage_states(recipe, folder):
        lines.append(f"  {one.name:<9} {one.words}")
        lines.extend(f"  {'':<9} {line}" for line in one.progress)
    if (pilot := read_pilot(folder)) is not None:
        lines.append(str(pilot["lines"][-1]))
    if (folder / "evaluation.json").is_file():
        decision = read_decision(folder)
        lines.append(f"decision: {decision['word']} ({decision['reason']})")
        lines.append(f"report: {folder / 'report.html'}")
    return lines


def stage_states(recipe: Recipe, folder: Path) -> list[StageState]:
    """How far every stage of a run is, in their order."""
    running, latest = is_locked(folder), _latest_started(folder)
    return [_stage(stage, recipe, folder, running, latest) for stage in STAGES]


def _stage(stage: Stage, recipe: Recipe, folder: Path, running: bool, latest: str | None) -> StageState:
    def found(state: Progress, words: str) -> StageState:
        return StageState(stage.name, state, words, tuple(_progress(stage, folder)))

    marker = read_marker(folder, stage.name)
    if marker is None:
        if latest != stage.name:
            return found("not started", "not started")
        if running:
            return found("running", "running")
        return found("stopped", "stopped half-way; the same `potstill run` goes on")
    took = f"in {marker.seconds:,.1f} s, {marker.finished}"
    if missing := missing_outputs(folder, marker):
        return found("stale", f"stale: {missing[0]} is missing (was done {took})")
    if changed := _changed_inputs(stage, recipe, folder, marker.input_hash, marker.inputs):
        return found("stale", f"stale: {', '.join(changed)} changed (was done {took})")
    return found("done", f"done {took}")


def _changed_inputs(stage: Stage, recipe: Recipe, folder: Path, recorded: str, parts: Any) -> list[str]:
    """The inputs that are no longer what the marker says; "the code" where only that is."""
    try:
        now = stage_inputs(stage, recipe, folder)
    except PotstillError as error:
        return [f"cannot be told ({error}), so something"]
    if input_hash(stage.name, stage.code_version, now) == recorded:
        return []
    return [name for name in now if now[name] != parts.get(name)] or ["the stage's code"]


def _latest_started(folder: Path) -> str | None:
    path = folder / "ledger.jsonl"
    if not path.is_file():
        return None
    started = [one.facts.get("stage") for one in ledger.read(path) if one.kind == "stage_started"]
    return str(started[-1]) if started else None


def _progress(stage: Stage, folder: Path) -> Sequence[str]:
    match stage.name:
        case "collect":
            return _answers(folder)
        case "screen":
            return _screened(folder)
        case "train":
            return _last_step(folder / "metrics.jsonl")
        case _:
            return ()


def _answers(folder: Path) -> list[str]:
    if not (folder / "answers.sqlite").is_file():
        return []
    from potstill.store.batches import BatchLog
    from potstill.store.journal import Journal

    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        counts = journal.counts()
        failures = journal.common_errors()
    with BatchLog(folder / "answers.sqlite", read_only=True) as log:
        batches = log.under_way()
    kinds = ", ".join(f"{number:,} {use}" for use, number in counts.use.items())
    lines = [f"{counts.done:,} of {counts.total:,} answers{f' ({kinds})' if kinds else ''}, {counts.error:,} errors"]
    lines += [
        f"batch {one.batch_id or 'not submitted yet'}: {one.status or one.state}, {one.requests:,} requests"
        for one in batches
    ]
    return lines + [f"error in {number:,} requests: {words}" for words, number in failures]


def _screened(folder: Path) -> list[str]:
    """What screening left out, by reason; an answer may have several."""
    marker = read_marker(folder, "screen")
    if marker is None:
        return []
    facts = marker.facts
    used = " and ".join(f"{facts['used'][split]:,} {words}" for split, words in _SPLIT_WORDS.items())
    lines = [f"of {facts['answers']:,} answers used: {used}"]
    for reason, by_split in facts["reasons"].items():
        parts = ", ".join(f"{by_split[split]:,} {words}" for split, words in _SPLIT_WORDS.items() if by_split[split])
        lines.append(f"left out as {reason}: {parts}")
    if judge := facts.get("judge"):
        cost = "cost unknown" if judge["cost_usd"] is None else f"{judge['cost_usd']:.4f} USD"
        lines.append(f"judged by {judge['model']}: {judge['scored']:,} of {judge['answers']:,} answers, {cost}")
    return lines


def _last_step(path: Path) -> list[str]:
    """The newest whole line of the training log; the last one may be half written."""
    if not path.is_file():
        return []
    for line in reversed(path.read_text(encoding="utf-8").splitlines()):
        try:
            one = json.loads(line)
            return [f"step {one['step']:,} of {one['steps']:,}, loss {one['loss']:.4f}, {one['seconds']:,.0f} s"]
        except (ValueError, KeyError, TypeError):
            continue
    return []
