"""Collecting from several teachers: who writes, whose context counts, what is kept, and what is not done twice."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from potstill.collect import collect
from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError, TermsStopped
from potstill.models.local import LocalModel
from potstill.progress import Silent
from potstill.records import Message, Prompt, content_hash
from potstill.store.journal import Journal
from potstill.terms import clear
from tiny import make_tiny_model

TAGS = ("sums", "words", None, "sums")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: make_tiny_model(tmp_path_factory.mktemp(name), layers=number, scale=0.2)
            for number, name in enumerate("abc", 1)}  # fmt: skip
    config = json.loads((made["b"] / "config.json").read_text())
    (made["b"] / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 60}))
    return made


def make(folders: dict[str, Path], base: Path, *, only: bool = False, **signals: Any) -> Recipe:
    one = {"license": "apache-2.0"}
    more = [
        {**one, "name": "b", "model": f"path:{folders['b']}", "tags": ["sums"]},
        {**one, "name": "c", "model": f"path:{folders['c']}"},
    ]
    data = {
        "name": "x",
        "teacher": {**one, "model": f"path:{folders['a']}", "tags": [] if only else ["words"]},
        "more_teachers": [] if only else more,
        "prompts": {"source": "prompts.jsonl", "tag": "job"},
        "collect": {"max_new_tokens": 6, "batch_size": 2, "signals": signals or {"kind": "sampled", "draws": 9}},
        "student": {"kind": "pruned", "keep_layers": 1},
    }
    return recipe_from(data, base, "recipe.yaml")


def prompt(number: int, text: str, tag: str | None) -> Prompt:
    messages = (Message("user", text),)
    return Prompt(messages, "holdout" if number == 3 else "train", f"p:{number}", content_hash([text]), tag)


PROMPTS = [prompt(number, f"what is a kettle {number}", tag) for number, tag in enumerate(TAGS)]


def shards(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.signals"))}


def test_writers_signals_and_a_second_call(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make(folders, tmp_path)
    with pytest.raises(TermsStopped):
        collect(recipe, None, PROMPTS, tmp_path, Silent())
    facts = collect(recipe, clear(recipe), PROMPTS, tmp_path, Silent()).facts
    told = {name: (one["prompts"], one["writes"]) for name, one in facts["teachers"].items()}
    assert told == {"teacher": (1, 1), "b": (2, 2), "c": (4, 1)}
    for row in pq.read_table(tmp_path / "answers.parquet").to_pylist():
        home = folders["a" if row["writer"] == "teacher" else row["writer"]]
        assert row["teacher_reference"] == f"path:{home.name}"
        assert (row["rule"], row["temperature"], row["max_tokens"]) == ("apache-2.0", 0.7, 6)
    before = shards(tmp_path)
    assert {Path(name).parts[1] for name in before} == {"teacher", "b", "c"}
    with Journal(tmp_path / "answers.sqlite", read_only=True) as journal:
        answers = {row.key: row.reply for row in journal.answers()}
    monkeypatch.setattr(LocalModel, "generate", lambda *a, **k: pytest.fail("asked twice"))
    monkeypatch.setattr("potstill.collect.score._score", lambda *a, **k: pytest.fail("scored twice"))
    collect(recipe, clear(recipe), PROMPTS, tmp_path, Silent())
    assert shards(tmp_path) == before
    with Journal(tmp_path / "answers.sqlite", read_only=True) as journal:
        assert {row.key: row.reply for row in journal.answers()} == answers


def test_the_shortest_context_among_a_prompts_teachers_counts(folders: dict[str, Path], tmp_path: Path) -> None:
    long = "a kettle is a vessel " * 16
    prompts = [*PROMPTS, prompt(4, long, "sums"), prompt(5, long + "?", "words")]
    recipe = make(folders, tmp_path)
    facts = collect(recipe, clear(recipe), prompts, tmp_path, Silent()).facts
    assert (facts["errors"], facts["answers"]) == (1, 5)
    with Journal(tmp_path / "answers.sqlite", read_only=True) as journal:
        ((words, _),) = journal.common_errors()
    assert "over the context of teacher b of 60" in words


def test_going_back_to_one_teacher_leaves_no_foreign_signals(folders: dict[str, Path], tmp_path: Path) -> None:
    for recipe in (make(folders, tmp_path), make(folders, tmp_path, only=True), make(folders, tmp_path)):
        collect(recipe, clear(recipe), PROMPTS, tmp_path, Silent())
        homes = {path.relative_to(tmp_path / "signals").parent.as_posix() for path in tmp_path.rglob("*.signals")}
        assert homes == ({"teacher", "b", "c"} if recipe.more_teachers else {"."})


def test_nothing_is_stored_where_the_teachers_run_beside_the_student(folders: dict[str, Path], tmp_path: Path) -> None:
    recipe = make(folders, tmp_path, kind="full")
    assert collect(recipe, clear(recipe), PROMPTS, tmp_path, Silent()).outputs == ("answers.sqlite", "answers.parquet")
    assert not (tmp_path / "signals").exists()


def test_a_prompt_without_a_teacher_is_refused_before_anything_is_asked(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    one = make(folders, tmp_path)
    recipe = one.model_copy(update={"more_teachers": one.more_teachers[:1]})
    with pytest.raises(RecipeError, match="no teacher takes part in prompts without a tag"):
        collect(recipe, clear(recipe), PROMPTS, tmp_path, Silent())
    assert not (tmp_path / "answers.sqlite").exists()
