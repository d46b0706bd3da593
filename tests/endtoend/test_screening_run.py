"""A run whose recipe begins to screen: the teacher is asked nothing again, and the student is trained on less."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_run import weights, write_recipe

from potstill.progress import Silent
from potstill.run import run, status, verify
from tiny import make_tiny_model


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("teacher"), layers=4, scale=0.2)


def facts(run: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "stages" / f"{stage}.json").read_text(encoding="utf-8"))["facts"]
    return found


class Said:
    """A reporter that keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def meter(self, title: str, total: float, unit: str, done: float = 0) -> Any:
        return Silent().meter(title, total, unit, done)


def test_a_recipe_that_begins_to_screen(teacher: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def go_on(until: str | None = "train", **changes: Any) -> str:
        said = Said()
        run(write_recipe(tmp_path, teacher, **changes), folder, until, reporter=said)
        return "\n".join(said.lines)

    go_on()
    before, answers = weights(folder), facts(folder, "train")["answers"]
    # A screen that finds nothing trains nothing again.
    named = tmp_path / "named.jsonl"
    named.write_text('{"q": "something that no prompt asks and no answer says"}\n', encoding="utf-8")
    screen = {"contamination": [{"source": str(named), "field": "q"}]}
    said = go_on(screen=screen)
    assert "collect: done before" in said
    assert "screen: started" in said
    assert "train: done before" in said
    # One training prompt is in an evaluation set.
    rows = pq.read_table(folder / "answers.parquet").to_pylist()
    trained = next(row for row in rows if row["split"] == "train")
    named.write_text(json.dumps({"q": json.loads(trained["messages"])[-1]["content"]}) + "\n", encoding="utf-8")
    said = go_on(None, screen=screen)
    assert "collect: done before" in said
    assert "train: started" in said
    assert facts(folder, "train")["answers"] == answers - 1
    assert weights(folder) != before
    screened = pq.read_table(folder / "screening.parquet").to_pylist()
    assert len(screened) == len(rows)
    out = {row["request_key"]: row["reasons"] for row in screened if not row["used"]}
    assert out == {trained["request_key"]: ["contaminated"]}
    assert pq.read_table(folder / "answers.parquet").to_pylist() == rows  # nothing is deleted
    assert "left out as contaminated: 1 to train on" in "\n".join(status(folder))
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "Holds a passage of an evaluation set" in report
    assert "named.jsonl, row 1" in report
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["data"]["rejected"] == {"contaminated": 1}
    assert verify(folder) == []
