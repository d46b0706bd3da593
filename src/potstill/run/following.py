"""Follows rows through one run: their requests, what became of the answers, and the models that learned from them."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from potstill import ledger
from potstill.config import Recipe
from potstill.records import content_hash
from potstill.run.folder import read_recipe
from potstill.run.holding import reasons_left_out, signals_of, tables_of
from potstill.run.markers import Marker, read_marker
from potstill.store.prompts import StoredPrompts
from potstill.store.screening import REASONS
from potstill.store.traces import Trace, traces_of_prompts

Used = Literal["trained on", "held out", "not used"]
State = Literal["learned from it", "did not learn from it", "not known"]
_NOTHING_SCREENED = content_hash("")  # the result of a screening that leaves out nothing, which training does not read


@dataclass(frozen=True, slots=True)
class AnswerTrace:
    """One request for a prompt, and what its answer was used for."""

    request: str
    sample: int
    used: Used
    why: str  # where it is not used
    signals: tuple[str, ...]  # files of the store that hold its distributions
    exported: tuple[str, ...] = ()  # tables of answers that leave the run and hold this one


@dataclass(frozen=True, slots=True)
class PromptTrace:
    """One prompt of a run, or one that it does not have."""

    hash: str
    split: str | None  # None: it is not among the run's prompts
    source: str | None
    parents: tuple[str, ...]  # prompts that were shown when a model wrote it
    grown: tuple[str, ...]  # prompts that a model wrote after it was shown, and those written after these
    withdrawn_line: int | None  # of the ledger, where that says so
    answers: tuple[AnswerTrace, ...]


@dataclass(frozen=True, slots=True)
class ModelTrace:
    """A model of the run, by its folder. One that was `replaced` since is known from the ledger alone."""

    path: str
    sha256: str | None  # of its weights
    ledger_line: int | None
    state: State
    why: str
    replaced: bool = False


def prompt_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Hash, split, source and growth of every prompt of a run; nothing before the prompts stage has finished."""
    table = folder / "prompts.parquet"
    return StoredPrompts(table).rows("hash", "split", "source", "grown") if table.is_file() else iter(())


