"""Endpoints: what is sent, what is read, and what each kind of failure means; against real sockets."""

import asyncio
import contextlib
import json
import math
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))

from scripted_server import ScriptedServer, Step, answer, busy, failure, http_date, page

from potstill import config
from potstill.errors import RecipeError
from potstill.models.chat_completion import read_reply
from potstill.models.client import Fatal, Permanent, Retry, retry_after_s
from potstill.models.http import Endpoint, Sampling, cost_usd, request_body
from potstill.models.scripted import ScriptedModel
from potstill.records import Message, Reply

QUESTION = (Message("system", "be brief"), Message("user", "what is a kettle?"))
SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=32, seed=11)
KEY = "sk-secret-0123456789"


def ask(base_url: str, sampling: Sampling = SAMPLING, **section: object) -> Reply:
    async def once() -> Reply:
        fields = {"base_url": base_url, "model": "big", "timeout_s": 5} | section
        async with Endpoint(config.Endpoint.model_validate(fields)) as endpoint:
            return await endpoint.complete(QUESTION, sampling)

    return asyncio.run(once())


@pytest.fixture(scope="module")
def server():
    with ScriptedServer() as running:
        yield running


def reply_to(server: ScriptedServer, step: Step, **section: object) -> Reply:
    server.script = lambda call: step
    return ask(server.base_url, **section)


def test_the_body_says_everything_that_can_change_the_answer(server: ScriptedServer) -> None:
    reply = reply_to(server, answer("A vessel."))
    assert reply == Reply("A vessel.", "stop", input_tokens=12, output_tokens=5, served_model="served-1")
    assert server.calls[-1].body == {
        "model": "big",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is a kettle?"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 32,
        "seed": 11,
    }
    assert server.calls[-1].headers["Content-Type"] == "application/json"
    assert "Authorization" not in server.calls[-1].headers


def test_the_key_is_sent_and_comes_back_nowhere(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIG_KEY", KEY)
    reply = reply_to(server, answer(f"your key is {KEY}"), api_key_env="BIG_KEY")
    assert server.calls[-1].headers["Authorization"] == f"Bearer {KEY}"
    assert reply.text == "your key is [key]"
    for status, kind in [(400, Permanent), (401, Fatal), (500, Retry)]:
        with pytest.raises(kind) as caught:
            reply_to(server, failure(status, f"Incorrect API key provided: {KEY}"), api_key_env="BIG_KEY")
        assert KEY not in str(caught.value)
        assert "Incorrect API key provided: [key]" in str(caught.value)
    assert KEY not in repr(Endpoint(config.Endpoint(base_url="http://a/v1", model="m", api_key_env="BIG_KEY")))


@pytest.mark.parametrize(("value", "words"), [(None, "NO_KEY is not set"), (" ", "is not set"), ("a\nb", "one line")])
def test_a_missing_or_broken_key_is_a_recipe_error(value: str | None, words: str, monkeypatch) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_KEY", value)
    with pytest.raises(RecipeError, match=words):
        Endpoint(config.Endpoint(base_url="http://a/v1", model="m", api_key_env="NO_KEY"))


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 90},
    "completion_tokens_details": {"reasoning_tokens": 40},
}


def test_usage_with_cached_and_reasoning_tokens(server: ScriptedServer) -> None:
    reply = reply_to(server, answer("x", usage=USAGE))
    assert (reply.input_tokens, reply.cached_tokens, reply.output_tokens, reply.reasoning_tokens) == (100, 90, 50, 40)
    reply = reply_to(server, answer("x", usage=None))
    assert (reply.input_tokens, reply.cached_tokens, reply.output_tokens, reply.reasoning_tokens) == (None,) * 4


def test_cost_is_that_of_vector_row_8() -> None:
    prices = config.Prices(input=1.4, cached_input=0.26, output=4.4)
    reply = Reply("x", "stop", input_tokens=27147, cached_tokens=27146, output_tokens=351)
    assert cost_usd(reply, prices) == pytest.approx(0.00860376, abs=1e-12)


