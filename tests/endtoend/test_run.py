"""A whole run on a tiny model: what it leaves, what it skips, and kills at random moments."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
import yaml
from commands import finish, potstill
from serving import serving

from potstill import ledger
from potstill.config import load_recipe
from potstill.errors import PotstillError
from potstill.models.fetch import file_sha256
from potstill.progress import Silent
from potstill.run import verify
from potstill.run.verify import summary
from tiny import make_tiny_model

WORDS = (
    "kettle", "bridge", "lantern", "compass", "ladder", "violin", "helmet", "barometer", "wheelbarrow", "thermostat",
    "blanket", "harbor",
)  # fmt: skip
FIGURES = (
    "kl_nats", "top1_agreement", "total_variation", "perplexity_ratio", "calibration_error", "chrf", "parameter_ratio",
    "size_ratio",
    "decode_speedup", "prefill_speedup", "peak_memory_ratio", "initial_student.kl_nats", "batch_decode_speedup",
    "batch_prefill_speedup", "time_to_first_token_ratio", "price_ratio",
)  # fmt: skip


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("teacher"), layers=4, scale=0.2)


def write_recipe(folder: Path, weights: Path, /, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    prompts = [{"prompt": f"what is a {one}{two}"} for one in WORDS for two in ("", " made of")]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    recipe = {
        "name": "tiny",
        "teacher": {"model": f"path:{weights}", "license": "apache-2.0"},
        "prompts": {"source": "prompts.jsonl", "holdout": 0.2, "system": "Define the word in one sentence, please."},
        "collect": {"answers_per_prompt": 1, "max_new_tokens": 10, "batch_size": 4, "train_on_truncated": True},
        "student": {"kind": "pruned", "keep_layers": 2, "calibration_tokens": 40},
        "train": {"tokens_per_batch": 200, "epochs": 3, "learning_rate": 3e-3, "checkpoint_every_s": 0},
        "evaluate": {"resamples": 200, "speed_prompts": 2, "speed_new_tokens": 4, "baselines": ["initial_student"]},
        "accept": {},  # five held-out prompts conclude nothing, and the defaults would ask for more
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def command(recipe: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "potstill", "run", str(recipe), "--out", str(out), *more]


def weights(run: Path) -> str:
    return file_sha256(run / "student" / "model.safetensors")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    finish(write_recipe(folder, teacher), folder / "run")
    return folder / "run"


def test_a_run_leaves_the_folder_of_the_design(unbroken: Path) -> None:
    for name in (
        "recipe.yaml", "ledger.jsonl", "prompts.parquet", "answers.sqlite", "answers.parquet", "metrics.jsonl",
        "screening.parquet", "screening.json", "evaluation.json", "per_prompt.parquet", "report.html",
        "student/model.safetensors",
        "export/safetensors/README.md", "export/safetensors/bom.cdx.json", "export/safetensors/bom.spdx3.json",
        "export/answers/answers.parquet", "export/answers/README.md", "export/answers/croissant.json",
    ):  # fmt: skip
        assert (unbroken / name).is_file(), name
    assert list((unbroken / "signals").glob("*.signals"))
    for stage in ("terms", "prompts", "collect", "screen", "train", "evaluate", "export"):
        assert json.loads((unbroken / "stages" / f"{stage}.json").read_text())["stage"] == stage
    figures = json.loads((unbroken / "evaluation.json").read_text())["figures"]
    for name in FIGURES:
        assert name in figures
    assert figures["kl_nats"]["value"] < figures["initial_student.kl_nats"]["value"]
    assert figures["parameter_ratio"]["value"] < 1
    assert verify(unbroken) == []
    assert ledger.verify(unbroken / "ledger.jsonl") == []


def test_the_papers_of_a_real_run_agree_with_it(unbroken: Path) -> None:
    bom = json.loads((unbroken / "export" / "safetensors" / "bom.cdx.json").read_text())
    student = bom["metadata"]["component"]
    for one in student["components"]:
        assert ledger.file_hash(unbroken / "export" / "safetensors" / one["name"]) == one["hashes"][0]["content"]
    figures = json.loads((unbroken / "evaluation.json").read_text())["figures"]
    metrics = {one["type"]: one["value"] for one in student["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["kl_nats"] == str(figures["kl_nats"]["value"])
    collected = json.loads((unbroken / "stages" / "collect.json").read_text())
    assert student["pedigree"]["ancestors"][0]["hashes"][0]["content"] == collected["facts"]["teacher_sha256"]
    table = pq.read_table(unbroken / "export" / "answers" / "answers.parquet")
    assert table.num_rows == collected["facts"]["requests"]
    assert set(table["rule"].to_pylist()) == {"apache-2.0"}
    trained = json.loads((unbroken / "stages" / "train.json").read_text())["facts"]["answers"]
    used = [row["used"] for row in table.select(["used", "split"]).to_pylist() if row["split"] == "train"]
    assert sum(used) == trained


def test_the_ledger_tells_the_whole_story(unbroken: Path) -> None:
    entries = ledger.read(unbroken / "ledger.jsonl")
    runs = [one.facts for one in entries if one.kind == "run"]
    assert {"potstill", "source_sha256", "python", "torch"} <= runs[0]["versions"].keys()
    (terms,) = (one.facts for one in entries if one.kind == "terms")
    assert {"verdict", "rule", "document", "section", "layers", "obligations", "permission_sha256"} <= terms.keys()
    finished = {one.facts["stage"]: one.facts for one in entries if one.kind == "stage_finished"}
    told = {
        "terms": {"verdict", "rule", "document", "version_or_date"},
        "prompts": {"rows", "source_sha256", "train", "holdout"},
        "collect": {"requests", "answers", "errors", "use", "teacher_sha256", "input_tokens", "cost_usd"},
        "screen": {"answers", "used", "reasons", "left_out_sha256"},
        "train": {"answers", "data_sha256", "student_sha256", "steps", "loss", "objective", "precision"},
        "evaluate": {"decision", "figures", "intervals", "conditions"},
        "export": {"name", "format", "size_bytes", "licence_files"},
    }
    assert {stage: names - facts["facts"].keys() for stage, facts in finished.items() if (names := told[stage])} == {
        stage: set() for stage in told
    }
    source = unbroken.parent / "prompts.jsonl"
    assert finished["prompts"]["facts"]["source_sha256"] == file_sha256(source)
    last = json.loads((unbroken / "metrics.jsonl").read_text().splitlines()[-1])
    assert (finished["train"]["facts"]["steps"], finished["train"]["facts"]["loss"]) == (last["steps"], last["loss"])
    for facts in finished.values():
        for name, sha256 in facts["outputs"].items():
            assert file_sha256(unbroken / name) == sha256


def test_each_of_a_thousand_random_changes_of_one_byte_is_found(unbroken: Path) -> None:
    """In any file of the folder but SQLite's index of a log, which it makes anew; the file is named."""
    rng = random.Random(11)
    files = sorted(one for one in unbroken.rglob("*") if one.is_file() and not one.name.endswith("-shm"))
    files = [one for one in files if one.stat().st_size]
    missed = []
    for _ in range(1000):
        path = rng.choice(files)
        at, other = rng.randrange(path.stat().st_size), rng.randrange(1, 256)
        was = os.pread(descriptor := os.open(path, os.O_RDWR), 1, at)
        os.pwrite(descriptor, bytes([was[0] ^ other]), at)
        if not any(path.name in problem for problem in verify(unbroken)):
            missed.append(f"{path.relative_to(unbroken)}: byte {at}")
        os.pwrite(descriptor, was, at)
        os.close(descriptor)
    assert missed == []
    assert verify(unbroken) == []
    assert "no finished stage recorded" not in summary(unbroken)


