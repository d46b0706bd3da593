"""That verify finds every byte that changes in a run folder, and nothing to report after a kill at any moment."""

import hashlib
import json
import os
import random
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rooms import Killed, Rooms

from potstill import ledger
from potstill.config import Recipe
from potstill.records import content_hash
from potstill.run import run_recipe, verify
from potstill.run.inputs import resolved
from potstill.run.record import reopen
from potstill.run.verify import summary

Make = Callable[..., Recipe]


def changed_bytes_found(folder: Path, number: int) -> list[str]:
    """Change so many random bytes, one at a time, in random files of a run folder; gives what was not found."""
    rng = random.Random(5)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    missed = []
    for _ in range(number):
        path = rng.choice(files)
        at, other = rng.randrange(path.stat().st_size), rng.randrange(1, 256)
        with path.open("r+b") as file:
            file.seek(at)
            was = file.read(1)
            file.seek(at)
            file.write(bytes([was[0] ^ other]))
        if not any(path.name in problem for problem in verify(folder)):
            missed.append(f"{path.relative_to(folder)}: byte {at}")
        with path.open("r+b") as file:
            file.seek(at)
            file.write(was)
    assert verify(folder) == []
    return missed


def test_every_changed_byte_is_found_and_its_file_named(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    assert changed_bytes_found(folder, 300) == []


@pytest.mark.parametrize("how", ["removed", "reordered", "edited", "added", "last removed"])
def test_a_ledger_that_was_tampered_with_says_at_which_line(
    rooms: Rooms, recipe: Make, tmp_path: Path, how: str
) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    path = folder / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    match how:
        case "removed":
            del lines[4]
        case "reordered":
            lines[4], lines[5] = lines[5], lines[4]
        case "edited":
            lines[4] = lines[4].replace(b'"stage":"prompts"', b'"stage":"collect"')
        case "added":
            lines.insert(4, lines[4])
        case _:
            lines.pop()
    path.write_bytes(b"".join(lines))
    said = " ".join(one for one in verify(folder) if one.startswith("ledger.jsonl:"))
    assert any(f"ledger.jsonl:{number}" in said for number in (5, 6, len(lines)))


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """End the process before its `number`-th change of a ledger line or of a file's name."""
    left = [number]

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return function(*given, **named)

        return call

    monkeypatch.setattr(os, "pwrite", dying(os.pwrite))
    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))


@pytest.mark.parametrize("second", [False, True])
def test_a_kill_at_any_moment_leaves_nothing_to_report(
    rooms: Rooms, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: bool
) -> None:
    """Of a first run, and of one that does stages again because the recipe has changed."""
    again = recipe(train={"epochs": 2}, evaluate={"resamples": 500})
    ended = 0
    for number in range(200):
        folder = tmp_path / f"run{number}"
        if second:
            run_recipe(recipe(), folder)
        with monkeypatch.context() as patch:
            kill_at(patch, number)
            try:
                run_recipe(again, folder)
            except Killed:
                ended += 1
            else:
                break
        if (folder / "recipe.yaml").is_file() and ledger.read(folder / "ledger.jsonl"):
            assert verify(folder) == [], number
        run_recipe(again, folder)
        assert verify(folder) == []
    assert ended > 20


def test_a_finished_run_has_no_file_that_is_not_recorded(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    assert (folder / ".lock").read_bytes() == b""
    assert "no finished stage recorded" not in summary(folder)
    (folder / "notes.txt").write_text("mine")
    assert verify(folder) == []
    assert "no finished stage recorded notes.txt" in summary(folder)


def test_a_log_beside_a_journal_is_found(
    rooms: Rooms, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would read the changes in it, with every byte of the recorded file as it was."""
    collect = rooms.collect

    def with_journal(*given: Any) -> Any:
        db = sqlite3.connect(given[3] / "answers.sqlite")
        db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE requests (text TEXT);")
        db.close()
        result = collect(*given)
        return type(result)((*result.outputs, "answers.sqlite"), result.facts)

    monkeypatch.setattr(sys.modules["potstill.collect"], "collect", with_journal)
    folder = run_recipe(recipe(), tmp_path / "run")
    assert verify(folder) == []
    db = sqlite3.connect(folder / "answers.sqlite")
    db.execute("INSERT INTO requests VALUES ('an answer that nobody gave')")
    db.commit()
    log = (folder / "answers.sqlite-wal").read_bytes()
    db.execute("PRAGMA wal_checkpoint")
    (tmp_path / "log").write_bytes(log)
    db.close()
    (folder / "answers.sqlite-wal").write_bytes(log)
    assert any("answers.sqlite-wal: changes what answers.sqlite says" in one for one in verify(folder))


def test_a_recipe_of_before_its_bytes_were_recorded_holds_without_todays_keys(
    rooms: Rooms, recipe: Make, tmp_path: Path
) -> None:
    folder = run_recipe(recipe(), tmp_path / "run", until="terms")
    (folder / "ledger.jsonl").unlink()
    (folder / "ledger.head").unlink()
    (folder / "stages" / "terms.json").unlink()
    data = dict(resolved(recipe()))
    del data["screen"]  # a key that came later
    (folder / "recipe.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    ledger.append(folder / "ledger.jsonl", "run", {"recipe_sha256": content_hash(data)})
    assert verify(folder) == []
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**data, "name": "other"}), encoding="utf-8")
    assert verify(folder) == [f"{folder / 'recipe.yaml'}: is not the recipe that line 1 of the ledger recorded"]


def test_the_run_line_has_the_hash_of_the_recipes_own_bytes(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run", until="terms")
    facts = ledger.read(folder / "ledger.jsonl")[0].facts
    assert facts["recipe_file_sha256"] == hashlib.sha256((folder / "recipe.yaml").read_bytes()).hexdigest()
    with (folder / "recipe.yaml").open("a", encoding="utf-8") as file:
        file.write("# nothing\n")
    assert len(verify(folder)) == 1


def test_a_stage_that_is_reopened_is_not_missing(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run", until="collect")
    reopen(folder, "collect", "for the test")
    assert verify(folder) == []
    assert json.loads((folder / "ledger.jsonl").read_text().splitlines()[-1])["kind"] == "stage_reopened"
    run_recipe(recipe(), folder, until="collect")
    assert rooms.calls["collect"] == 2
    assert verify(folder) == []
