"""The report of a run at any time: a half-done one says which half, an evaluated one keeps the report it has."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rooms import Killed, Rooms

from potstill.config import Recipe
from potstill.errors import PotstillError, RecipeError
from potstill.run import run_recipe, verify
from potstill.run.folder import locked
from potstill.run.report import report

Make = Callable[..., Recipe]


def text_of(path: Path) -> str:
    page = re.sub(r"<style>.*?</style>|<[^>]+>", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", page)


@pytest.fixture
def half(rooms: Rooms, recipe: Make, tmp_path: Path) -> Path:
    rooms.dies_in = "train"
    with pytest.raises(Killed):
        run_recipe(recipe(), tmp_path / "run")
    return tmp_path / "run"


def test_a_half_done_run_says_which_half(half: Path) -> None:
    path, written = report(half)
    assert (path, written) == (half / "report.html", True)
    text = text_of(path)
    for words in (
        "small", "This run is half done.", "Not finished",
        "There is nothing to decide before the student is evaluated.",
        "Done: terms, prompts, collect, screen. Missing: train (stopped half-way), evaluate, export.",
        "Train ✕ stopped half-way", "Evaluate not started", "Collect ✓ done",
        "Prompts to train on 8", "Asking the teacher",  # what is known is shown
    ):  # fmt: skip
        assert words in text, words
    for absent in ("Every figure", "Quality kept", "What this report can't say"):
        assert absent not in text
    assert verify(half) == []


def test_going_on_replaces_it_by_the_report(half: Path, rooms: Rooms, recipe: Make) -> None:
    report(half)
    rooms.dies_in = None
    run_recipe(recipe(), half)
    assert text_of(half / "report.html").strip() == "report"
    assert verify(half) == []


def test_an_evaluated_run_keeps_its_report(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    assert report(folder) == (folder / "report.html", False)
    assert verify(folder) == []
    path, written = report(folder, tmp_path / "now.html")
    assert written
    assert "As the test wants" in text_of(path)
    assert "half done" not in text_of(path)
    assert verify(folder) == []


def test_a_run_that_is_out_of_date_says_so(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    changed = recipe(train={"epochs": 9})
    run_recipe(changed, folder, until="train")
    text = text_of(report(folder)[0])
    assert "Missing: evaluate (out of date), export (out of date)" in text
    assert "What is below was measured before that." in text
    assert "This run has changed since it was evaluated." in text
    assert "As the test wants" in text


def test_a_student_that_is_not_exported_misses_nothing(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run", until="evaluate")
    assert "half done" not in text_of(report(folder, tmp_path / "now.html")[0])


def test_beside_a_process_it_takes_another_place(half: Path, tmp_path: Path) -> None:
    with locked(half):
        with pytest.raises(PotstillError, match=r"is working on this run [^\n]* give another place with --out FILE$"):
            report(half)
        assert "train (running)" in text_of(report(half, tmp_path / "now.html")[0])


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"not a run folder[^\n]*$"):
        report(tmp_path)
