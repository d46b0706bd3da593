"""Adapters: what each form of log has becomes the canonical event, with the columns that the gateways really write."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.logs import CHAT, KEY, LITELLM, everything, jsonl, otlp, span, stored
from potstill.exchanges.record import RowFault
from potstill.guard.adapters.chat_log import read_chat_log
from potstill.guard.adapters.litellm import read_litellm
from potstill.guard.adapters.otel import read_spans
from potstill.guard.pseudonyms import Pseudonyms
from potstill.guard.row import Cleaner
from potstill.guard.schema import FIELDS

NAMES = Pseudonyms(KEY)


def one(tmp_path: Path, row: Any, **how: Any) -> dict[str, Any]:
    """The only event of a log of this row, without the fields that it lacks."""
    (event,) = everything(stored([jsonl(tmp_path / "log.jsonl", [row])], tmp_path / "out", **how))
    return {name: value for name, value in event.items() if value is not None}


def test_a_request_and_its_response(tmp_path: Path) -> None:
    assert one(tmp_path, CHAT) == {
        "time": datetime(2026, 3, 1, 12, tzinfo=UTC), "account": NAMES.of("account", "acct-1"), "plan": "pro",
        "address_prefix": NAMES.of("address_prefix", "198.51.100.0/24"), "client": NAMES.of("client", "curl/8"),
        "model": "big-model", "endpoint": "/v1/chat/completions", "temperature": 0.5, "max_tokens": 64,
        "logprobs": True, "logit_bias": True, "input_tokens": 30, "output_tokens": 5, "status": 200,
        "prompt": "why is the sky blue?", "system_prompt": "be short", "answer": "scattering", "finish_reason": "stop",
    }  # fmt: skip


def test_a_refused_request_is_an_event_too(tmp_path: Path) -> None:
    refused = {**CHAT, "status": 429, "response": {"error": {"message": "slow down", "code": "rate_limit"}}}
    found = one(tmp_path, refused)
    assert found["status"] == 429
    assert "answer" not in found


def test_the_responses_interface(tmp_path: Path) -> None:
    row = {
        "timestamp": 1772366400, "user_id": 7, "previous": None,
        "request": {"model": "m", "input": "hello", "instructions": "be kind", "max_output_tokens": 9,
                    "previous_response_id": "r-0", "include": ["message.output_text.logprobs"]},
        "response": {"object": "response", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 2},
                     "output": [{"type": "web_search_call"},
                                {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}]},
    }  # fmt: skip
    found = one(tmp_path, row)
    assert found["account"] == NAMES.of("account", "7")
    assert (found["prompt"], found["system_prompt"], found["answer"]) == ("hello", "be kind", "hi")
    assert (found["max_tokens"], found["logprobs"], found["output_tokens"]) == (9, True, 2)


def test_litellm_spend_logs_have_no_prompts_by_default(tmp_path: Path) -> None:
    assert one(tmp_path, LITELLM) == {
        "time": datetime(2025, 1, 24, 9, 20, 46, 847371, UTC), "account": NAMES.of("account", "anna"),
        "organization": NAMES.of("organization", "team-a"), "key": NAMES.of("key", LITELLM["api_key"]),
        "address_prefix": NAMES.of("address_prefix", "203.0.113.0/24"), "model": "big", "endpoint": "acompletion",
        "client": NAMES.of("client", "openai-python/1.2"), "input_tokens": 10, "output_tokens": 20, "status": 200,
        "conversation": NAMES.of("conversation", "s-1"),
    }  # fmt: skip


def test_litellm_with_prompts_and_a_failure(tmp_path: Path) -> None:
    row = {
        **LITELLM, "status": "failure", "user": "", "end_user": "visitor-3",
        "metadata": json.dumps({"error_information": {"error_code": "429"}}),
        "messages": json.dumps([{"role": "user", "content": "hello"}]),
        "proxy_server_request": json.dumps({"max_tokens": 12, "temperature": 1, "stream": True}),
        "response": json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "length"}]}),
    }  # fmt: skip
    found = one(tmp_path, row)
    assert found["account"] == NAMES.of("account", "visitor-3")
    assert (found["status"], found["prompt"], found["answer"], found["finish_reason"]) == (429, "hello", "hi", "length")
    assert (found["max_tokens"], found["temperature"], found["stream"]) == (12, 1.0, True)


def test_litellm_calls_without_text_are_no_events() -> None:
    with pytest.raises(RowFault, match="generates no text"):
        read_litellm({**LITELLM, "call_type": "aembedding"})


def test_spans_of_the_conventions(tmp_path: Path) -> None:
    asked = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hello"}]}])
    said = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "hi"}], "finish_reason": "stop"}])
    call = span({
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.request.max_tokens": 50,
        "gen_ai.request.choice.count": 3, "gen_ai.usage.input_tokens": 4, "gen_ai.usage.output_tokens": 2,
        "gen_ai.conversation.id": "c-1", "gen_ai.input.messages": asked, "gen_ai.output.messages": said,
        "gen_ai.system_instructions": '[{"type": "text", "content": "be kind"}]', "user.id": "anna",
        "client.address": "203.0.113.9", "user_agent.original": "curl/8", "http.response.status_code": 200,
    })  # fmt: skip
    tool = span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}, "c", "b")
    wrapper = span({"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 4}, "a", "")
    found = one(tmp_path, otlp(wrapper, call, tool))
    assert found == {
        "time": datetime(2026, 3, 1, 12, tzinfo=UTC), "account": NAMES.of("account", "anna"), "model": "m",
        "address_prefix": NAMES.of("address_prefix", "203.0.113.0/24"), "client": NAMES.of("client", "curl/8"),
        "conversation": NAMES.of("conversation", "c-1"), "endpoint": "chat", "max_tokens": 50, "n": 3,
        "input_tokens": 4, "output_tokens": 2, "status": 200, "prompt": "hello", "answer": "hi",
        "system_prompt": "be kind",
    }  # fmt: skip


def test_spans_with_an_attribute_a_message(tmp_path: Path) -> None:
    call = span({
        "gen_ai.request.model": "m", "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "be kind",
        "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "hello", "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "hi", "customer.number": "A-7",
    })  # fmt: skip
    found = one(tmp_path, otlp(call), columns={"account": "customer.number"})
    assert (found["prompt"], found["system_prompt"], found["answer"]) == ("hello", "be kind", "hi")
    assert found["account"] == NAMES.of("account", "A-7")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from([
    "request", "response", "messages", "input", "choices", "usage", "status", "headers", "metadata", "startTime",
    "call_type", "resourceSpans", "scopeSpans", "spans", "attributes", "model", "logprobs", "include", "output",
    *FIELDS,
])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_KEYS, _JSON | st.dictionaries(_KEYS, _JSON, max_size=5), max_size=8))
def test_no_row_breaks_an_adapter(row: dict[str, Any]) -> None:
    cleaner = Cleaner(NAMES)
    for read in (lambda: [read_chat_log(row)], lambda: [read_litellm(row)], lambda: list(read_spans(row))):
        with suppress(RowFault):
            for fields, _ in read():
                assert fields.keys() <= set(FIELDS)
                cleaner.clean(fields)
