"""Asking judges of the evaluation: a journal each, nothing asked twice, budgets, clearances, kills, local weights."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Call, ScriptedServer, Step, answer, failure

from potstill.collect.judging import Judges
from potstill.config import Recipe, recipe_from
from potstill.errors import PotstillError, TermsStopped
from potstill.progress import Silent
from potstill.records import Clearance, Message, Prompt, content_hash
from potstill.store.journal import Journal
from tiny import make_tiny_model

CLEARANCE = Clearance("allowed", "weights.apache-2.0", "document", "1", "2025", "judge")
PRICES = {"input": 1.0, "output": 2.0}


def recipe(*judges: dict[str, Any], **more: Any) -> Recipe:
    data = {
        "name": "t",
        "teacher": {"endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "big"}},
        "prompts": {"source": "unused.jsonl"},
        "student": {"kind": "scratch", "config": {"model_type": "llama"}},
        "evaluate": {"judge": {"judges": list(judges), **more}},
    }
    return recipe_from(data, Path("/"), "test")


def served(base_url: str, name: str = "j", **more: Any) -> dict[str, Any]:
    return {"endpoint": {"base_url": base_url, "model": name, "timeout_s": 10, **more}, "name": name}


def judges(made: Recipe, folder: Path) -> Judges:
    assert made.evaluate.judge is not None
    return Judges(made, dict.fromkeys(made.evaluate.judge.named, CLEARANCE), folder, Silent())


def questions(count: int, word: str = "which") -> list[Prompt]:
    return [
        Prompt(
            (Message("system", "Compare."), Message("user", f"{word} {at}")), "holdout", "", content_hash([word, at])
        )
        for at in range(count)
    ]


def verdict(call: Call) -> Step:
    return answer("Verdict: B" if call.prompt.endswith("3") else "Verdict: A")


def test_replies_are_in_the_order_of_the_questions_and_asked_once(tmp_path: Path) -> None:
    with ScriptedServer(verdict) as server:
        made = recipe(served(server.base_url, price_per_million=PRICES, extra_body={"think": False}))
        twice = [*questions(5), *questions(2)]
        found = judges(made, tmp_path).ask("j", twice)
        assert [text[-1] for text in found.texts if text] == list("AAABAAA")
        assert found.problems == ("",) * 7
        assert found.facts["requests"] == len(server.calls) == 5
        assert found.facts["cost_usd"] == pytest.approx(5 * (12 * 1.0 + 5 * 2.0) / 1e6)
        body = server.calls[0].body
        assert (body["temperature"], body["max_tokens"], body["think"]) == (0, 512, False)
        assert judges(made, tmp_path).ask("j", twice) == found
        assert len(server.calls) == 5
        # What people compared is apart, so that withdrawing a row of the run does not touch it.
        judges(made, tmp_path).ask("j", questions(2), calibration=True)
        assert len(server.calls) == 7
        assert {str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*.sqlite")} == {
            "judging/j.sqlite", "judging/calibration/j.sqlite",
        }  # fmt: skip


def test_what_has_no_answer_is_told_with_its_reason(tmp_path: Path) -> None:
    def script(call: Call) -> Step:
        if call.prompt.endswith("1"):
            return failure(400, "too long")
        return answer("Verd", finish_reason="length") if call.prompt.endswith("2") else verdict(call)

    with ScriptedServer(script) as server:
        found = judges(recipe(served(server.base_url)), tmp_path).ask("j", questions(4))
    assert found.texts == ("Verdict: A", None, "Verd", "Verdict: B")
    assert "too long" in found.problems[1]
    assert found.problems[2] == "truncated"
    assert found.facts["cost_usd"] is None  # no prices: unknown, never 0


def test_no_judge_without_a_clearance(tmp_path: Path) -> None:
    made = recipe(served("http://127.0.0.1:9/v1"))
    with pytest.raises(TermsStopped, match="the judge j is not asked before the terms gate has given one"):
        Judges(made, {}, tmp_path, Silent())


def test_the_budget_is_of_all_judges_together(tmp_path: Path) -> None:
    dear = {"input": 1000.0, "output": 2000.0}

    def made(budget_usd: float, url: str) -> Recipe:
        two = (served(url, name, price_per_million=dear, concurrency=1) for name in ("j", "k"))
        return recipe(*two, max_new_tokens=10, budget_usd=budget_usd)

    with ScriptedServer(verdict) as server:
        cost = (12 * 1000 + 5 * 2000) / 1e6
        judges(made(1.0, server.base_url), tmp_path).ask("j", questions(20))
        assert len(server.calls) == 20
        words = r"evaluate\.judge\.budget_usd: 0\.\d+ USD of 0\.6 are spent"
        with pytest.raises(PotstillError, match=words):
            judges(made(0.6, server.base_url), tmp_path).ask("k", questions(20))
        some = len(server.calls) - 20
        assert some * cost <= 0.6 - 20 * cost
        judges(made(10.0, server.base_url), tmp_path).ask("k", questions(20))
        assert len(server.calls) == 40


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {servers!r}, {above!r}]
from test_asking_judges import judges, questions, recipe, served
judges(recipe(served({url!r}, concurrency=4)), Path({folder!r})).ask("j", questions(60))
"""


