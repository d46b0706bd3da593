"""A row of a real run, followed to its students and withdrawn: the new student is that of a run that never had it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_run import write_recipe

from potstill.models.fetch import file_sha256
from potstill.run import run, verify
from potstill.run.lineage import lineage
from potstill.run.markers import read_marker
from potstill.store.journal import Journal
from potstill.store.prompts import read_prompts
from tiny import make_tiny_model

# Of the answers of ten tokens some end by themselves: only they are trained on.
SMALL: dict[str, Any] = {
    "collect": {"max_new_tokens": 24, "batch_size": 4, "answers_per_prompt": 3},
    "train": {"tokens_per_batch": 400, "epochs": 1, "learning_rate": 3e-3},
    "evaluate": {"baselines": ["initial_student", "fine_tuning"]},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run until its student is trained, and the teacher beside it."""
    folder = tmp_path_factory.mktemp("withdrawal")
    make_tiny_model(folder / "teacher", layers=4, scale=0.2)
    run(write_recipe(folder, folder / "teacher", **SMALL), folder / "runs" / "first", until="train")
    return folder


def trained(folder: Path) -> dict[str, Any]:
    marker = read_marker(folder, "train")
    assert marker is not None
    return dict(marker.facts)


def test_every_answer_that_was_trained_on_is_traced_to_the_models(place: Path) -> None:
    (found,) = lineage(place / "runs", "source", "prompts.jsonl")
    answers = [one for prompt in found.prompts for one in prompt.answers]
    by_use = {use: [one for one in answers if one.used == use] for use in ("trained on", "held out", "not used")}
    assert len(by_use["trained on"]) == trained(place / "runs" / "first")["answers"]
    assert all(by_use.values())
    reasons = {"cut off at the token limit", "the same as an earlier answer to the prompt", "empty"}
    assert {one.why for one in by_use["not used"]} <= reasons
    assert all(len(one.signals) == 1 for one in answers)
    assert {one.path for one in found.affected} == {"student", "baselines/fine_tuning/student", "checkpoints/initial"}
    assert found.affected[0].sha256 == file_sha256(place / "runs" / "first" / "student" / "model.safetensors")
    assert found.problems == ()
    held = next(prompt for prompt in found.prompts if prompt.split == "holdout")
    (alone,) = lineage(place / "runs" / "first", "prompt", held.hash)
    assert (alone.affected, len(alone.models)) == ((), 3)


def test_the_student_of_a_withdrawal_is_that_of_a_run_that_never_had_the_rows(place: Path, tmp_path: Path) -> None:
    first = place / "runs" / "first"
    (found,) = lineage(first, "source", "prompts.jsonl")
    used = [one for one in found.prompts if any(answer.used == "trained on" for answer in one.answers)]
    gone = [one.hash for one in used[:2]]
    texts = [one.messages[-1].content for one in read_prompts(first / "prompts.parquet") if one.hash in gone]

    again = tmp_path / "again"
    shutil.copytree(first, again)
    (place / "withdrawn.txt").write_text("\n".join(gone), encoding="utf-8")
    base = {"source": "prompts.jsonl", "holdout": 0.2, "system": "Define the word in one sentence, please."}
    recipe = write_recipe(place, place / "teacher", **SMALL, prompts={**base, "withdrawn": "withdrawn.txt"})
    run(recipe, again, until="train")

    never = tmp_path / "never"
    recipe = write_recipe(never, place / "teacher", **SMALL)
    rows = [row for row in map(json.loads, (never / "prompts.jsonl").read_text().splitlines())
            if row["prompt"] not in texts]  # fmt: skip
    (never / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(recipe, never / "run", until="train")

    assert verify(again) == []
    assert trained(again)["data_sha256"] == trained(never / "run")["data_sha256"]
    assert trained(again)["student_sha256"] == trained(never / "run")["student_sha256"]
    assert trained(again)["student_sha256"] != trained(first)["student_sha256"]
    with Journal(again / "answers.sqlite", read_only=True) as journal:
        assert not {row.prompt_hash for row in journal.rows()} & set(gone)
    raw = b"".join(path.read_bytes() for path in again.rglob("*") if path.is_file() and path.suffix != ".parquet")
    assert not any(json.dumps(text).encode() in raw for text in texts)
    (proof,) = lineage(again, "prompt", gone[0])
    assert [(one.path, one.state, one.replaced) for one in proof.affected] == [("student", "not known", True)]
    assert proof.affected[0].sha256 == trained(first)["student_sha256"]
    assert {one.state for one in proof.models if one not in proof.affected} == {"did not learn from it"}
