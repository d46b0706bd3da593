"""Collecting from endpoints: every fault of the collecting table, against a real server on loopback."""

import asyncio
import base64
import json
import math
import os
import random
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))

from scripted_server import Call, ScriptedServer, Step, answer, busy, failure, http_date, page

from potstill.collect.endpoint import collect_endpoint
from potstill.collect.screen import usable
from potstill.config import Evaluate, Prices, Recipe, recipe_from
from potstill.errors import PotstillError, RecipeError, TermsStopped
from potstill.models.http import most_usd
from potstill.models.route import Purse, Route, backoff_s
from potstill.models.scripted import ScriptedModel
from potstill.progress import Silent
from potstill.records import Clearance, Message, Prompt, Reply, StageResult, content_hash
from potstill.store.journal import Journal, request_seed

CLEARANCE = Clearance("allowed", "rule", "document", "1", "2025", "teacher")
FAST = 100.0  # test seconds run so much faster than real ones


def clock() -> float:
    return time.monotonic() * FAST


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds / FAST)


def recipe(base_url: str = "http://localhost/v1", collect: dict[str, Any] | None = None, **endpoint: Any) -> Recipe:
    data = {
        "name": "t",
        "teacher": {"endpoint": {"base_url": base_url, "model": "big", "timeout_s": 10} | endpoint},
        "prompts": {"source": "unused.jsonl"},
        "collect": {"max_new_tokens": 16} | (collect or {}),
        "student": {"kind": "scratch", "config": {"model_type": "llama"}},
    }
    return recipe_from(data, Path("/"), "test")


def make_prompts(number: int, system: str | None = None) -> list[Prompt]:
    prompts = []
    for at in range(number):
        messages = [{"role": "user", "content": f"question {at}"}]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        split = "holdout" if at % 10 == 0 else "train"
        turns = tuple(Message(**one) for one in messages)
        prompts.append(Prompt(turns, split, f"test:{at}", content_hash(messages)))
    return prompts


def collect(asked: Recipe, prompts: list[Prompt], folder: Path, reporter: Any = None, **more: Any) -> StageResult:
    times = {"clock": clock, "sleep": sleep} | more
    return collect_endpoint(asked, CLEARANCE, prompts, folder, reporter or Silent(), **times)


def table(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "answers.parquet").to_pylist()