def test_killed_while_judging_it_goes_on_where_it_was(tmp_path: Path) -> None:
    reached = threading.Event()

    def slow(call: Call) -> Step:
        if call.number == 30:
            reached.set()
        time.sleep(0.01)
        return verdict(call)

    here = Path(__file__).parent
    with ScriptedServer(slow) as server:
        places = {"tests": str(here), "servers": str(here.parent / "servers"), "above": str(here.parent)}
        code = SCRIPT.format(url=server.base_url, folder=str(tmp_path), **places)
        process = subprocess.Popen([sys.executable, "-c", code])
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = judges(recipe(served(server.base_url, concurrency=4)), tmp_path).ask("j", questions(60))
        assert sum(one is not None for one in found.texts) == 60
        assert 60 <= len(server.calls) <= 60 + 2 * 4 + 4  # at most what was in flight is asked twice


# ---- Local weights.


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("judge"), layers=1, scale=0.2, width=16)


def test_local_weights_answer_greedily_and_once(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe({"model": f"path:{weights}", "name": "j"}, max_new_tokens=4, batch_size=2)
    asked = [*questions(3), *questions(1), *questions(1, "word " * 200)]
    found = judges(made, tmp_path).ask("j", asked)
    assert found.texts[0] == found.texts[3]
    assert found.texts[4] is None
    assert all(found.problems[at] in ("", "truncated", "empty") for at in range(4))
    assert found.problems[4].startswith("no answer: ")
    assert "evaluate.judge.max_new_tokens 4 are over its 256" in found.problems[4]
    assert found.facts["requests"] == 4
    assert found.facts["cost_usd"] == 0
    assert 4 <= found.facts["output_tokens"] <= 12
    # All there: the weights are not even loaded.
    monkeypatch.setattr("potstill.models.local.LocalModel.load", lambda *_: pytest.fail("loaded"))
    assert judges(made, tmp_path).ask("j", asked) == found


def test_a_batch_of_local_weights_is_kept_when_the_next_dies(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from potstill.models.local import LocalModel

    made = recipe({"model": f"path:{weights}", "name": "j"}, max_new_tokens=4, batch_size=2)
    whole, calls = LocalModel.generate, []

    def dies(self: LocalModel, prompts: Any, **more: Any) -> Any:
        calls.append(len(prompts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, prompts, **more)

    monkeypatch.setattr(LocalModel, "generate", dies)
    with pytest.raises(KeyboardInterrupt):
        judges(made, tmp_path).ask("j", questions(6))
    with Journal(tmp_path / "judging" / "j.sqlite", read_only=True) as journal:
        assert journal.counts().done == 4
    judges(made, tmp_path).ask("j", questions(6))
    assert calls == [2, 2, 2, 2]  # only what had no answer