def test_the_export_opens_as_an_ordinary_model(unbroken: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = unbroken / "export" / "safetensors"
    assert AutoModelForCausalLM.from_pretrained(folder).config.num_hidden_layers == 2
    assert AutoTokenizer.from_pretrained(folder).chat_template
    card = (folder / "README.md").read_text()
    assert "apache-2.0" in card
    assert "kl_nats" in card or "KL" in card


def test_a_finished_run_does_nothing_again(unbroken: Path, teacher: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in unbroken.rglob("*.safetensors")}
    recipe = unbroken.parent / "recipe.yaml"
    done = finish(recipe, unbroken)
    assert done.stderr.count("done before") == 7
    assert before == {path: path.stat().st_mtime_ns for path in unbroken.rglob("*.safetensors")}


def test_kills_at_random_moments_end_with_the_same_student(unbroken: Path, teacher: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, teacher)
    run = tmp_path / "run"
    rng = random.Random(7)
    kills = 0
    for _ in range(10):
        process = subprocess.Popen(command(recipe, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.5, 12))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    finish(recipe, run)
    assert kills >= 3
    assert weights(run) == weights(unbroken)
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert losses == [json.loads(line)["loss"] for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    assert verify(run) == []


def watch_loading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the models that this process loads from now on, as they are loaded."""
    from potstill.models.local import LocalModel

    load = LocalModel.load.__func__
    loaded: list[Path] = []

    def watched(cls: type[LocalModel], folder: Path, *more: Any) -> LocalModel:
        loaded.append(folder)
        return load(cls, folder, *more)

    monkeypatch.setattr(LocalModel, "load", classmethod(watched))
    return loaded


def test_training_from_stored_signals_loads_no_teacher(
    unbroken: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from potstill.train import train

    shutil.copytree(unbroken, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "student")
    loaded = watch_loading(monkeypatch)
    train(load_recipe(unbroken.parent / "recipe.yaml"), tmp_path / "run", Silent())
    assert loaded
    assert teacher not in loaded
    assert weights(tmp_path / "run") == weights(unbroken)


def test_a_change_redoes_what_reads_it_and_no_more(unbroken: Path, teacher: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, teacher)
    run = tmp_path / "run"
    finish(recipe, run, "--until", "collect")
    assert not (run / "student").exists()
    student = "student={kind: pruned, keep_layers: 2, calibration_tokens: 40, lora: {rank: 2}}"
    done = finish(recipe, run, "--set", student,
                  "--set", "train.epochs=1", "--set", 'evaluate.baselines=[initial_student, fine_tuning]')  # fmt: skip
    assert "collect: done before" in done.stderr
    assert (run / "baselines" / "fine_tuning" / "student" / "model.safetensors").is_file()
    figures = json.loads((run / "evaluation.json").read_text())["figures"]
    assert "fine_tuning.kl_nats" in figures
    assert not (run / "student" / "adapter_config.json").exists()  # merged: an ordinary folder
    done = finish(recipe, run, "--set", student,
                  "--set", "train.epochs=1", "--set", 'evaluate.baselines=[initial_student, fine_tuning]',
                  "--set", "evaluate.seed=1")  # fmt: skip
    assert "train: done before" in done.stderr
    assert "evaluate: finished" in done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"collect": {"max_new_tokens": 10, "train_on_truncated": True, "signals": {"kind": "full"}}},
        {"collect": {"max_new_tokens": 10, "train_on_truncated": True, "signals": {"kind": "top_k", "k": 9, "bits": 8}},
         "train": {"objective": {"kind": "jsd"}, "epochs": 1}},
        {"student": {"kind": "scratch", "config": {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32,
                     "num_hidden_layers": 1, "num_attention_heads": 2}}},
        {"train": {"objective": {"kind": "cross_entropy"}, "epochs": 1}},
    ],
    ids=["live teacher", "top k is stored", "student from a config", "cross entropy"],
)  # fmt: skip
def test_other_ways_of_working(changes: dict[str, Any], teacher: Path, tmp_path: Path) -> None:
    finish(write_recipe(tmp_path, teacher, **changes), tmp_path / "run")
    assert verify(tmp_path / "run") == []


def test_a_flipped_bit_in_the_signals_is_found_by_verify_and_stops_training(unbroken: Path, tmp_path: Path) -> None:
    from potstill.run.folder import read_recipe
    from potstill.train import train

    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    victim = sorted((run / "signals").glob("*.signals"))[1]
    content = bytearray(victim.read_bytes())
    content[-20] ^= 4
    victim.write_bytes(content)
    (problem,) = [one for one in verify(run) if victim.name in one]
    assert "changed since the collect stage recorded it" in problem
    shutil.rmtree(run / "student")
    with pytest.raises(PotstillError, match=f"{victim.name}: damaged, sequence .* does not match its checksum"):
        train(read_recipe(run), run, Silent())
    assert not (run / "student").exists()


def test_a_student_that_is_not_accepted_exits_with_3(unbroken: Path, teacher: Path) -> None:
    recipe = unbroken.parent / "recipe.yaml"
    done = potstill("run", recipe, "--out", unbroken, "--set", 'accept={parameter_ratio: "<= 0.01"}')
    assert done.returncode == 3
    assert "no ship" in done.stderr
    assert not (unbroken / "export").exists()


def test_a_prompt_over_the_context_is_one_error_row_and_the_rest_goes_on(teacher: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, teacher)
    with (tmp_path / "prompts.jsonl").open("a") as file:
        file.write(json.dumps({"prompt": "a very long question " * 60}) + "\n")
    finish(recipe, tmp_path / "run", "--until", "collect")
    facts = json.loads((tmp_path / "run" / "stages" / "collect.json").read_text())["facts"]
    assert facts["errors"] == 1
    assert facts["answers"] == 24


def test_a_teacher_at_an_endpoint(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-tiny/secret+1234567890"
    monkeypatch.setenv("TINY_KEY", key)
    server = {"model": "tiny", "concurrency": 4, "api_key_env": "TINY_KEY"}
    with serving(teacher, "tiny") as base_url:
        recipe = write_recipe(
            tmp_path,
            teacher,
            teacher={"endpoint": server | {"base_url": base_url}, "license": "apache-2.0"},
            collect={"max_new_tokens": 10, "train_on_truncated": True, "signals": {"kind": "top_k", "k": 5}},
            student={"kind": "scratch", "tokenizer": f"path:{teacher}", "config": {
                "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
                "num_attention_heads": 2}},
        )  # fmt: skip
        done = finish(recipe, tmp_path / "run")
    run = tmp_path / "run"
    forms = [key, base64.b64encode(key.encode()).decode(), quote(key), quote(key, safe="")]
    said = [path.read_bytes() for path in run.rglob("*") if path.is_file()] + [(done.stdout + done.stderr).encode()]
    assert not [form for form in forms if any(form.encode() in one for one in said)]
    figures = json.loads((run / "evaluation.json").read_text())["figures"]
    measured = {name for name in figures if not name.startswith("probe.")}  # these only read the answers
    # No weights of the teacher here: only what its text alone can tell is claimed.
    assert measured == {f"{of}{name}" for of in ("", "initial_student.") for name in ("chrf", "calibration_error")}
    facts = json.loads((run / "stages" / "collect.json").read_text())["facts"]
    assert facts["answers"] == 24
    assert verify(run) == []
