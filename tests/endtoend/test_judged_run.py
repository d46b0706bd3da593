"""A run with a served judge: killed after it was asked, it asks nothing again, and what it said decides."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Call, ScriptedServer, Step, answer
from test_run import write_recipe

from potstill import ledger
from potstill.collect.judging import Judges
from potstill.config import load_recipe
from potstill.errors import Inconclusive
from potstill.run import run_recipe, status, verify
from tiny import make_tiny_model


def by_length(call: Call) -> Step:
    """A judge that prefers the longer answer, and now and then talks of something else."""
    if "<answer>" in call.prompt:
        return answer("Score: 5")
    first, second = (call.prompt.partition(f"<answer_{one}>")[2].partition("</answer_")[0] for one in "AB")
    return answer(
        "What weather!" if "violin" in call.prompt else f"Verdict: {'A' if len(first) > len(second) else 'B'}"
    )


def then_dies(ask: Callable[..., Any]) -> Callable[..., Any]:
    """The asking, and then the end of the process, before anything is made of the replies."""

    def dying(self: Judges, *questions: Any, **more: Any) -> None:
        ask(self, *questions, **more)
        raise KeyboardInterrupt

    return dying


def test_a_judge_is_paid_once_and_its_figures_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = make_tiny_model(tmp_path / "teacher", layers=4, scale=0.2)
    with ScriptedServer(by_length) as server:
        prices = {"input": 1.0, "output": 2.0}
        endpoint = {"base_url": server.base_url, "model": "referee", "price_per_million": prices}
        judge = {"judges": [{"endpoint": endpoint, "license": "apache-2.0"}], "rubric": "Is it true?"}
        evaluate = {"resamples": 200, "speed_prompts": 2, "speed_new_tokens": 4, "baselines": [], "judge": judge}
        accept = {"judge.win_rate": ">= 0.01", "parameter_ratio": "<= 1"}
        train = {"tokens_per_batch": 400, "epochs": 1, "checkpoint_every_s": 0}
        path = write_recipe(tmp_path, weights, evaluate=evaluate, accept=accept, train=train)
        recipe, folder = load_recipe(path), tmp_path / "run"
        with monkeypatch.context() as killed:
            killed.setattr(Judges, "ask", then_dies(Judges.ask))
            with pytest.raises(KeyboardInterrupt):
                run_recipe(recipe, folder, until="evaluate")
        asked = len(server.calls)
        assert asked > 0
        assert not (folder / "evaluation.json").exists()
        with pytest.raises(Inconclusive, match=r"judged win rate is .* nothing can be concluded from fewer than 20"):
            run_recipe(recipe, folder, until="evaluate")
        assert len(server.calls) == asked
    found = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    told = found["judge"]["judges"][0]
    assert told["replies"] == 2 * (found["judge"]["pairs"] - found["judge"]["identical"]) + 2 * found["judge"]["pairs"]
    assert told["cost_usd"] == pytest.approx(told["requests"] * (12 * 1.0 + 5 * 2.0) / 1e6)
    assert told["requests"] == asked
    assert found["figures"]["retention.judge.rubric_score"]["value"] == 1
    assert found["terms"]["evaluation_judges"][0]["rule"] == "apache-2.0"
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "Each judge by itself" in report
    assert "Asking the judges" in report
    assert verify(folder) == []
    assert any("evaluate" in line for line in status(folder))
    # How many questions a local judge would answer at once is no reason to evaluate anew.
    slower = load_recipe(path, ["evaluate.judge.batch_size=2"])
    with pytest.raises(Inconclusive):
        run_recipe(slower, folder, until="evaluate")
    started = [one.facts["stage"] for one in ledger.read(folder / "ledger.jsonl") if one.kind == "stage_started"]
    assert started.count("evaluate") == 2
