"""What status says at every point of a run, and that verify finds every kind of change."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rooms import Killed, Rooms

from potstill.config import Recipe
from potstill.errors import PotstillError, RecipeError
from potstill.records import Reply, StageResult
from potstill.run import compare, run_recipe, status, verify
from potstill.run.folder import locked
from potstill.run.markers import marker_path
from potstill.run.verify import summary
from potstill.store.journal import Finish, Journal, make_request

Make = Callable[..., Recipe]


def test_status_of_a_finished_run(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    lines = status(run_recipe(recipe(), tmp_path / "run"))
    assert lines[0] == f"small in {tmp_path / 'run'}"
    assert sum(" done in " in line for line in lines) == 7
    assert "  " + " " * 9 + " step 7 of 9, loss 0.5000, 3 s" in lines
    assert lines[-2:] == ["decision: ship (as the test wants)", f"report: {tmp_path / 'run' / 'report.html'}"]


def test_status_half_way(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    rooms.dies_in = "train"
    with pytest.raises(Killed):
        run_recipe(recipe(), tmp_path / "run")
    text = "\n".join(status(tmp_path / "run"))
    assert "train     stopped half-way; the same `potstill run` goes on" in text
    assert "evaluate  not started" in text
    with locked(tmp_path / "run"):
        text = "\n".join(status(tmp_path / "run"))
    assert "a process is working on it" in text
    assert "train     running" in text


def test_status_says_what_is_stale(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    (folder / "report.html").unlink()
    with (tmp_path / "prompts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"prompt": "trombone"}\n')
    text = "\n".join(status(folder))
    assert "prompts   stale: prompts_file changed" in text
    assert "evaluate  stale: report.html is missing" in text
    assert "train     done" in text  # until the prompts stage has run again


def test_status_counts_answers_beside_a_writer(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    from potstill.store.prompts import read_prompts

    folder = run_recipe(recipe(), tmp_path / "run", until="prompts")
    requests = [
        make_request(one, 0, {"model": "m", "about": one.hash}) for one in read_prompts(folder / "prompts.parquet")
    ]
    with Journal(folder / "answers.sqlite") as journal:
        journal.add(requests)
        journal.finish(Finish(requests[0].key, Reply("yes", "stop"), "ok"))
        journal.fail(requests[1].key, "HTTP 400: no")
        text = "\n".join(status(folder))
    assert "1 of 10 answers (1 ok), 1 errors" in text
    assert "error in 1 requests: HTTP 400: no" in text


def test_status_says_what_was_screened_out(
    rooms: Rooms, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = {"model": "big", "answers": 9, "scored": 8, "cost_usd": 0.25}
    reasons = {"wrong_language": {"train": 3, "holdout": 1}, "exact_duplicate": {"train": 99, "holdout": 0}}
    facts = {
        "answers": 512, "errors": 21, "used": {"train": 400, "holdout": 9}, "reasons": reasons, "judge": judge,
        "left_out_sha256": "some",
    }  # fmt: skip

    def screen(*given: Any) -> StageResult:
        return StageResult((), facts)

    monkeypatch.setattr(sys.modules["potstill.collect.screening"], "screen", screen)
    text = "\n".join(status(run_recipe(recipe(), tmp_path / "run", until="screen")))
    assert "of 512 answers used: 400 to train on and 9 held out" in text
    assert "left out as wrong_language: 3 to train on, 1 held out" in text
    assert "left out as exact_duplicate: 99 to train on\n" in text
    assert "judged by big: 8 of 9 answers, 0.2500 USD" in text


def test_no_run_is_one_line(tmp_path: Path) -> None:
    for ask in (status, verify, compare):
        with pytest.raises(RecipeError, match="not a run folder"):
            ask(tmp_path)


def test_compare_needs_a_student(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run", until="collect")
    with pytest.raises(PotstillError, match="no student yet"):
        compare(folder)


def test_verify_of_an_unchanged_run(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run", until="train")
    assert verify(folder) == []
    assert summary(folder).startswith(f"{folder}: 6 files and 12 ledger lines are as recorded; not finished: evaluate")


def changed(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("student/model.safetensors", "changed since the train stage recorded it"),
        ("answers.parquet", "changed since the collect stage recorded it"),
        ("evaluation.json", "changed since the evaluate stage recorded it"),
        ("recipe.yaml", "is not the recipe that line 1 of the ledger recorded"),
        ("stages/terms.json", "is not the marker that line 4 of the ledger recorded"),
        ("ledger.jsonl", "ledger.jsonl:"),
    ],
)
def test_verify_names_the_file_that_was_changed(
    rooms: Rooms, recipe: Make, tmp_path: Path, name: str, words: str
) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    text = {
        "recipe.yaml": lambda old: old.replace("epochs: 3", "epochs: 4"),
        "stages/terms.json": lambda old: old.replace('"allowed"', '"conditional"'),
        "ledger.jsonl": lambda old: old.replace('"allowed"', '"conditional"'),
    }.get(name, lambda old: old + " ")
    changed(folder / name, text)
    problems = verify(folder)
    assert any(words in problem and Path(name).name in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("report.html", "missing; the evaluate stage recorded it"),
        ("stages/train.json", "missing, although line 12 of the ledger records that the stage finished"),
        ("ledger.jsonl", "there is no ledger"),
    ],
)
def test_verify_names_what_is_missing(rooms: Rooms, recipe: Make, tmp_path: Path, name: str, words: str) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    (folder / name).unlink()
    assert any(words in problem for problem in verify(folder))


@pytest.mark.parametrize("name", ["student/extra.bin", "export/safetensors/pickle.bin"])
def test_verify_finds_files_that_nobody_recorded(rooms: Rooms, recipe: Make, tmp_path: Path, name: str) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    (folder / name).write_text("x", encoding="utf-8")
    assert verify(folder) == [f"{folder / name}: no stage recorded this file"]


def test_a_marker_rewritten_together_with_its_file_is_found(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    from potstill.run.markers import hash_or_absent

    folder = run_recipe(recipe(), tmp_path / "run")
    weights = folder / "student" / "model.safetensors"
    weights.write_text("another student", encoding="utf-8")
    path = marker_path(folder, "train")
    data = json.loads(path.read_text(encoding="utf-8"))
    data["outputs"]["student/model.safetensors"] = hash_or_absent(weights)
    path.write_text(json.dumps(data), encoding="utf-8")
    assert verify(folder) == [f"{path}: is not the marker that line 12 of the ledger recorded"]
