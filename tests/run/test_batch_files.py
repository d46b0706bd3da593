"""Batch files by hand, and asking again what failed: through the command line, against a real server."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from batch_server import Body, answered, expired, prompt, refused
from rooms import WORDS
from scripted_server import Call, ScriptedServer, answer, failure

from potstill.cli import main
from potstill.run import run
from potstill.run.status import status
from potstill.store.journal import Journal


def write_recipe(folder: Path, base_url: str = "http://localhost:9/v1", **collect: Any) -> Path:
    lines = [json.dumps({"prompt": word}) for word in WORDS]
    (folder / "prompts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    price = {"input": 1.0, "output": 1.0, "batch_discount": 0.5}
    endpoint = {"base_url": base_url, "model": "small", "price_per_million": price, "max_attempts": 1}
    data = {
        "name": "served", "teacher": {"endpoint": endpoint, "license": "apache-2.0"},
        "prompts": {"source": "prompts.jsonl", "holdout": 0.2}, "collect": collect,
        "use": {"competes_with_teacher_provider": False, "distributed": False},
        "student": {"kind": "scratch", "config": {"model_type": "llama"}, "tokenizer": "path:./none"},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder / "recipe.yaml"


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def lines(path: Path) -> list[Body]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path: Path, rows: list[Body]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_files_out_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, run_folder, out = write_recipe(tmp_path), tmp_path / "run", tmp_path / "upload"
    limit = "--set=collect.batch.requests_per_file=6"
    assert call("batch", "write", str(recipe), "--out", str(out), "--run", str(run_folder), limit) == 0
    assert [path.name for path in sorted(out.iterdir())] == ["batch-0001.jsonl", "batch-0002.jsonl"]
    asked = lines(out / "batch-0001.jsonl") + lines(out / "batch-0002.jsonl")
    assert sorted(prompt(line) for line in asked) == sorted(WORDS)
    assert call("batch", "write", str(recipe), "--out", str(out), "--run", str(run_folder)) == 1
    assert "exists already" in capsys.readouterr().err

    rows = [answered(line, f"re: {prompt(line)}") for line in asked[:7]]
    random.Random(2).shuffle(rows)
    output = write_lines(tmp_path / "output.jsonl", [*rows, answered({"custom_id": "f" * 32}), answered(asked[0])])
    errors = write_lines(tmp_path / "errors.jsonl", [refused(asked[7], 400, "too long"), expired(asked[8])])
    assert call("batch", "read", str(run_folder), str(errors), str(output)) == 0
    said = capsys.readouterr().out
    assert "7 answered, 1 failed (1 × HTTP 400: too long), 1 requests not begun in time" in said
    assert "1 lines with an id that was not asked, 1 lines for a request that has its outcome" in said
    assert call("batch", "read", str(run_folder), str(output)) == 0  # again: nothing changes
    with Journal(run_folder / "answers.sqlite", read_only=True) as journal:
        counts = journal.counts()
        assert (counts.done, counts.error, counts.pending) == (7, 1, 2)
        for row in journal.answers():
            assert row.reply is not None
            assert row.reply.text == f"re: {row.request['body']['messages'][-1]['content']}"
        assert journal.spent_usd() == pytest.approx(7 * (12 + 5) / 1e6 / 2)
    assert call("batch", "write", str(recipe), "--out", str(tmp_path / "rest"), "--run", str(run_folder)) == 0
    assert {prompt(line) for line in lines(tmp_path / "rest" / "batch-0001.jsonl")} == {
        prompt(asked[8]), prompt(asked[9])
    }  # fmt: skip


def test_a_budget_holds_requests_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path, budget_usd=0.0005, max_new_tokens=100)
    words = ("batch", "write", str(recipe), "--out", str(tmp_path / "a"), "--run", str(tmp_path / "run"))
    assert call(*words) == 0
    assert "not all requests are in the files" in capsys.readouterr().err
    assert 0 < len(lines(tmp_path / "a" / "batch-0001.jsonl")) < len(WORDS)
    assert call(*words[:4], str(tmp_path / "b"), *words[5:], "--set=collect.budget_usd=1.0e-9") == 1
    assert "raise it" in capsys.readouterr().err


def test_files_are_for_endpoints_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path)
    changes = ("--set=teacher.endpoint=null", "--set=teacher.model=path:./none")
    assert call("batch", "write", str(recipe), "--out", str(tmp_path / "out"), *changes) == 2
    assert "teacher.endpoint: missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    missing = tmp_path / "none.jsonl"
    assert call("batch", "write", str(recipe), "--out", str(tmp_path / "out"), "--run", str(tmp_path / "run")) == 0
    assert call("batch", "read", str(tmp_path / "run"), str(missing)) == 1
    assert "none.jsonl: cannot be read" in capsys.readouterr().err


def test_failed_requests_are_asked_again_only_when_told(tmp_path: Path) -> None:
    with ScriptedServer() as server:

        def script(one: Call) -> Any:
            return failure(400, "bad word") if one.prompt in ("kettle", "needle") else answer("fine")

        server.script = script
        recipe, folder = write_recipe(tmp_path, server.base_url), tmp_path / "run"
        run(recipe, folder, "collect")
        assert len(server.calls) == len(WORDS)
        server.script = lambda one: answer("fine")
        run(recipe, folder, "collect")
        assert len(server.calls) == len(WORDS)
        run(recipe, folder, "collect", retry_errors=True)
        assert sorted(one.prompt for one in server.calls[len(WORDS) :]) == ["kettle", "needle"]
        assert any("10 of 10 answers (10 ok), 0 errors" in line for line in status(folder))
        run(recipe, folder, "collect", retry_errors=True)
        assert len(server.calls) == len(WORDS) + 2
