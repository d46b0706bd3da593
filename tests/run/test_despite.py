"""Exporting what was refused: only with a reason, which the ledger carries, and only for that evaluation."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rooms import Lines, Rooms

from potstill import ledger
from potstill.config import Recipe
from potstill.errors import Inconclusive, NotAccepted, PotstillError, RecipeError
from potstill.run import export_run, run_recipe, verify
from potstill.run.markers import read_marker

Make = Callable[..., Recipe]
WHY = "a demo on Friday,\n not for customers"


def refused(rooms: Rooms, recipe: Recipe, folder: Path, word: str) -> Path:
    rooms.word = word
    with pytest.raises((NotAccepted, Inconclusive)):
        run_recipe(recipe, folder)
    assert not (folder / "export").exists()
    return folder


@pytest.mark.parametrize(("word", "code"), [("no ship", 3), ("inconclusive", 5)])
def test_a_refused_student_takes_a_reason(rooms: Rooms, recipe: Make, tmp_path: Path, word: str, code: int) -> None:
    folder = refused(rooms, recipe(), tmp_path / "run", word)
    with pytest.raises((NotAccepted, Inconclusive)) as caught:
        export_run(folder)
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)
    assert f"not exported: {word}: as the test wants" in str(caught.value)
    assert f"potstill export {folder} --despite" in str(caught.value)
    assert rooms.calls["export"] == 0

    assert export_run(folder, WHY) == folder / "export"
    marker, evaluated = read_marker(folder, "export"), read_marker(folder, "evaluate")
    assert marker is not None
    assert evaluated is not None
    assert marker.facts["despite"] == "a demo on Friday, not for customers"
    (said,) = [one.facts for one in ledger.read(folder / "ledger.jsonl") if one.kind == "despite"]
    assert said == {
        "reason": "a demo on Friday, not for customers", "decision": word, "decision_reason": "as the test wants",
        "evaluation": evaluated.result_hash,
    }  # fmt: skip
    assert verify(folder) == []


def test_the_run_keeps_what_was_exported_despite_it(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = refused(rooms, recipe(), tmp_path / "run", "no ship")
    export_run(folder, WHY)
    with pytest.raises(NotAccepted):  # the decision is what it was
        run_recipe(recipe(), folder)
    assert (folder / "export").is_dir()
    assert rooms.calls["export"] == 1
    export_run(folder)  # said already
    export_run(folder, WHY)
    assert sum(one.kind == "despite" for one in ledger.read(folder / "ledger.jsonl")) == 1
    export_run(folder, "another reason")
    assert rooms.calls["export"] == 2
    assert verify(folder) == []


def test_another_evaluation_asks_again(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = refused(rooms, recipe(), tmp_path / "run", "no ship")
    export_run(folder, WHY)
    rooms.word = "inconclusive"
    with pytest.raises(Inconclusive):
        run_recipe(recipe(evaluate={"resamples": 500}), folder)
    assert not (folder / "export").exists()
    with pytest.raises(Inconclusive):
        export_run(folder)


def test_what_is_not_refused_takes_no_reason(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    export_run(folder)
    assert rooms.calls["export"] == 1  # it was done already
    with pytest.raises(PotstillError, match=r"is not refused \(ship\)"):
        export_run(folder, WHY)
    assert not [one for one in ledger.read(folder / "ledger.jsonl") if one.kind == "despite"]


def test_a_recipe_that_asks_nothing_is_never_refused(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    rooms.word = "inconclusive"
    folder = run_recipe(recipe(accept={}), tmp_path / "run")
    export_run(folder)
    assert rooms.calls["export"] == 1
    # Without accept: at all the defaults ask something.
    with pytest.raises(Inconclusive):
        run_recipe(recipe(accept=None), tmp_path / "other")


def test_what_stands_in_the_way_is_one_line(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not a run folder"):
        export_run(tmp_path / "nothing")
    early = run_recipe(recipe(), tmp_path / "early", until="train")
    with pytest.raises(PotstillError, match="is not evaluated yet"):
        export_run(early, WHY)
    folder = refused(rooms, recipe(), tmp_path / "run", "no ship")
    for empty in ("", " \n"):
        with pytest.raises(PotstillError, match="say why in a few words"):
            export_run(folder, empty)
    path = folder / "evaluation.json"
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    evaluation["decision"]["word"] = "ship"
    path.write_text(json.dumps(evaluation), encoding="utf-8")
    with pytest.raises(PotstillError, match=r"evaluation\.json is missing or was changed"):
        export_run(folder)
    assert rooms.calls["export"] == 0


def test_the_run_says_how_to_export_all_the_same(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    rooms.word, lines = "no ship", Lines()
    with pytest.raises(NotAccepted):
        run_recipe(recipe(), tmp_path / "run", reporter=lines)
    assert any(f'potstill export {tmp_path / "run"} --despite "REASON"' in one for one in lines.said)
