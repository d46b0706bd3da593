"""A run whose recipe begins to screen: the teacher is asked nothing again, and the student is trained on less."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_run import finish, weights, write_recipe

from potstill.run import status, verify
from tiny import make_tiny_model


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("teacher"), layers=4, scale=0.2)


def facts(run: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "stages" / f"{stage}.json").read_text(encoding="utf-8"))["facts"]
    return found


def test_a_recipe_that_begins_to_screen(teacher: Path, tmp_path: Path) -> None:
    recipe, run = write_recipe(tmp_path, teacher), tmp_path / "run"
    finish(recipe, run)
    before, answers = weights(run), facts(run, "train")["answers"]
    # A screen that finds nothing changes nothing but the report.
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text('{"q": "something that no prompt asks and no answer says"}\n', encoding="utf-8")
    screen = {"contamination": [{"source": str(nothing), "field": "q"}]}
    done = finish(write_recipe(tmp_path, teacher, screen=screen), run)
    assert "collect: done before" in done.stderr
    assert "train: done before" in done.stderr
    # One training prompt is in an evaluation set.
    rows = pq.read_table(run / "answers.parquet").to_pylist()
    trained = next(row for row in rows if row["split"] == "train")
    asked = json.loads(trained["messages"])[-1]["content"]
    nothing.write_text(json.dumps({"q": asked}) + "\n", encoding="utf-8")
    done = finish(recipe, run)
    assert "collect: done before" in done.stderr
    assert "train: started" in done.stderr
    assert facts(run, "train")["answers"] == answers - 1
    assert weights(run) != before
    screened = pq.read_table(run / "screening.parquet").to_pylist()
    assert len(screened) == len(rows)
    out = {row["request_key"]: row["reasons"] for row in screened if not row["used"]}
    assert out == {trained["request_key"]: ["contaminated"]}
    assert pq.read_table(run / "answers.parquet").to_pylist() == rows  # nothing is deleted
    assert "left out as contaminated: 1 to train on" in "\n".join(status(run))
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "Holds a passage of an evaluation set" in report
    assert "nothing.jsonl, row 1" in report
    assert json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["data"]["rejected"] == {"contaminated": 1}
    assert verify(run) == []
    # Without the screen the run is again what it was.
    finish(write_recipe(tmp_path, teacher), run, "--until", "train")
    assert weights(run) == before
