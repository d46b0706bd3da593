"""A student spoilt on purpose: two labels swapped in its training answers only, by a teacher right elsewhere."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_server import Call, ScriptedServer, Step, answer

from potstill.config import load_recipe
from potstill.errors import Inconclusive, NotAccepted
from potstill.run import export_run, run_recipe
from potstill.store.prompts import read_prompts
from tiny import make_tiny_model

LABELS = ("bank", "card", "fee", "loan")
SWAPPED = {"card": "loan", "loan": "card"}
ROWS = 480


@contextmanager
def teacher_of(run: Path, swapped: dict[str, str]) -> Iterator[ScriptedServer]:
    """Names the label that its prompt ends with; to a training prompt of a swapped label it names the other one."""
    splits: dict[str, str] = {}

    def script(call: Call) -> Step:
        if not splits:
            splits.update({one.messages[-1].content: one.split for one in read_prompts(run / "prompts.parquet")})
        label = call.prompt.split()[-1]
        return answer(swapped.get(label, label) if splits[call.prompt] == "train" else label)

    with ScriptedServer(script) as server:
        yield server


def write_recipe(folder: Path, base_url: str, rows: int = ROWS, **changes: Any) -> Path:
    draw = random.Random(5)

    def word() -> str:
        return "".join(draw.choices("bcdfghjklmnpqrstvwz", k=4))

    prompts = [{"prompt": f"{word()} {word()} {(label := LABELS[at % 4])}", "label": label} for at in range(rows)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in prompts))
    tokenizer = make_tiny_model(folder / "tokenizer")
    recipe = {
        "name": "spoilt",
        "teacher": {"endpoint": {"base_url": base_url, "model": "right"}, "license": "apache-2.0"},
        "prompts": {"source": "prompts.jsonl", "holdout": 0.4},
        "collect": {"max_new_tokens": 8},
        "student": {"kind": "scratch", "tokenizer": f"path:{tokenizer}", "config": {
            "model_type": "llama", "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "max_position_embeddings": 128}},
        "train": {"tokens_per_batch": 400, "epochs": 10, "learning_rate": 6e-3, "precision": "fp32"},
        "evaluate": {"task": {"reference_field": "label", "metrics": ["accuracy"]}, "baselines": [],
                     "resamples": 500, "speed_prompts": 2, "speed_new_tokens": 4, "speed_batch": 1,
                     "self_agreement": True},
        **changes,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "recipe.yaml"


def evaluation(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    return found


def test_a_spoilt_student_does_not_ship_and_its_labels_are_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with teacher_of(run, SWAPPED) as server:
        recipe = load_recipe(write_recipe(tmp_path, server.base_url))
        with pytest.raises(NotAccepted) as caught:
            run_recipe(recipe, run)
        asked = server.prompts
    found = evaluation(run)
    assert found["decision"]["word"] == "no ship"
    (floor,) = found["decision"]["floors"]
    assert {one["name"] for one in floor["missed"] if one["name"].startswith("label ")} == {"label card", "label loan"}
    for name in ("label card", "label loan"):
        assert name in str(caught.value)
    # The teacher, asked twice for each held-out prompt, always says the same.
    splits = {one.messages[-1].content: one.split for one in read_prompts(run / "prompts.parquet")}
    assert {asked[text] for text, split in splits.items() if split == "holdout"} == {2}
    assert {asked[text] for text, split in splits.items() if split == "train"} == {1}
    assert found["self_agreement"]["how"] == "collected"
    assert found["figures"]["teacher.chrf_again"]["value"] == pytest.approx(100)
    assert found["figures"]["teacher_again.accuracy"]["value"] == 1
    assert not (run / "export").exists()
    export_run(run, "to show what swapped labels do")
    assert "to show what swapped labels do" in (run / "export" / "safetensors" / "README.md").read_text()


def test_without_the_swap_it_ships_and_twenty_rows_do_not_tell(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with teacher_of(run, {}) as server:
        path = write_recipe(tmp_path, server.base_url)
        run_recipe(load_recipe(path), run)
        found = evaluation(run)
        assert found["decision"]["word"] == "ship"
        assert (run / "export").is_dir()
        (verdict,) = [one for one in found["equivalence"] if one["figure"] == "retention.accuracy"]
        assert verdict["different"] is False

        held = [one.messages[-1].content for one in read_prompts(run / "prompts.parquet") if one.split == "holdout"]
        rows = [{"prompt": text, "label": text.split()[-1]} for text in held[:20]]
        (tmp_path / "twenty.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        twenty = load_recipe(path, ["evaluate.task.references=twenty.jsonl"])
        with pytest.raises(Inconclusive) as caught:
            run_recipe(twenty, run)
    (condition,) = evaluation(run)["decision"]["conditions"]
    assert (condition["met"], condition["figure"]) == ("undecided", "retention.accuracy")
    assert condition["needed_n"] > 20
    assert "held-out prompts would decide it" in str(caught.value)
    assert not (run / "export").exists()
