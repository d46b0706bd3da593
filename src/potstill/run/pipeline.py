"""Runs the stages of one recipe in one folder: skips what still holds, does the rest, and writes the ledger."""

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from potstill.config import Recipe, load_recipe
from potstill.errors import Inconclusive, NotAccepted
from potstill.export.refusal import refusal
from potstill.progress import Reporter, Silent
from potstill.records import content_hash
from potstill.run.despite import despite
from potstill.run.folder import create_folder, default_folder, find_recipe, locked, write_recipe
from potstill.run.inputs import resolved
from potstill.run.markers import (
    Marker,
    changed_outputs,
    hash_outputs,
    input_hash,
    marker_path,
    marker_text,
    put_in_place,
    read_marker,
    write_aside,
)
from potstill.run.pilot_record import refuse_after_pilot
from potstill.run.record import note, plain, reopen
from potstill.run.stages import Stage, perform, result_hash, stage_inputs, stages_until
from potstill.run.summary import read_decision, summary_lines
from potstill.run.terms_stage import record_decision
from potstill.run.versions import versions


def run(
    recipe_path: Path | str,
    out: Path | None = None,
    until: str | None = None,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
    *,
    retry_errors: bool = False,
    despite_pilot: str | None = None,
) -> Path:
    """Load a recipe and run it in `out`, by default runs/NAME; gives the run folder.

    `retry_errors` asks again what ended as an error row, what the server refused for good included.
    `despite_pilot` is the reason to go on although a pilot (`run_pilot`) stopped the run.

    Raises RecipeError (exit code 2), NotAccepted (3), TermsStopped (4), Inconclusive (5) or PotstillError (1). What was
    done before stays, and the next call goes on from there.
    """
    recipe = load_recipe(find_recipe(str(recipe_path)), overrides)
    where = out or default_folder(recipe)
    return run_recipe(recipe, where, until, reporter, retry_errors=retry_errors, despite_pilot=despite_pilot)


def run_recipe(
    recipe: Recipe, folder: Path, until: str | None = None, reporter: Reporter | None = None, *,
    retry_errors: bool = False, despite_pilot: str | None = None,
) -> Path:  # fmt: skip
    """Run a loaded recipe in a folder; see `run`."""
    reporter = reporter or Silent()
    wanted = stages_until(until)
    create_folder(folder, recipe)
    with locked(folder):
        facts = {"recipe_sha256": content_hash(dict(resolved(recipe))), "until": until, "versions": versions()}
        if write_recipe(folder, recipe, lambda found: note(folder, "run", {**facts, "recipe_file_sha256": found})):
            reporter.say("the recipe has changed since this folder was last run; only what reads the changes is redone")
        record_decision(recipe, folder, reporter)
        if until != "terms":
            refuse_after_pilot(recipe, folder, despite_pilot, reporter)
        if retry_errors:
            _ask_errors_again(folder, reporter)
        for stage in wanted:
            if stage.name == "export" and refusal(recipe, read_decision(folder)) and despite(folder) is None:
                _withdraw(stage, folder, reporter)
                continue
            run_stage(stage, recipe, folder, reporter)
            if stage.name == "evaluate":
                for line in summary_lines(folder):
                    reporter.say(line)
        # A recipe that asks nothing of its student has nothing to miss.
        if recipe.accept != {} and any(stage.name == "evaluate" for stage in wanted):
            _conclude(folder)
    return folder


def run_stage(stage: Stage, recipe: Recipe, folder: Path, reporter: Reporter) -> bool:
    """Do one stage unless its marker still holds; True where it was done. The files come first, the marker last."""
    inputs = stage_inputs(stage, recipe, folder)
    wanted = input_hash(stage.name, stage.code_version, inputs)
    if _holds(stage, wanted, folder, reporter):
        return False
    reporter.say(f"{stage.name}: started")
    started = time.monotonic()
    note(folder, "stage_started", {"stage": stage.name, "input_hash": wanted, "inputs": inputs})
    marker_path(folder, stage.name).unlink(missing_ok=True)
    _discard(stage, folder)
    result = perform(stage.name, recipe, folder, reporter)
    outputs, facts = hash_outputs(folder, result.outputs), plain(result.facts)
    seconds = round(time.monotonic() - started, 3)
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    found = result_hash(stage.name, outputs, facts)
    _finish(folder, Marker(stage.name, wanted, inputs, outputs, found, seconds, finished, versions(), facts))
    reporter.say(f"{stage.name}: finished in {seconds:,.1f} s")
    return True


def _holds(stage: Stage, wanted: str, folder: Path, reporter: Reporter) -> bool:
    marker = read_marker(folder, stage.name)
    if marker is None or marker.input_hash != wanted:
        return False
    if changed := changed_outputs(folder, marker):
        reporter.say(f"{stage.name}: {changed[0]} is missing or was changed, so the stage is done again")
        return False
    reporter.say(f"{stage.name}: done before, and nothing that it reads has changed")
    return True


def _ask_errors_again(folder: Path, reporter: Reporter) -> None:
    """Put error rows back to pending, and let the collect stage run although nothing that it reads has changed."""
    from potstill.store.journal import Journal

    path = folder / "answers.sqlite"
    if not path.is_file():
        return
    with Journal(path, read_only=True) as journal:
        failed = journal.counts().error
    if failed:
        reopen(folder, "collect", "requests that failed are asked again")
        with Journal(path) as journal:
            journal.retry_errors(permanent=True)
    reporter.say(f"collect: {failed:,} requests that failed are asked again")


def _finish(folder: Path, marker: Marker) -> None:
    """Ledger first, marker last: a crash in between leaves a stage to be done again, never one that nobody recorded."""
    path, text = marker_path(folder, marker.stage), marker_text(marker)
    facts = {name: value for name, value in asdict(marker).items() if name != "versions"}
    write_aside(path, text)
    note(folder, "stage_finished", {**facts, "marker_sha256": hashlib.sha256(text.encode()).hexdigest()})
    put_in_place(path)


def _withdraw(stage: Stage, folder: Path, reporter: Reporter) -> None:
    """A student that was not accepted leaves no export behind, not even that of an earlier recipe."""
    if read_marker(folder, stage.name) or (folder / "export").exists():
        note(folder, "stage_withdrawn", {"stage": stage.name, "reason": "the student is not accepted"})
        marker_path(folder, stage.name).unlink(missing_ok=True)
        _discard(stage, folder)
    reporter.say(
        f"{stage.name}: not done, because the student is not accepted; to do it all the same: "
        f'potstill export {folder} --despite "REASON"'
    )


def _conclude(folder: Path) -> None:
    decision = read_decision(folder)
    report = folder / "report.html"
    match decision["word"]:
        case "no ship":
            raise NotAccepted(f"not accepted: {decision['reason']}; see {report}")
        case "inconclusive":
            raise Inconclusive(f"inconclusive: {decision['reason']}; see {report}")


def _discard(stage: Stage, folder: Path) -> None:
    for name in stage.discards:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