def growth_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The model, request and parents of a grown prompt; empty for one of the source."""
    found: dict[str, Any] = json.loads(row["grown"]) if row["grown"] else {}
    return found


def withdrawn_prompts(entries: Sequence[ledger.Entry]) -> dict[str, int]:
    """Hashes of withdrawn prompts, with the line of the ledger that first says so."""
    found: dict[str, int] = {}
    for one in entries:
        if one.kind == "stage_finished" and one.facts.get("stage") == "prompts":
            for identity in (one.facts["facts"].get("withdrawn") or {}).get("hashes", ()):
                found.setdefault(identity, one.line)
    return found


class Following:
    """What has to be read once of a run to follow the prompts with these hashes through it."""

    def __init__(self, folder: Path, entries: Sequence[ledger.Entry], hashes: Collection[str]) -> None:
        self._folder, self._entries = folder, entries
        self._recipe: Recipe = read_recipe(folder)
        self._withdrawn = withdrawn_prompts(entries)
        self._rows = {row["hash"]: row for row in prompt_rows(folder) if row["grown"] or row["hash"] in hashes}
        self._children: dict[str, set[str]] = {}
        for identity, row in self._rows.items():
            for parent in growth_of(row).get("parents", ()):
                self._children.setdefault(parent, set()).add(identity)
        self._screened = reasons_left_out(folder)
        names = ("collect", "screen", "train", "export")
        self._markers = {name: marker for name in names if (marker := read_marker(folder, name)) is not None}

    def prompts(self, hashes: Collection[str], requests: Collection[str] | None) -> list[PromptTrace]:
        """These prompts with their requests, all or those that are named, then the prompts grown from them."""
        grown = {identity: self._grown_after(identity) for identity in sorted(hashes)}
        after = sorted({one for found in grown.values() for one in found} - set(hashes))
        found = traces_of_prompts(self._folder / "answers.sqlite", [*grown, *after])
        # Those that are named are of the prompts that were asked for.
        found = [one for one in found if requests is None or one.key in requests or one.prompt_hash not in grown]
        keys = {one.key for one in found if one.state == "done"}
        export = self._markers.get("export")
        signals = signals_of(self._folder, keys)
        exported = tables_of(self._folder, export.outputs if export is not None else (), keys)
        answers: dict[str, list[AnswerTrace]] = {}
        for one in found:
            used, why = self._use(one)
            stored = signals.get(one.key, ()), exported.get(one.key, ())
            answers.setdefault(one.prompt_hash, []).append(AnswerTrace(one.key, one.sample, used, why, *stored))
        grown |= {identity: self._grown_after(identity) for identity in after}
        return [self._prompt(one, children, answers.get(one, [])) for one, children in grown.items()]

    def _prompt(self, identity: str, grown: Collection[str], answers: Sequence[AnswerTrace]) -> PromptTrace:
        row = self._rows.get(identity)
        return PromptTrace(
            identity, row["split"] if row else None, row["source"] if row else None,
            tuple(growth_of(row).get("parents", ())) if row else (), tuple(sorted(grown)),
            self._withdrawn.get(identity) if row is None else None, tuple(answers),
        )  # fmt: skip

    def models(self, prompts: Sequence[PromptTrace]) -> Iterator[ModelTrace]:
        """Every model of the run that answers went into, then students that have been replaced and may have learned."""
        used = any(one.used == "trained on" for prompt in prompts for one in prompt.answers)
        train, export = self._markers.get("train"), self._markers.get("export")
        stale = train is None or self._is_stale(train)
        if train is not None:
            line = self._line(train)
            for path, weights in self._homes(train):
                yield ModelTrace(path, train.outputs.get(weights), line, *_state(used, stale))
        if export is not None:
            copied = train is not None and export.inputs.get("stage train") == train.result_hash
            for weights in weight_files(export.outputs):
                path, state = weights.rpartition("/")[0], _state(used, stale or not copied)
                yield ModelTrace(path, export.outputs[weights], self._line(export), *state)
        # A prompt that is no longer among the run's may have been among them.
        gone = [one for one in prompts if one.split is None and (one.withdrawn_line is not None or one.answers)]
        if gone:
            lines = [one.withdrawn_line for one in gone if one.withdrawn_line is not None]
            yield from self._replaced(max(lines, default=len(self._entries)))

    def _use(self, one: Trace) -> tuple[Used, str]:
        """What an answer was used for, and if for nothing why not."""
        if not one.wanted or one.prompt_hash not in self._rows:
            return "not used", "asked by an earlier recipe"
        if one.state == "error":
            return "not used", f"no answer: {one.error}"
        if one.state != "done":
            return "not used", "not answered yet"
        if one.key in self._screened:
            return "not used", self._screened[one.key]
        if one.use not in self._recipe.collect.uses:
            return "not used", REASONS.get(str(one.use), str(one.use))
        return ("trained on", "") if one.split == "train" else ("held out", "")

    def _replaced(self, before: int) -> Iterator[ModelTrace]:
        """Students and exports that this folder held before that line, by what the ledger says of them."""
        why = "an earlier one of this folder, made when the row may have been among the prompts"
        for one in self._entries[:before]:
            stage = one.facts.get("stage")
            if one.kind != "stage_finished" or stage not in ("train", "export"):
                continue
            outputs, now = dict(one.facts["outputs"]), self._markers.get(stage)
            if now is not None and outputs == dict(now.outputs):
                continue
            for weights in [name for name in weight_files(outputs) if name.startswith(("student/", "export/"))]:
                path = weights.rpartition("/")[0]
                yield ModelTrace(path, outputs[weights], one.line, "not known", why, replaced=True)

    def _homes(self, train: Marker) -> list[tuple[str, str]]:
        """Folders of models that training answers went into, with the file that holds their weights."""
        homes = ["student", "baselines/fine_tuning/student"]
        if self._recipe.student.kind == "pruned":  # which layers it keeps was measured on training answers
            homes.append("checkpoints/initial")
        return [(home, weights) for home in homes if (weights := f"{home}/model.safetensors") in train.outputs]

    def _is_stale(self, train: Marker) -> bool:
        """Whether training read other answers than those that stand in the folder now."""
        collect, screen = self._markers.get("collect"), self._markers.get("screen")
        if collect is None or train.inputs.get("stage collect") != collect.result_hash:
            return True
        screened = screen.result_hash if screen is not None else _NOTHING_SCREENED
        return train.inputs.get("stage screen", _NOTHING_SCREENED) != screened

    def _line(self, marker: Marker) -> int | None:
        """The line of the ledger that recorded a marker."""
        lines = [
            one.line for one in self._entries
            if one.kind == "stage_finished" and one.facts.get("stage") == marker.stage
            and one.facts.get("outputs") == dict(marker.outputs)
        ]  # fmt: skip
        return lines[-1] if lines else None

    def _grown_after(self, identity: str) -> set[str]:
        found: set[str] = set()
        waiting = [identity]
        while waiting:
            new = self._children.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found


def weight_files(outputs: Mapping[str, str]) -> list[str]:
    """One file of weights for each folder that has some, among the files of a stage."""
    by_folder = {name.rpartition("/")[0]: name for name in sorted(outputs) if name.endswith(".safetensors")}
    return list(by_folder.values())


def _state(used: bool, stale: bool) -> tuple[State, str]:
    if stale:
        return "not known", "trained on other answers than those that stand here now; `potstill run` makes it anew"
    return ("learned from it", "") if used else ("did not learn from it", "")