@pytest.mark.parametrize(
    ("reply", "prices", "cost"),
    [
        (Reply("x", "stop", input_tokens=10, output_tokens=10), None, None),
        (Reply("x", "stop", output_tokens=10), config.Prices(input=1, output=1), None),
        (Reply("x", "stop", input_tokens=10), config.Prices(input=1, output=1), None),
        (
            Reply("x", "stop", input_tokens=10, cached_tokens=4, output_tokens=5),
            config.Prices(input=2, output=1),
            25e-6,
        ),
        (Reply("x", "stop", input_tokens=10, output_tokens=5), config.Prices(input=0, output=0), 0.0),
    ],
)
def test_an_unknown_cost_is_unknown_and_never_zero(reply, prices, cost) -> None:
    assert cost_usd(reply, prices) == (cost if cost is None else pytest.approx(cost))


TEXT = {"type": "text", "text": "so"}


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"text": None, "reasoning_content": "hmm"}, "", "hmm"),
        ({"text": "so", "reasoning": "hmm"}, "so", "hmm"),
        ({"text": "<think>hmm</think>\n\nso"}, "so", "hmm"),
        ({"text": "hmm\n</think>\nso"}, "so", "hmm"),
        ({"text": "<think>hmm, and the tokens ran out"}, "", "hmm, and the tokens ran out"),
        ({"text": "hmm</think>"}, "", "hmm"),
        ({"text": [{"type": "thinking", "thinking": [TEXT | {"text": "hmm"}]}, TEXT]}, "so", "hmm"),
        ({"text": "so"}, "so", ""),
    ],
)  # fmt: skip
def test_reasoning_is_kept_apart(server: ScriptedServer, message, text: str, reasoning: str) -> None:
    reply = reply_to(server, answer(**message))
    assert (reply.text, reply.reasoning) == (text, reasoning)


def test_a_refusal_field_is_a_refusal(server: ScriptedServer) -> None:
    reply = reply_to(server, answer(None, refusal="I can't help with that."))
    assert (reply.text, reply.finish_reason) == ("I can't help with that.", "refusal")


def test_top_logprobs_are_read_and_left_out_of_the_raw_reply(server: ScriptedServer) -> None:
    entry = {"token": "A", "logprob": -0.1, "bytes": [65]}
    half = {"token": "\N{REPLACEMENT CHARACTER}", "logprob": -3.0, "bytes": [0xE6]}
    nothing = {"token": "C", "logprob": None}
    content = [{**entry, "top_logprobs": [entry, half, nothing]}, {**half, "top_logprobs": [half]}]
    reply = reply_to(server, answer("A", logprobs={"content": content}), sampling=SAMPLING)
    odd = "\N{REPLACEMENT CHARACTER}"
    assert reply.top_logprobs == (
        {
            "token": "A",
            "logprob": -0.1,
            "top": [["A", -0.1], [odd, -3.0, [0xE6]]],
            "tail": pytest.approx(1 - math.exp(-0.1) - math.exp(-3.0)),
        },
        {
            "token": odd,
            "logprob": -3.0,
            "top": [[odd, -3.0, [0xE6]]],
            "tail": pytest.approx(1 - math.exp(-3.0)),
            "bytes": [0xE6],
        },
    )
    body = request_body(
        config.Endpoint(base_url="http://localhost/v1", model="m"), QUESTION, Sampling(1, 1, 1, 0, top_logprobs=5)
    )
    assert (body["logprobs"], body["top_logprobs"]) == (True, 5)
    _, raw = read_reply(json.loads(answer("A", logprobs={"content": content}).body))
    assert json.loads(raw)["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "A"},
        "finish_reason": "stop",
        "logprobs": None,
    }


def test_half_a_character_does_not_break_the_journal(server: ScriptedServer) -> None:
    reply = reply_to(server, answer("ok \ud83d end \U0001f600"))  # json spells the first as a lone surrogate
    assert reply.text == "ok \N{REPLACEMENT CHARACTER} end \U0001f600"


