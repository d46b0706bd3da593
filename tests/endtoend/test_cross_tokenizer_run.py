"""Whole runs with a teacher and a student of different tokenizers: trained, measured, labelled; and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Said, potstill
from test_run import WORDS, write_recipe

from potstill.evaluate.summary import summary_lines
from potstill.run import verify
from tokenizing import byte_fallback, byte_level, model_folder

SCRATCH = {
    "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "max_position_embeddings": 512,
}  # fmt: skip
ACROSS = {"collect": {"max_new_tokens": 10, "batch_size": 8, "train_on_truncated": True, "signals": {"kind": "full"}}}
TRAIN = {"tokens_per_batch": 600, "epochs": 2, "learning_rate": 3e-3, "cross_tokenizer": True}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    texts = [f"what is a {word} made of, and what is it for" for word in WORDS]
    made = {"trained": byte_level(500, texts), "bytes": byte_level(258), "fallback": byte_fallback(400, texts)}
    return {
        name: model_folder(tmp_path_factory.mktemp(name), tokenizer, layers=2, seed=number)
        for number, (name, tokenizer) in enumerate(made.items())
    }


def run(folder: Path, teacher: Path, student: Any, *more: str, **changes: Any) -> Said:
    recipe = write_recipe(folder, teacher, **{**ACROSS, "train": TRAIN, "student": student, **changes})
    return potstill("run", recipe, "--out", folder / "run", *more)


@pytest.mark.parametrize(
    ("teacher", "student", "kind"),
    [("trained", "bytes", "scratch"), ("bytes", "trained", "model"), ("trained", "fallback", "scratch")],
)
def test_a_run_across_tokenizers(
    folders: dict[str, Path], tmp_path: Path, teacher: str, student: str, kind: str
) -> None:
    own = f"path:{folders[student]}"
    made = {"kind": "model", "model": own} if kind == "model" else {"kind": kind, "config": SCRATCH, "tokenizer": own}
    baselines = {"resamples": 200, "speed_prompts": 2, "speed_new_tokens": 4}
    done = run(
        tmp_path, folders[teacher], made,
        evaluate={**baselines, "baselines": ["initial_student", "fine_tuning"]}, accept={"unmatched_l1": "<= 2"},
        export={"formats": ["safetensors"]},
    )  # fmt: skip
    assert done.returncode == 5, done.stderr  # five held-out prompts conclude nothing
    folder = tmp_path / "run"
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert "different tokenizers: agreement and KL are over groups" in summary_lines(evaluation)[1]
    comparison, figures = evaluation["comparison"], evaluation["figures"]
    assert (comparison["tokenizers"], comparison["unit"]) == ("different", "group")
    assert comparison["groups"] >= comparison["one_to_one_groups"]
    units = {name: figure["unit"] for name, figure in figures.items()}
    for name in ("kl_nats", "initial_student.kl_nats", "fine_tuning.kl_nats"):
        assert units[name] == "nats a group"
        assert figures[name]["value"] >= 0
    assert units["perplexity_ratio"] == "student / teacher, a byte"
    assert units["decode_speedup"] == "times, bytes a second"
    assert units["prefill_speedup"] == "times, the same prompts"
    assert "(0 to 2, a group) on " in evaluation["decision"]["reason"]
    report = (folder / "report.html").read_text()
    assert "Teacher and student have different tokenizers." in report
    assert "by the byte" in report
    facts = json.loads((folder / "stages" / "train.json").read_text())["facts"]["cross_tokenizer"]
    assert facts["matched_tokens"] > 200
    losses = [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    assert verify(folder) == []


def test_a_student_of_another_vocabulary_is_refused_with_the_way_out(folders: dict[str, Path], tmp_path: Path) -> None:
    student = {"kind": "model", "model": f"path:{folders['bytes']}"}
    done = run(tmp_path, folders["trained"], student, "--until", "train", train={"epochs": 1})
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "its tokenizer has" in line]
    for words in ("258 tokens", "the teacher's 344", "train.cross_tokenizer: true", "{kind: cross_entropy}"):
        assert words in line


def test_one_tokenizer_needs_no_alignment(folders: dict[str, Path], tmp_path: Path) -> None:
    student = {"kind": "model", "model": f"path:{folders['trained']}"}
    done = run(tmp_path, folders["trained"], student, "--until", "train")
    assert done.returncode == 0, done.stderr
    assert "the same tokens" in done.stderr
    facts = json.loads((tmp_path / "run" / "stages" / "train.json").read_text())["facts"]
    assert "cross_tokenizer" not in facts
