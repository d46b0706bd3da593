from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exported import APACHE, SERVER, WEIGHTS, WHEEL, collected, make, run_folder

from potstill.collect.table import SCHEMA
from potstill.config import Recipe
from potstill.errors import PotstillError
from potstill.export.answers import ANSWERS, Source, read_answers, write_answers
from potstill.export.columns import COLUMNS
from potstill.store.provenance import PROVENANCE

JUDGE = {"endpoint": {"base_url": "https://judge.example/v1", "model": "strict-one"}, "rubric": "true and short"}


def rows(recipe: Recipe, folder: Path) -> list[dict[str, Any]]:
    write_answers(recipe, APACHE, folder, folder / "exported.parquet")
    found: list[dict[str, Any]] = pq.read_table(folder / "exported.parquet").to_pylist()
    return found


def served(tmp_path: Path, **sections: Any) -> Recipe:
    return make(tmp_path, teacher=SERVER, student={"kind": "model", "model": "hub:a/b"}, **sections)


def test_each_row_says_where_it_comes_from(tmp_path: Path) -> None:
    local = rows(make(tmp_path), run_folder(tmp_path))[1]
    assert local["teacher_reference"] == WHEEL
    assert local["teacher"] == local["served_model"] == WEIGHTS
    assert local["host"] is None
    assert (local["temperature"], local["top_p"], local["max_tokens"], local["seed"]) == (0.4, 0.9, 40, 1)
    assert (local["rule"], local["rule_document"], local["rule_date"]) == ("apache-2.0", "Apache License 2.0", "2.0")
    assert local["finished"].tzinfo is not None
    assert len(local["request_key"]) == 64
    assert (local["judge"], local["judge_score"]) == (None, None)
    (tmp_path / "other").mkdir()
    recipe = served(tmp_path / "other")
    remote = rows(recipe, run_folder(tmp_path / "other", recipe=recipe))[0]
    assert (remote["host"], remote["teacher"]) == ("api.deepseek.com", "deepseek-chat")
    assert remote["served_model"] == "deepseek-chat-2026-10"


def test_judge_and_score_and_every_reason_stand_beside_the_answer(tmp_path: Path) -> None:
    recipe = make(tmp_path, screen={"judge": JUDGE})
    folder = run_folder(tmp_path)
    for name in ("answers.sqlite", "answers.parquet"):
        (folder / name).unlink()
    collected(folder, recipe, APACHE, scores=(9, 3, 8, 7, None))
    found = rows(recipe, folder)
    assert [row["judge_score"] for row in found] == [9, 3, 8, 7, None, None]
    assert [row["judge"] for row in found] == ["strict-one"] * 4 + [None] * 2
    assert [row["used"] for row in found] == [True, False, True, True, False, False]
    assert [row["left_out_for"] for row in found[1:]] == [["judged_low"], [], [], ["truncated"], ["error"]]


def test_without_screening_only_the_kind_of_answer_decides(tmp_path: Path) -> None:
    found = rows(make(tmp_path), run_folder(tmp_path))
    assert [row["left_out_for"] for row in found] == [[], [], [], [], ["truncated"], ["error"]]
    kept = rows(make(tmp_path, collect={"train_on_truncated": True}), tmp_path / "run")
    assert [row["used"] for row in kept] == [True] * 5 + [False]


def without_provenance(path: Path) -> None:
    """The table as a Potstill before these columns wrote it."""
    table = pq.read_table(path)
    pq.write_table(table.drop_columns([one.name for one in PROVENANCE]), path)


def test_a_run_of_an_earlier_potstill_gets_it_from_its_journal(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    whole = rows(make(tmp_path), folder)
    without_provenance(folder / ANSWERS)
    assert rows(make(tmp_path), folder) == whole


def test_tables_of_other_answers_are_refused(tmp_path: Path) -> None:
    recipe = make(tmp_path, screen={"judge": JUDGE})
    folder = run_folder(tmp_path)
    table = pq.read_table(folder / ANSWERS)
    for name in ("answers.sqlite", "answers.parquet"):
        (folder / name).unlink()
    collected(folder, recipe, APACHE, scores=(9, 9, 9, 9, 9))
    pq.write_table(pa.concat_tables([table.slice(1), table.slice(0, 1)]), folder / ANSWERS)
    with pytest.raises(PotstillError, match="run the screen stage again"):
        rows(recipe, folder)
    (folder / "screening.parquet").unlink()
    without_provenance(folder / ANSWERS)
    with pytest.raises(PotstillError, match="run the collect stage again"):
        rows(recipe, folder)
    (folder / ANSWERS).write_bytes(b"PAR1 not really")
    with pytest.raises(PotstillError, match="not a table of answers"):
        read_answers(folder)
    (folder / ANSWERS).unlink()
    with pytest.raises(PotstillError, match="run the collect stage first"):
        read_answers(folder)


def test_the_sum_of_the_answers(tmp_path: Path) -> None:
    found = read_answers(run_folder(tmp_path))
    assert found.rows == 6
    assert found.splits == {"train": 5, "holdout": 1}
    assert found.sources == {Source("teacher", WEIGHTS, WEIGHTS, None): 5}
    assert found.first is not None
    assert found.last is not None
    assert found.first <= found.last


def test_every_column_is_explained(tmp_path: Path) -> None:
    rows(make(tmp_path), run_folder(tmp_path))
    names = pq.read_schema(tmp_path / "run" / "exported.parquet").names
    assert {*names, *SCHEMA.names} <= set(COLUMNS)
    assert {"tag", "writer", "tools", "tool_calls"} <= set(COLUMNS)
