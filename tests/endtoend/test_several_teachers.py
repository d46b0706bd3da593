"""Whole runs with several teachers: by weight and by tag, live and stored, killed, changed, and what is refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from commands import finish, potstill
from test_run import WORDS, command, watch_loading, weights, write_recipe

from potstill.config import load_recipe
from potstill.progress import Silent
from potstill.run import verify
from potstill.store.journal import Journal
from tiny import make_tiny_model

COLLECT = {"max_new_tokens": 10, "batch_size": 4, "train_on_truncated": True}
TAGS = ("sums", "words", None)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    shapes = {"teacher": (4, 32), "second": (3, 32), "third": (2, 16)}  # layers and width
    return {
        name: make_tiny_model(tmp_path_factory.mktemp(name), layers, 0.2, width)
        for name, (layers, width) in shapes.items()
    }


def recipe(folder: Path, teachers: dict[str, Path], by: str, signals: dict[str, Any], **changes: Any) -> Path:
    """A tiny recipe; `by` "weight" has two teachers everywhere, by "tag" two with a tag each and one everywhere."""
    second = {"name": "second", "model": f"path:{teachers['second']}", "license": "apache-2.0", "weight": 3.0}
    third = {"name": "third", "model": f"path:{teachers['third']}", "license": "apache-2.0"}
    if by == "tag":
        more = [{**second, "tags": ["sums"]}, {**third, "tags": ["words"]}]
        first = {"model": f"path:{teachers['teacher']}", "license": "apache-2.0", "weight": 1.0}
    else:
        more, first = [second], {"model": f"path:{teachers['teacher']}", "license": "apache-2.0"}
    path = write_recipe(
        folder, teachers["teacher"], teacher=first, more_teachers=more,
        collect={**COLLECT, "signals": signals}, **changes,
    )  # fmt: skip
    if by == "tag":
        data = yaml.safe_load(path.read_text())
        data["prompts"]["tag"] = "job"
        path.write_text(yaml.safe_dump(data))
        rows = [
            {"prompt": f"what is a {word}{end}", "job": TAGS[at % 3]}
            for at, word in enumerate(WORDS)
            for end in ("", " made of")
        ]
        (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def facts(run: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "stages" / f"{stage}.json").read_text())["facts"]
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, folders: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    finish(recipe(folder, folders, "tag", {"kind": "sampled", "draws": 20}), folder / "run")
    return folder / "run"


def test_each_prompt_has_its_teachers(unbroken: Path) -> None:
    table = pq.read_table(unbroken / "answers.parquet").to_pylist()
    assert {row["tag"] for row in table} == set(TAGS)
    assert {row["writer"] for row in table} == {"teacher"}  # the first in the recipe takes part in every prompt
    signals = {path.parent.name for path in (unbroken / "signals").rglob("*.signals")}
    assert signals == {"teacher", "second", "third"}
    told = facts(unbroken, "collect")["teachers"]
    assert told["teacher"]["prompts"] == told["second"]["prompts"] + told["third"]["prompts"] + 8
    assert told["second"]["writes"] == 0
    assert verify(unbroken) == []
    losses = [json.loads(line)["loss"] for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_training_from_stored_signals_loads_no_teacher(
    unbroken: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from potstill.train import train

    shutil.copytree(unbroken, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "student")
    loaded = watch_loading(monkeypatch)
    train(load_recipe(unbroken.parent / "recipe.yaml"), tmp_path / "run", Silent())
    assert loaded
    assert not set(loaded) & set(folders.values())
    assert weights(tmp_path / "run") == weights(unbroken)


def test_kills_end_with_the_same_student(unbroken: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    path, run = recipe(tmp_path, folders, "tag", {"kind": "sampled", "draws": 20}), tmp_path / "run"
    rng, kills = random.Random(5), 0
    for _ in range(5):
        process = subprocess.Popen(command(path, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(3, 9))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    finish(path, run)
    assert kills >= 2
    assert weights(run) == weights(unbroken)
    assert verify(run) == []


def test_another_weight_trains_anew_and_collects_nothing(unbroken: Path, tmp_path: Path) -> None:
    path = unbroken.parent / "recipe.yaml"
    shutil.copytree(unbroken, tmp_path / "run")
    done = finish(path, tmp_path / "run", "--set", "teacher.weight=2", "--until", "train")
    assert "collect: done before" in done.stderr
    assert "train: finished" in done.stderr
    assert weights(tmp_path / "run") != weights(unbroken)


@pytest.mark.parametrize(
    ("by", "signals", "train"),
    [
        ("weight", {"kind": "full"}, {"objective": {"kind": "jsd", "temperature": 1.5}, "epochs": 1}),
        ("weight", {"kind": "sampled", "draws": 20}, {"epochs": 1}),
        ("weight", {"kind": "top_k", "k": 9, "bits": 8}, {"epochs": 1}),
        (
            "tag",
            {"kind": "full"},
            {"objective": {"kind": "reverse_kl"}, "on_policy": {"max_new_tokens": 5}, "epochs": 1},
        ),
    ],
    ids=["live", "sampled", "top k", "on-policy by tag"],
)
def test_ways_of_working(
    by: str, signals: dict[str, Any], train: dict[str, Any], folders: dict[str, Path], tmp_path: Path
) -> None:
    finish(recipe(tmp_path, folders, by, signals, train={"tokens_per_batch": 200, **train}), tmp_path / "run")
    assert verify(tmp_path / "run") == []
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["figures"]["kl_nats"]["value"] > 0


def test_teachers_that_share_no_prompt_write_their_own(folders: dict[str, Path], tmp_path: Path) -> None:
    path = recipe(
        tmp_path, folders, "tag", {"kind": "top_k", "k": 9}, train={"objective": {"kind": "jsd"}, "epochs": 1}
    )
    data = yaml.safe_load(path.read_text())
    data["teacher"]["tags"], data["more_teachers"][1]["tags"] = ["none"], ["words"]
    path.write_text(yaml.safe_dump(data))
    rows = [{"prompt": f"what is a {word}", "job": ("sums", "words", "none")[at % 3]} for at, word in enumerate(WORDS)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    finish(path, tmp_path / "run")
    table = pq.read_table(tmp_path / "run" / "answers.parquet").to_pylist()
    wrote = {"none": "teacher", "sums": "second", "words": "third"}
    assert all(row["writer"] == wrote[row["tag"]] for row in table)
    with Journal(tmp_path / "run" / "answers.sqlite", read_only=True) as journal:
        assert len({row.request["body"]["model"] for row in journal.answers()}) == 3
    card = (tmp_path / "run" / "export" / "safetensors" / "README.md").read_text()
    for folder in folders.values():
        assert f"path:{folder.name}" in card


def test_a_prompt_without_a_teacher_stops_the_run_in_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    path = recipe(tmp_path, folders, "tag", {"kind": "full"})
    done = potstill("run", path, "--out", tmp_path / "run", "--set", "teacher.tags=[other]")
    assert done.returncode == 2
    assert "no teacher takes part in prompts without a tag" in done.stderr.splitlines()[-1]


def test_another_tokenizer_is_refused_with_both_sizes(folders: dict[str, Path], tmp_path: Path) -> None:
    from tokenizing import byte_level, model_folder

    (tmp_path / "other").mkdir()
    other = model_folder(tmp_path / "other", byte_level(258), layers=1, seed=0)
    path = recipe(tmp_path, {**folders, "second": other}, "weight", {"kind": "full"})
    done = potstill("run", path, "--out", tmp_path / "run", "--until", "collect")
    assert done.returncode == 2
    assert "more_teachers.second: its tokenizer has 258 tokens and the first teacher's" in done.stderr.splitlines()[-1]