def rows(folder: Path, query: str) -> list[Any]:
    db = sqlite3.connect(folder / "answers.sqlite")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def wait_for(condition: Callable[[], bool], limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


@pytest.fixture
def server():
    with ScriptedServer() as running:
        yield running


class Lines(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_held_out_prompts_are_asked_again_where_the_recipe_says_so(server: ScriptedServer, tmp_path: Path) -> None:
    """And only they, and nothing twice: what is there already stays."""
    once, prompts = recipe(server.base_url), make_prompts(20)
    collect(once, prompts, tmp_path)
    again = once.model_copy(update={"evaluate": Evaluate(self_agreement=True)})
    for _ in range(2):
        collect(again, prompts, tmp_path)
    assert server.prompts == {f"question {at}": 1 + (at % 10 == 0) for at in range(20)}
    assert [row["sample"] for row in table(tmp_path) if row["split"] == "holdout"] == [0, 1, 0, 1]
    seeds = {call.body["seed"] for call in server.calls if call.prompt == "question 0"}
    assert len(seeds) == 2


def test_answers_and_facts(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = lambda call: answer(f"re: {call.prompt}")
    prices = {"input": 1.0, "output": 2.0}
    result = collect(
        recipe(server.base_url, {"answers_per_prompt": 2}, price_per_million=prices), make_prompts(20), tmp_path
    )
    assert result.outputs == ("answers.sqlite", "answers.parquet")
    facts = result.facts
    assert (facts["answers"], facts["errors"], facts["use"]) == (40, 0, {"ok": 40})
    assert (facts["input_tokens"], facts["output_tokens"]) == (480, 200)
    assert facts["cost_usd"] == pytest.approx(40 * (12 + 10) / 1e6)
    found = table(tmp_path)
    assert [(row["prompt_hash"], row["sample"]) for row in found] == [
        (p.hash, s) for p in make_prompts(20) for s in (0, 1)
    ]
    first = found[0]
    assert json.loads(first["messages"]) == [{"role": "user", "content": "question 0"}]
    assert (first["answer"], first["use"], first["split"], first["host"]) == (
        "re: question 0",
        "ok",
        "holdout",
        "127.0.0.1",
    )
    assert (first["teacher"], first["served_model"], first["finish_reason"]) == ("big", "served-1", "stop")
    assert time.time() - first["finished"].timestamp() < 60
    assert (first["teacher_reference"], first["temperature"], first["top_p"]) == ("big", 0.7, 1.0)
    asked = {call.prompt: call.body for call in server.calls}
    assert first["max_tokens"] == asked["question 0"]["max_tokens"]
    assert {row["seed"] for row in found} == {call.body["seed"] for call in server.calls}
    assert (first["rule"], first["rule_date"]) == (CLEARANCE.rule, CLEARANCE.version_or_date)
    assert len({call.body["seed"] for call in server.calls}) == 40  # each sample has a seed of its own
    assert facts["cached_tokens"] is None  # the server did not say


def test_without_a_clearance_nothing_is_asked(server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(TermsStopped, match="no clearance"):
        collect_endpoint(recipe(server.base_url), None, make_prompts(1), tmp_path, Silent())
    assert server.calls == []
    assert list(tmp_path.iterdir()) == []


_CHILD = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_endpoint import collect, make_prompts, recipe
collect(recipe({url!r}, {options!r}, concurrency={cap}), make_prompts({number}), Path({folder!r}))
"""


def child(server: ScriptedServer, folder: Path, number: int, cap: int, **options: Any) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).parent)
    script = _CHILD.format(tests=here, url=server.base_url, options=options, cap=cap, number=number, folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)


def test_row_1_killed_after_40_answers_the_same_command_sends_exactly_60(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.script = lambda call: answer() if call.number <= 40 else Step(hold=True)
    process = child(server, tmp_path, 100, 8)
    path = tmp_path / "answers.sqlite"

    def forty() -> bool:
        return path.exists() and rows(tmp_path, "SELECT count(*) FROM requests WHERE state = 'done'") == [(40,)]

    wait_for(lambda: server.calls and len(server.calls) >= 40 and forty())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    before = len(server.calls)
    server.script = lambda call: answer()
    again = child(server, tmp_path, 100, 8)
    assert again.communicate(timeout=30)[1] == b""
    assert again.returncode == 0
    assert len(server.calls) - before == 60
    assert rows(tmp_path, "SELECT count(*) FROM requests WHERE state = 'done'") == [(100,)]
    collect(recipe(server.base_url, concurrency=8), make_prompts(100), tmp_path)
    assert len(server.calls) - before == 60  # a third start has nothing to ask


def test_sigkill_at_random_moments_repeats_only_what_was_in_flight(server: ScriptedServer, tmp_path: Path) -> None:
    cap = 8
    in_flight: Counter[str] = Counter()
    server.script = lambda call: answer(delay_s=0.02)
    moments = random.Random(5)
    sent = "SELECT json_extract(request, '$.body.messages[#-1].content') FROM requests WHERE state = 'sent'"
    for _ in range(3):
        seen = len(server.calls)
        process = child(server, tmp_path, 300, cap)
        wait_for(lambda seen=seen: len(server.calls) > seen)
        time.sleep(moments.uniform(0, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        in_flight.update(row[0] for row in rows(tmp_path, sent))
        assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    collect(recipe(server.base_url, concurrency=cap), make_prompts(300), tmp_path)
    assert set(server.prompts) == {f"question {at}" for at in range(300)}
    for prompt, asked in server.prompts.items():
        assert asked <= 1 + in_flight[prompt]
    assert {row["answer"] for row in table(tmp_path)} == {"fine"}
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]


def test_row_2_one_bad_row_is_one_error_row(server: ScriptedServer, tmp_path: Path) -> None:
    words = "This model's maximum context length is 8 tokens"
    server.script = lambda call: failure(400, words) if call.prompt == "question 3" else answer()
    result = collect(recipe(server.base_url), make_prompts(10), tmp_path)
    assert (result.facts["answers"], result.facts["errors"]) == (9, 1)
    assert result.facts["error_words"] == [[f"HTTP 400: {words}", 1]]
    bad = table(tmp_path)[3]
    assert (bad["use"], bad["answer"], bad["error"]) == ("error", None, f"HTTP 400: {words}")
    collect(recipe(server.base_url), make_prompts(10), tmp_path)
    assert server.prompts["question 3"] == 1  # refused for good
    server.script = lambda call: answer()
    collect(recipe(server.base_url), make_prompts(10), tmp_path, retry_refused=True)
    assert table(tmp_path)[3]["answer"] == "fine"


def test_row_3_finished_rows_are_on_disk_while_it_runs_and_after_ctrl_c(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = lambda call: answer() if call.number <= 10 else Step(hold=True)
    process = child(server, tmp_path, 20, 4)
    path = tmp_path / "answers.sqlite"
    query = "SELECT count(*) FROM requests WHERE state = 'done' AND text = 'fine'"
    wait_for(lambda: path.exists() and len(server.calls) > 10 and rows(tmp_path, query) == [(10,)])
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=20)[1]
    assert rows(tmp_path, query) == [(10,)]
    assert rows(tmp_path, "SELECT count(*) FROM requests WHERE state = 'pending'") == [(10,)]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_row_5_retry_after_pauses_the_route_and_burns_no_attempt(
    server: ScriptedServer, tmp_path: Path, status: int, form: str
) -> None:
    refused: list[Call] = []

    def script(call: Call) -> Step:
        if call.number in (9, 12, 20):
            refused.append(call)
            return busy("61" if form == "seconds" else http_date(61.5), status)
        return answer(delay_s=0.005)

    server.script = script
    reporter = Lines()
    result = collect(recipe(server.base_url, concurrency=4, max_attempts=1), make_prompts(60), tmp_path, reporter)
    assert result.facts["answers"] == 60
    assert rows(tmp_path, "SELECT DISTINCT attempts FROM requests") == [(1,)]
    for call in refused:
        # What had left before the refusal came in may arrive with it; then there is silence.
        assert call.answered_s is not None
        later = [one.arrived_s - call.answered_s for one in server.calls if one.arrived_s > call.answered_s + 0.05]
        assert min(later) > 60 / FAST
        at_once = [one for one in server.calls if 0 < one.arrived_s - call.answered_s <= 0.05]
        assert len(at_once) < 4
    assert any("asks for a pause of 6" in line for line in reporter.said)


def test_row_5_a_pause_may_be_long(tmp_path: Path, server: ScriptedServer) -> None:
    slept: list[float] = []
    now = [0.0]

    async def leap(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds
        await asyncio.sleep(0)

    server.script = lambda call: busy("86400") if call.asked == 1 else answer()
    collect(recipe(server.base_url, concurrency=1), make_prompts(1), tmp_path, clock=lambda: now[0], sleep=leap)
    assert slept == [pytest.approx(86400)]


def test_without_retry_after_attempts_are_counted_and_then_the_row_fails(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.script = lambda call: failure(500, "boom") if call.prompt == "question 1" else answer()
    asked = recipe(server.base_url, max_attempts=3)
    result = collect(asked, make_prompts(3), tmp_path)
    assert (result.facts["answers"], result.facts["errors"]) == (2, 1)
    assert server.prompts["question 1"] == 3
    assert rows(tmp_path, "SELECT attempts, error, permanent FROM requests WHERE state = 'error'") == [
        (3, "HTTP 500: boom", 0)
    ]
    server.script = lambda call: answer("now")  # row 9: a failure is never served as an answer
    result = collect(asked, make_prompts(3), tmp_path)
    assert (result.facts["answers"], result.facts["errors"]) == (3, 0)
    assert [row["answer"] for row in table(tmp_path)] == ["fine", "now", "fine"]


@pytest.mark.parametrize(
    "trouble",
    [
        Step(reset="before"), Step(reset="middle", body='{"choices"'), Step(200, '{"choices": [{"mes'), page(502),
        busy(None), busy("0"), answer(delay_s=0.2), replace(answer(), trickle_s=0.2),
        replace(answer(), trickle_s=3), Step(200, '{"error": {"message": "over capacity", "code": 503}}'),
    ],
)  # fmt: skip
def test_passing_trouble_passes(server: ScriptedServer, tmp_path: Path, trouble: Step) -> None:
    server.script = lambda call: trouble if call.asked == 1 and call.number % 3 == 0 else answer()
    result = collect(recipe(server.base_url, concurrency=4, timeout_s=1), make_prompts(12), tmp_path)
    assert (result.facts["answers"], result.facts["errors"]) == (12, 0)
    assert {row["answer"] for row in table(tmp_path)} == {"fine"}


@pytest.mark.parametrize(
    ("step", "use", "text", "reasoning"),
    [
        (answer('{"a":', finish_reason="length"), "truncated", '{"a":', ""),  # row 6
        (answer(None, finish_reason="length", reasoning_content="hmm"), "reasoning_only", "", "hmm"),  # row 7
        (answer("hmm</think>", finish_reason="length"), "reasoning_only", "", "hmm"),
        (answer("hmm</think>so"), "ok", "so", "hmm"),
        (answer("  "), "empty", "  ", ""),
        (answer(None, reasoning="hmm", finish_reason="stop"), "reasoning_only", "", "hmm"),
        (answer("so", reasoning_content="hmm"), "ok", "so", "hmm"),
        (answer("so", reasoning="hmm"), "ok", "so", "hmm"),
        (answer(None), "empty", "", ""),
        (answer("", finish_reason="length"), "empty", "", ""),
        (answer("no", finish_reason="content_filter"), "filtered", "no", ""),
        (answer(None, refusal="I can't."), "refused", "I can't.", ""),
    ],
)
def test_rows_6_and_7_what_cannot_be_trained_on_is_kept_and_marked(
    server: ScriptedServer, tmp_path: Path, step: Step, use: str, text: str, reasoning: str
) -> None:
    server.script = lambda call: step
    result = collect(recipe(server.base_url), make_prompts(1), tmp_path)
    (row,) = table(tmp_path)
    assert (row["use"], row["answer"], row["reasoning"]) == (use, text, reasoning)
    assert result.facts["use"] == {use: 1}


def test_row_8_cost_with_cached_tokens(server: ScriptedServer, tmp_path: Path) -> None:
    usage = {"prompt_tokens": 27147, "completion_tokens": 351, "prompt_tokens_details": {"cached_tokens": 27146}}
    server.script = lambda call: answer(usage=usage)
    prices = {"input": 1.4, "cached_input": 0.26, "output": 4.4}
    result = collect(recipe(server.base_url, price_per_million=prices), make_prompts(1), tmp_path)
    assert result.facts["cost_usd"] == pytest.approx(0.00860376, abs=1e-12)
    (tmp_path / "free").mkdir()
    result = collect(recipe(server.base_url), make_prompts(1), tmp_path / "free")
    assert result.facts["cost_usd"] is None


def test_row_9_other_questions_are_asked_anew(server: ScriptedServer, tmp_path: Path) -> None:
    prompts = make_prompts(3)
    collect(recipe(server.base_url), prompts, tmp_path)
    collect(recipe(server.base_url), make_prompts(3, system="be brief"), tmp_path)
    assert len(server.calls) == 6
    with ScriptedServer(lambda call: answer("elsewhere")) as other:
        collect(recipe(other.base_url), prompts, tmp_path)
        assert len(other.calls) == 3
    assert {row["answer"] for row in table(tmp_path)} == {"elsewhere"}
    collect(recipe(server.base_url, {"temperature": 0.1}), prompts, tmp_path)
    assert len(server.calls) == 9
    collect(recipe(server.base_url), prompts, tmp_path)  # back to the first recipe: its answers are still there
    assert len(server.calls) == 9
    assert [row["answer"] for row in table(tmp_path)] == [f"answer to question {at}" for at in range(3)]


def test_row_10_errors_do_not_end_a_run_that_has_answers(server: ScriptedServer, tmp_path: Path) -> None:
    bad = {f"question {at}" for at in range(0, 210, 10)}
    server.script = lambda call: failure(400, "no") if call.prompt in bad else answer()
    result = collect(recipe(server.base_url, concurrency=64), make_prompts(512), tmp_path)
    assert (result.facts["answers"], result.facts["errors"]) == (491, 21)


def test_when_nothing_was_answered_it_says_why(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = lambda call: failure(400, "no such parameter" if call.number > 2 else "other")
    with pytest.raises(PotstillError, match=r"answered none of 10 requests: 8 × HTTP 400: no such parameter; 2 × HTTP"):
        collect(recipe(server.base_url), make_prompts(10), tmp_path)
    assert not (tmp_path / "answers.parquet").exists()


def test_when_everything_fails_it_does_not_ask_everything(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = lambda call: failure(400, "no such parameter")
    with pytest.raises(PotstillError, match="all failed, so the others were not sent; HTTP 400: no such parameter"):
        collect(recipe(server.base_url), make_prompts(400), tmp_path)
    assert len(server.calls) < 200


def test_row_11_the_server_never_sees_more_than_the_cap(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = lambda call: answer(delay_s=0.001)
    result = collect(recipe(server.base_url, concurrency=8), make_prompts(1000), tmp_path)
    assert result.facts["answers"] == 1000
    assert server.most_in_flight == 8


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (failure(401, "bad key"), "refuses the key"),
        (failure(404, "no such model"), "no such model"),
        (page(), "web page"),
    ],
)
def test_a_dead_route_stops_the_run_and_loses_nothing(
    server: ScriptedServer, tmp_path: Path, step: Step, words: str
) -> None:
    server.script = lambda call: answer() if call.number <= 20 else step
    with pytest.raises(PotstillError, match=words):
        collect(recipe(server.base_url, concurrency=4), make_prompts(200), tmp_path)
    assert len(server.calls) < 40
    assert rows(tmp_path, "SELECT state, count(*) FROM requests GROUP BY state") == [("done", 20), ("pending", 180)]
    before = len(server.calls)
    server.script = lambda call: answer()
    assert collect(recipe(server.base_url), make_prompts(200), tmp_path).facts["answers"] == 200
    assert len(server.calls) - before == 180


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PotstillError, match=r"teacher\.endpoint: http://127\.0\.0\.1:9/v1: no route to it"):
        collect(recipe("http://127.0.0.1:9/v1"), make_prompts(3), tmp_path)


@pytest.mark.parametrize("usage", [(10, 10), None])
def test_a_budget_is_never_passed_and_a_larger_one_goes_on(server: ScriptedServer, tmp_path: Path, usage: Any) -> None:
    server.script = lambda call: answer(usage=usage, delay_s=0.002)
    prices = {"input": 100.0, "output": 1000.0}
    prompts = make_prompts(60)
    most = most_usd({"messages": [{"role": "user", "content": "question 10"}], "max_tokens": 16}, Prices(**prices))
    cost = most if usage is None else 10 * 1100 / 1e6
    budget = 20 * cost + most
    with pytest.raises(PotstillError, match=r"collect.budget_usd: .* a larger budget goes on from here"):
        collect(recipe(server.base_url, {"budget_usd": budget}, price_per_million=prices), prompts, tmp_path)
    assert len(server.calls) * cost <= budget
    assert len(server.calls) >= 20
    assert rows(tmp_path, "SELECT count(*) FROM requests WHERE state = 'done'") == [(len(server.calls),)]
    before = len(server.calls)
    with pytest.raises(PotstillError, match=r"collect\.budget_usd"):
        collect(recipe(server.base_url, {"budget_usd": budget}, price_per_million=prices), prompts, tmp_path)
    assert len(server.calls) == before
    collect(recipe(server.base_url, {"budget_usd": 1000.0}, price_per_million=prices), prompts, tmp_path)
    assert len(server.calls) == 60


def test_a_budget_without_prices_is_a_recipe_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="price_per_million"):
        collect(recipe(collect={"budget_usd": 1.0}), make_prompts(1), tmp_path)


def test_the_key_is_in_no_file_however_a_server_spells_it(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-very/secret+1234567890"
    monkeypatch.setenv("BIG_KEY", key)
    basic = base64.b64encode(key.encode()).decode()
    bearer = base64.b64encode(f"Bearer {key}".encode()).decode()
    forms = [key, basic, basic.rstrip("="), bearer, quote(key), quote(key, safe=""), quote_plus(key)]
    escaped = answer("you sent KEY").body.replace("KEY", "sk\\u002dvery\\/secret+1234567890")
    echoes = [answer(f"you sent {form}") for form in forms] + [Step(body=escaped)]
    server.script = lambda call: failure(400, f"bad {forms}") if call.number > len(echoes) else echoes[call.number - 1]
    reporter = Lines()
    asked = recipe(server.base_url, api_key_env="BIG_KEY", concurrency=1)
    result = collect(asked, make_prompts(len(echoes) + 2), tmp_path, reporter)
    assert server.calls[0].headers["Authorization"] == f"Bearer {key}"
    assert {row["answer"] for row in table(tmp_path)[: len(echoes)]} == {"you sent [key]"}
    for path in tmp_path.iterdir():
        assert not [form for form in forms if form.encode() in path.read_bytes()]
    said = str(result) + str(reporter.said)
    assert not [form for form in forms if form in said]


def test_connections_are_kept_and_nothing_is_streamed(server: ScriptedServer, tmp_path: Path) -> None:
    collect(recipe(server.base_url, concurrency=6), make_prompts(300), tmp_path)
    assert len(server.connections) <= 6
    assert not any(call.body.get("stream") for call in server.calls)


def test_duplicate_ids_of_replies_mean_nothing(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = lambda call: answer(f"re: {call.prompt}")
    assert json.loads(answer().body)["id"] == json.loads(answer("other").body)["id"]
    collect(recipe(server.base_url), make_prompts(5), tmp_path)
    assert [row["answer"] for row in table(tmp_path)] == [f"re: question {at}" for at in range(5)]


def test_usage_with_cached_and_reasoning_tokens_reaches_the_table(server: ScriptedServer, tmp_path: Path) -> None:
    usage = {
        "prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 90},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }  # fmt: skip
    server.script = lambda call: answer(usage=usage)
    collect(recipe(server.base_url), make_prompts(1), tmp_path)
    (row,) = table(tmp_path)
    counts = [row[f"{kind}_tokens"] for kind in ("input", "cached", "output", "reasoning")]
    assert counts == [100, 90, 50, 40]


def test_requests_a_minute_are_spaced_evenly(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = lambda call: answer(delay_s=0.001)
    collect(recipe(server.base_url, concurrency=8, requests_per_minute=120), make_prompts(61), tmp_path)
    arrived = [call.arrived_s for call in server.calls]
    # Half a second each, in the test's time. The first of each connection arrive late, because it has to open.
    assert arrived[-1] - arrived[8] > 51 / 2 / FAST
    for at, start in enumerate(arrived):  # nowhere is there a burst: two seconds hold four, and a little jitter
        assert sum(start <= later < start + 2 / FAST for later in arrived[at:]) <= 4 + 8


def test_tokens_a_minute_follow_what_replies_say_they_took(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = lambda call: answer(usage=(10, 10))
    collect(recipe(server.base_url, tokens_per_minute=1200, concurrency=1), make_prompts(60), tmp_path)
    arrived = [call.arrived_s for call in server.calls]
    assert (arrived[-1] - arrived[0]) * FAST == pytest.approx(60, rel=0.5)  # 60 requests of 20 tokens, 20 a second


def test_limits_that_headers_tell_are_never_broken(server: ScriptedServer, tmp_path: Path) -> None:
    """A server that takes 40 requests in each 0.4 s, says what is left, and refuses the rest."""
    started = time.monotonic()

    def script(call: Call) -> Step:
        window, into = divmod(call.arrived_s - started, 0.4)
        earlier = sum((one.arrived_s - started) // 0.4 == window for one in server.calls)
        left = {"ratelimit-limit": "40", "ratelimit-remaining": str(max(40 - earlier, 0)),
                "ratelimit-reset": f"{0.4 - into:.4f}"}  # fmt: skip
        return replace(answer() if earlier <= 40 else failure(429), headers=left)

    server.script = script
    result = collect(
        recipe(server.base_url, concurrency=4), make_prompts(120), tmp_path, clock=time.monotonic, sleep=asyncio.sleep
    )
    assert result.facts["answers"] == 120
    refused = sum(call.status == 429 for call in server.calls)
    assert refused <= 4  # what was in flight when a window ended
    assert server.calls[-1].arrived_s - server.calls[0].arrived_s < 2.5  # and the allowance is used


def test_a_certificate_that_is_wrong_stops_it_with_one_line(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with ScriptedServer(tls=context) as server:
        with pytest.raises(PotstillError, match="certificate is not valid here") as caught:
            collect(recipe(server.base_url), make_prompts(30), tmp_path)
        assert "\n" not in str(caught.value)
        assert server.calls == []
    assert rows(tmp_path, "SELECT state, count(*) FROM requests GROUP BY state") == [("pending", 30)]


_FULL = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from potstill.errors import PotstillError
from test_endpoint import collect, make_prompts, recipe
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
try:
    collect(recipe({url!r}, concurrency=4), make_prompts(100), Path({folder!r}))
except PotstillError as error:
    sys.exit(str(error))
"""


def test_a_disk_that_takes_no_more_stops_it_with_one_line_and_loses_nothing(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.script = lambda call: answer("long " * 4000, delay_s=0.005)
    script = _FULL.format(tests=str(Path(__file__).parent), url=server.base_url, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "answers.sqlite" in line
    assert "disk" in line
    kept = rows(tmp_path, "SELECT count(*) FROM requests WHERE state = 'done'")[0][0]
    assert 0 < kept < 100
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    before = len(server.calls)
    assert collect(recipe(server.base_url), make_prompts(100), tmp_path).facts["answers"] == 100
    assert len(server.calls) - before == 100 - kept


def test_top_logprobs_reach_the_journal(server: ScriptedServer, tmp_path: Path) -> None:
    entry = {"token": "A", "logprob": -0.1}
    server.script = lambda call: answer("A", logprobs={"content": [{**entry, "top_logprobs": [entry]}]})
    collect(recipe(server.base_url, {"signals": {"kind": "top_k", "k": 3}}), make_prompts(2), tmp_path)
    assert server.calls[0].body["top_logprobs"] == 3
    with Journal(tmp_path / "answers.sqlite", read_only=True) as journal:
        found = [row.reply.top_logprobs for row in journal.answers(with_logprobs=True) if row.reply]
    assert found == [({"token": "A", "logprob": -0.1, "top": [["A", -0.1]], "tail": 1 - math.exp(-0.1)},)] * 2


def test_a_full_disk_ends_it_with_one_line_and_what_was_kept_is_kept(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = lambda call: answer("long " * 20_000)
    turn = Journal.turn

    def full(journal: Journal, outcomes: Any, number: int) -> Any:
        if journal.counts().done:
            journal._db.execute(f"PRAGMA max_page_count = {journal._db.execute('PRAGMA page_count').fetchone()[0]}")
        return turn(journal, outcomes, number)

    monkeypatch.setattr(Journal, "turn", full)
    with pytest.raises(PotstillError, match="no space left on the disk"):
        collect(recipe(server.base_url, concurrency=2), make_prompts(100), tmp_path)
    kept = rows(tmp_path, "SELECT count(*) FROM requests WHERE state = 'done'")[0][0]
    assert 0 < kept < 100
    monkeypatch.setattr(Journal, "turn", turn)
    assert collect(recipe(server.base_url), make_prompts(100), tmp_path).facts["answers"] == 100


def test_a_scripted_model_runs_without_a_server(tmp_path: Path) -> None:
    model = ScriptedModel(lambda messages: messages[-1].content.upper())
    result = collect(recipe(), make_prompts(5), tmp_path, model=model)
    assert result.facts["answers"] == 5
    assert [row["answer"] for row in table(tmp_path)] == [f"QUESTION {at}" for at in range(5)]


def test_from_python_in_a_thread(server: ScriptedServer, tmp_path: Path) -> None:
    thread = threading.Thread(target=collect, args=(recipe(server.base_url), make_prompts(5), tmp_path))
    thread.start()
    thread.join(20)
    assert len(table(tmp_path)) == 5


def test_usable_takes_other_servers_words() -> None:
    assert usable(Reply("x", "max_tokens")) == "truncated"
    assert usable(Reply("x", "SAFETY")) == "filtered"
    assert usable(Reply("x", "")) == "ok"


def test_the_window_grows_fast_then_slowly_and_is_halved_once_a_round() -> None:
    async def scenario() -> None:
        route = Route(64, clock, sleep)
        entered = [await route.enter() for _ in range(route.window)]
        assert route.window == 16
        for _ in entered:
            route.leave()
            route.succeeded()
        assert route.window == 32  # doubled in one round trip
        entered = [await route.enter() for _ in range(32)]
        for one in entered:
            route.leave()
            route.overloaded(one)
        assert route.window == 16  # halved once, however many complained
        for _ in range(17):
            route.succeeded()
        assert route.window == 17  # one more in one round trip
        for _ in range(5000):
            route.succeeded()
        assert route.window == 64
        for _ in range(50):
            route.overloaded(await route.enter())
            route.leave()
        assert route.window == 1

    asyncio.run(scenario())


def test_the_purse_waits_for_what_is_in_flight_and_then_says_no() -> None:
    async def scenario() -> None:
        purse = Purse(1.0, 0.5)
        assert await purse.reserve(0.4)
        waiting = asyncio.create_task(purse.reserve(0.4))
        await asyncio.sleep(0)
        assert not waiting.done()
        purse.settle(0.4, 0.05)
        assert await waiting
        purse.settle(0.4, 0.4)
        assert not await purse.reserve(0.4)

    asyncio.run(scenario())


def test_backoff_and_seeds_stay_in_their_bounds() -> None:
    assert all(0 <= backoff_s(attempts) <= min(60, 2 ** (attempts - 1)) for attempts in range(1, 50))
    seeds = {request_seed(0, "hash", sample) for sample in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**31 for seed in seeds)