@pytest.mark.parametrize(
    ("step", "kind", "words"),
    [
        (failure(400, "maximum context length is 8 tokens"), Permanent, "HTTP 400: maximum context length is 8 tokens"),
        (failure(413, "too large"), Permanent, "too large"),
        (failure(422, "bad field"), Permanent, "bad field"),
        (Step(400, '{"detail": "wrong"}'), Permanent, "HTTP 400: wrong"),
        (failure(403, "Your input was flagged by moderation"), Permanent, "flagged"),
        (failure(401, "bad key"), Fatal, r"/v1: refuses the key \(HTTP 401: bad key\); check api_key_env"),
        (failure(403, "not yours"), Fatal, "refuses the key"),
        (failure(404, "no such model"), Fatal, "no such model.*check base_url and model"),
        (failure(402, "no credit"), Fatal, "nothing left"),
        (Step(429, '{"error": {"message": "x", "code": "insufficient_quota"}}'), Fatal, "nothing left"),
        (Step(308, headers={"Location": "https://b/v1"}), Fatal, "redirects to https://b/v1"),
        (page(), Fatal, "web page"),
        (page(404), Fatal, "Hello It works!"),
        (page(502), Retry, "HTTP 502: Hello It works!"),
        (failure(500), Retry, "HTTP 500: no"),
        (Step(200, '{"choices": [{"mess'), Retry, "not JSON"),
        (Step(200, "[" * 100_000), Retry, "not JSON"),
        (Step(200, "[]"), Retry, "no answer in the reply"),
        (Step(200, '{"choices": []}'), Retry, "no answer in the reply"),
        (Step(200, '{"error": {"message": "over capacity", "code": 503}}'), Retry, "HTTP 503: over capacity"),
        (Step(200, '{"error": {"message": "too long", "code": 400}}'), Permanent, "HTTP 400: too long"),
        (Step(200, '{"error": "boom"}'), Retry, "no answer in the reply: boom"),
        (Step(reset="before"), Retry, "connection failed"),
        (Step(reset="middle", body='{"choices": '), Retry, "connection failed"),
    ],
)  # fmt: skip
def test_what_a_failure_means(server: ScriptedServer, step: Step, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        reply_to(server, step)
    assert "\n" not in str(caught.value)


def test_no_answer_in_time_is_worth_another_try(server: ScriptedServer) -> None:
    with pytest.raises(Retry, match=r"no answer within 0\.1 s") as caught:
        reply_to(server, Step(hold=True), timeout_s=0.1)
    assert caught.value.overloaded


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_and_as_a_date(server: ScriptedServer, status: int) -> None:
    for value in ("61", http_date(61)):
        with pytest.raises(Retry) as caught:
            reply_to(server, busy(value, status))
        assert caught.value.after_s == pytest.approx(61, abs=1.01)
    with pytest.raises(Retry) as caught:
        reply_to(server, busy(None, status))
    assert caught.value.after_s is None
    assert caught.value.overloaded


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
        # The clock here may be wrong by years: the server's own Date counts.
        ({"Retry-After": "Wed, 21 Oct 2015 07:29:00 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 60.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_retry_after_spellings(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_no_route_is_fatal_at_first() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Fatal, match=rf"teacher.endpoint: http://127.0.0.1:{port}/v1: no route"):
            ask(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(Fatal, match="no route"):
        ask("http://nowhere.invalid/v1")


def test_a_route_that_has_worked_is_worth_waiting_for() -> None:
    async def twice() -> None:
        server = ScriptedServer().__enter__()
        async with Endpoint(config.Endpoint(base_url=server.base_url, model="m", timeout_s=5)) as endpoint:
            await endpoint.complete(QUESTION, SAMPLING)
            await asyncio.to_thread(server.__exit__)
            with pytest.raises(Retry, match="connection failed"):
                await endpoint.complete(QUESTION, SAMPLING)

    asyncio.run(twice())


def test_a_wrong_certificate_is_fatal(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse_once() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ssl.SSLError, ConnectionError):
            context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=refuse_once)
    thread.start()
    with pytest.raises(Fatal, match="certificate"):
        ask(f"https://127.0.0.1:{listener.getsockname()[1]}/v1")
    thread.join()
    listener.close()


def test_the_path_and_query_of_the_base_url_are_kept(server: ScriptedServer) -> None:
    server.script = lambda call: answer("x")
    assert ask(server.base_url + "/?version=1").text == "x"


def test_the_scripted_model_answers_like_an_endpoint() -> None:
    model = ScriptedModel({"what is a kettle?": "a vessel for water"})
    reply = asyncio.run(model.complete(QUESTION, SAMPLING))
    assert (reply.text, reply.finish_reason, reply.output_tokens) == ("a vessel for water", "stop", 4)
    cut = asyncio.run(model.complete(QUESTION, Sampling(0, 1, 2, 0)))
    assert (cut.text, cut.finish_reason) == ("a vessel", "length")
    with pytest.raises(Permanent):
        asyncio.run(model.complete((Message("user", "what is rain?"),), SAMPLING))
    echo = ScriptedModel(lambda messages: messages[-1].content)
    assert asyncio.run(echo.complete(QUESTION, SAMPLING)).text == "what is a kettle?"
