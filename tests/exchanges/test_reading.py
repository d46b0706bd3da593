"""Logs of every form as exchanges: what is read, what is refused with its place, and that nothing ends the reading."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.errors import PotstillError
from potstill.exchanges import FORMS, Exchange, Unreadable, find_form, read_exchanges
from potstill.exchanges.record import Form

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a kettle?"}]
REQUEST = {"model": "big", "messages": ASKED, "temperature": 0.2, "user": "u1"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "kettle"}'}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}


def response(text: str | None = "A pot.", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text} | more, "finish_reason": "stop"}
    return {
        "object": "chat.completion",
        "created": 1_752_728_594,
        "model": "big-1",
        "choices": [choice],
        "usage": USAGE,
    }


def write(path: Path, rows: Iterable[Any]) -> Path:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path, *rows: Any, form: Form | None = None, job: str | None = None) -> list[Exchange | Unreadable]:
    return list(read_exchanges([write(path / "log.jsonl", rows)], form, job))


def one(path: Path, row: Any, **options: Any) -> Exchange:
    (found,) = read(path, row, **options)
    assert isinstance(found, Exchange), found
    return found


@pytest.mark.parametrize(
    "row",
    [
        {"request": REQUEST, "response": response()},
        {"body": REQUEST, "response": response()},
        {"request": {"method": "POST", "body": REQUEST}, "response": {"status_code": 200, "body": response()}},
        {"request_body": json.dumps(REQUEST), "response_body": json.dumps(response())},
        {"input": REQUEST, "output": response()},
        {"kwargs": REQUEST, "response": response()},
        {**REQUEST, **response(), "model": "big"},
        {**REQUEST, "response": response()},
    ],
)
def test_a_chat_log_is_read_in_all_its_spellings(tmp_path: Path, row: dict[str, Any]) -> None:
    found = one(tmp_path, row)
    assert (found.messages, found.answer, found.finish_reason) == (tuple(ASKED), "A pot.", "stop")
    assert (found.model, found.time_s, dict(found.sampling)) == ("big", 1_752_728_594, {"temperature": 0.2})
    assert dict(found.usage) == {
        "input_tokens": 9,
        "cached_tokens": 4,
        "output_tokens": 3,
        "reasoning_tokens": None,
    }
    assert found.place.endswith("log.jsonl:1")
    assert found.job is None


def test_tools_calls_reasoning_and_formats_are_kept(tmp_path: Path) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    request = REQUEST | {"tools": [TOOL], "response_format": wanted, "tool_choice": "auto"}
    found = one(tmp_path, {"request": request, "response": response(None, tool_calls=[CALL], reasoning="Hm.")})
    assert (found.answer, found.tool_calls, found.reasoning, found.tools) == ("", (CALL,), "Hm.", (TOOL,))
    assert found.response_format == wanted
    old = {"functions": [TOOL["function"]]}
    found = one(
        tmp_path,
        {"request": REQUEST | old, "response": response(None, function_call=CALL["function"])},
    )
    assert found.tools == (TOOL,)
    assert found.tool_calls == ({"type": "function", "function": CALL["function"]},)


def test_several_choices_are_several_exchanges_and_tokens_count_once(tmp_path: Path) -> None:
    answer = response()
    answer["choices"] = [*answer["choices"], {"message": {"content": "A jar."}, "finish_reason": "length"}]
    first, second = read(tmp_path, {"request": REQUEST, "response": answer})
    assert isinstance(first, Exchange)
    assert isinstance(second, Exchange)
    assert [(x.choice, x.answer, x.finish_reason) for x in (first, second)] == [
        (0, "A pot.", "stop"),
        (1, "A jar.", "length"),
    ]
    assert first.usage
    assert not second.usage


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> str:
    part = {"index": index, "delta": delta, "finish_reason": finish}
    return "data: " + json.dumps({"object": "chat.completion.chunk", "model": "m", "choices": [part]}) + "\n\n"


def test_streams_are_put_together(tmp_path: Path) -> None:
    piece = {"index": 0, "function": {"arguments": '"kettle"}'}}
    opened = {"index": 0, "id": "c1", "function": {"name": "look_up", "arguments": '{"word": '}}
    stream = (
        chunk({"role": "assistant", "content": "A "})
        + chunk({"content": "pot."})
        + 'data: {"object": "chat.completion.chunk"}\n\n'
        + chunk({"tool_calls": [opened]})
        + chunk({"tool_calls": [piece]})
        + chunk({}, "tool_calls")
        + 'data: {"object": "chat.completion.chunk", "choices": [], "usage": '
        + json.dumps(USAGE) + "}\n\ndata: [DONE]\n"
    )  # fmt: skip
    found = one(tmp_path, {"request": REQUEST, "response": stream})
    assert (found.answer, found.finish_reason, found.usage["input_tokens"]) == ("A pot.", "tool_calls", 9)
    assert found.tool_calls == (CALL,)
    cut = one(tmp_path, {"request": REQUEST, "response": chunk({"content": "A "}) + 'data: {"object": "chat.comp'})
    assert (cut.answer, cut.finish_reason) == ("A ", "cut")
    nothing = read(tmp_path, {"request": REQUEST, "response": "data: {}\n\n"})
    assert nothing == [Unreadable(f"{tmp_path}/log.jsonl:1", "a stream of events without an answer in it")]


def test_failed_requests_have_no_answer_but_the_servers_words(tmp_path: Path) -> None:
    found = one(tmp_path, {"request": REQUEST, "response": {"error": {"message": "Too busy"}}, "status": 503})
    assert (found.answered, found.error) == (False, "Too busy")
    assert one(tmp_path, {"request": REQUEST, "response": None, "status": 500}).error == "HTTP 500"
    assert one(tmp_path, {"request": REQUEST}).error == ""


def test_the_responses_interface_becomes_chat(tmp_path: Path) -> None:
    request = {
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        ],
        "tools": [{"type": "function", "name": "weather", "parameters": {}}],
    }
    said = {"type": "message", "content": [{"type": "output_text", "text": "Sunny."}]}
    answer = {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
              "output": [{"type": "reasoning", "summary": [{"text": "Hm."}]}, said],
              "usage": {"input_tokens": 5, "output_tokens": 2}}  # fmt: skip
    found = one(tmp_path, {"request": request, "response": answer})
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    assert list(found.messages) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    assert found.tools == ({"type": "function", "function": {"name": "weather", "parameters": {}}},)
    assert (found.answer, found.reasoning, found.finish_reason, found.usage["output_tokens"]) == (
        "Sunny.", "Hm.", "length", 2,
    )  # fmt: skip
    earlier = {"request": request | {"previous_response_id": "r1"}, "response": answer}
    hosted = {"request": request, "response": {"object": "response", "output": [{"type": "web_search_call"}]}}
    assert [type(x) for x in read(tmp_path, earlier, hosted)] == [Unreadable, Unreadable]


def test_fine_tuning_rows_end_with_the_answer(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "A pot."}
    whole, called, open_ended, empty = read(
        tmp_path,
        {"messages": [*ASKED, answer]},
        {"messages": [*ASKED, {"role": "assistant", "tool_calls": [CALL]}], "tools": [TOOL]},
        {"messages": [*ASKED, answer, ASKED[1]]},
        {"messages": []},
    )
    assert isinstance(whole, Exchange)
    assert (whole.messages, whole.answer) == (tuple(ASKED), "A pot.")
    assert isinstance(called, Exchange)
    assert (called.answer, called.tool_calls, called.tools) == ("", (CALL,), (TOOL,))
    assert isinstance(open_ended, Exchange)
    assert (len(open_ended.messages), open_ended.answered) == (4, False)
    assert isinstance(empty, Unreadable)
    assert empty.reason == "no messages"


LITELLM = {"request_id": "1", "call_type": "acompletion", "startTime": "2025-01-24 09:20:46.5", "model": "big"}


def test_litellm_payloads_and_spend_rows(tmp_path: Path) -> None:
    payload = LITELLM | {"messages": ASKED, "response": response(), "model_parameters": {"tools": [TOOL]},
                         "request_tags": ["User-Agent: x", "glossary"], "status": "success"}  # fmt: skip
    spent = LITELLM | {"messages": "{}", "response": json.dumps(response()), "request_tags": "[]",
                       "proxy_server_request": json.dumps(REQUEST),
                       "metadata": '{"user_api_key_alias": "team-a"}'}  # fmt: skip
    failed = LITELLM | {"messages": ASKED, "response": {}, "status": "failure", "error_str": "Timeout"}
    bare = LITELLM | {"messages": "{}", "response": "{}", "proxy_server_request": "{}"}
    other = LITELLM | {"call_type": "aembedding", "messages": ASKED}
    found = read(tmp_path, payload, spent, failed, bare, other)
    first, second, third, *rest = found
    assert isinstance(first, Exchange)
    assert (first.answer, first.tools, first.job, first.time_s) == ("A pot.", (TOOL,), "glossary", 1737710446.5)
    assert isinstance(second, Exchange)
    assert (second.messages, second.answer, second.job) == (tuple(ASKED), "A pot.", "team-a")
    assert isinstance(third, Exchange)
    assert (third.answered, third.error) == (False, "Timeout")
    reasons = [x.reason for x in rest if isinstance(x, Unreadable)]
    assert reasons[0].endswith("store_prompts_in_spend_logs: true")
    assert reasons[1] == "a call of type aembedding, which is no conversation"


def batch(name: str, content: str) -> dict[str, Any]:
    body = {"model": "big", "messages": [{"role": "user", "content": content}]}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def outcome(name: str, text: str | None, words: str | None = None) -> dict[str, Any]:
    if words is not None:
        return {"custom_id": name, "response": {"status_code": 429, "body": {"error": {"message": words}}}}
    return {"custom_id": name, "response": {"status_code": 200, "body": response(text)}, "error": None}


def test_batch_files_are_joined_by_id_in_any_order(tmp_path: Path) -> None:
    asked = write(tmp_path / "input.jsonl", [batch("a", "kettle"), batch("b", "ladder"), batch("c", "anvil")])
    done = write(
        tmp_path / "output.jsonl",
        [outcome("c", "An anvil."), outcome("x", "Foreign"), outcome("a", None, "Busy"), outcome("a", "A kettle."),
         outcome("c", "Again.")],
    )  # fmt: skip
    found = list(read_exchanges([done, asked]))
    exchanges = [x for x in found if isinstance(x, Exchange)]
    assert [(x.place.rpartition("/")[2], x.answer) for x in exchanges] == [
        ("input.jsonl:1", "A kettle."), ("input.jsonl:2", None), ("input.jsonl:3", "An anvil."),
    ]  # fmt: skip
    left = [(x.place.rpartition("/")[2], x.reason) for x in found if isinstance(x, Unreadable)]
    assert left == [
        ("output.jsonl:2", "an answer to custom_id 'x': its request is not among the files"),
        ("output.jsonl:5", "an answer to custom_id 'c': another answer has been taken"),
    ]


def test_a_batch_id_for_two_requests_is_refused_and_one_sent_again_is_not(tmp_path: Path) -> None:
    first = write(tmp_path / "1.jsonl", [batch("a", "kettle"), batch("b", "ladder")])
    second = write(tmp_path / "2.jsonl", [batch("a", "kettle"), batch("b", "anvil")])
    third = write(tmp_path / "3.jsonl", [outcome("a", None, "Busy"), outcome("b", "Whose?")])
    found = list(read_exchanges([first, second, third]))
    assert [x.error for x in found if isinstance(x, Exchange)] == ["Busy"]
    reasons = [x.reason for x in found if isinstance(x, Unreadable)]
    assert len(reasons) == 2
    assert all("two different requests" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("row", "key", "job"),
    [
        ({"metadata": {"feature": "titles"}}, None, "titles"),
        ({"request": REQUEST | {"metadata": {"job": "titles"}}}, None, "titles"),
        ({"metadata": '{"task": "titles"}'}, None, "titles"),
        ({"feature": "titles"}, None, "titles"),
        ({"tags": ["b", "a"]}, None, "a+b"),
        ({"endpoint_name": "titles"}, None, "titles"),
        ({"extra": {"team": 7}}, "extra.team", "7"),
        ({"feature": "titles"}, "user", "u1"),
        ({"feature": "titles"}, "nowhere", None),
    ],
)
def test_the_job_is_what_the_log_gives(tmp_path: Path, row: dict[str, Any], key: str | None, job: str | None) -> None:
    assert one(tmp_path, {"request": REQUEST, "response": response(), **row}, job=key).job == job


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(1_700_000_000, 1.7e9), (1_700_000_000_000, 1.7e9), (1.7e9, 1.7e9), ("2023-11-14T22:13:20Z", 1.7e9),
     ("2023-11-14 22:13:20", 1.7e9), ("soon", 1_752_728_594), (True, 1_752_728_594)],
)  # fmt: skip
def test_times_in_all_spellings(tmp_path: Path, given: Any, seconds: float) -> None:
    assert one(tmp_path, {"timestamp": given, "request": REQUEST, "response": response()}).time_s == seconds


def test_gzip_arrays_objects_over_lines_and_folders(tmp_path: Path) -> None:
    rows = [{"request": REQUEST, "response": response(str(number))} for number in range(3)]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(x) + "\n" for x in rows).encode()))
    (tmp_path / "b.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    (tmp_path / "c.json").write_text("\n".join(json.dumps(x, indent=1) for x in rows), encoding="utf-8")
    (tmp_path / "d.json").write_text(json.dumps(rows) + "\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a log", encoding="utf-8")
    found = list(read_exchanges([tmp_path]))
    assert [x.answer for x in found if isinstance(x, Exchange)] == ["0", "1", "2"] * 4
    lines = len(json.dumps(rows[0], indent=1).splitlines())
    assert [x.place.rpartition(":")[2] for x in found[3:9]] == [str(at) for at in (2, 2 + lines, 2 + 2 * lines)] + [
        str(at) for at in (1, 1 + lines, 1 + 2 * lines)
    ]


def test_bad_rows_are_told_with_their_place_and_end_nothing(tmp_path: Path) -> None:
    good = {"request": REQUEST, "response": response()}
    path = tmp_path / "log.jsonl"
    bad = [b"{", b"[1]", b"\xff", b'{"a": 1}', b'{"request": {"messages": [1]}}', b"9" * 5000, b"[" * 100_000]
    path.write_bytes(b"\n".join([json.dumps(good).encode(), *bad, b"", json.dumps(good).encode()]))
    found = list(read_exchanges([path]))
    assert [x.place.rpartition(":")[2] for x in found if isinstance(x, Exchange)] == ["1", "10"]
    assert [x.place.rpartition(":")[2] for x in found if isinstance(x, Unreadable)] == [str(at) for at in range(2, 9)]
    array = tmp_path / "array.json"
    array.write_text(json.dumps([good], indent=1)[:-2] + ', {"x"', encoding="utf-8")
    exchange, rest = read_exchanges([array])
    assert isinstance(exchange, Exchange)
    assert isinstance(rest, Unreadable)
    assert "the rest of the file is not read" in rest.reason


def test_what_is_no_log_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PotstillError, match=r"nowhere\.jsonl: no such file"):
        list(read_exchanges([tmp_path / "nowhere.jsonl"]))
    with pytest.raises(PotstillError, match="not a log that is known"):
        list(read_exchanges([write(tmp_path / "x.jsonl", [{"a": 1}])]))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b'{"messages": []}\n' * 999)[:30])
    with pytest.raises(PotstillError, match=r"cut\.gz: cannot be read"):
        list(read_exchanges([tmp_path / "cut.gz"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(PotstillError, match="holds no log file"):
        list(read_exchanges([tmp_path / "empty"]))


NAMES = ["messages", "request", "response", "body", "choices", "message", "role", "content", "tools", "tool_calls",
         "function", "input", "output", "type", "custom_id", "call_type", "startTime", "metadata", "delta", "error",
         "proxy_server_request", "request_tags", "usage", "index", "text"]  # fmt: skip
WORDS = ["user", "assistant", "message", "function_call", "acompletion", "data: {}", "data: [1]", "{", "[]", "\ud800"]
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=14,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.sampled_from(NAMES), ANY, max_size=6), min_size=1, max_size=3), st.sampled_from(FORMS)
)
def test_any_json_is_an_exchange_or_a_reason(tmp_path: Path, rows: list[Any], form: Form) -> None:
    path = write(tmp_path / "any.jsonl", rows)
    for found in read_exchanges([path], form):
        if isinstance(found, Unreadable):
            assert found.reason
            assert "\n" not in found.reason
        else:
            assert all(isinstance(one["role"], str) for one in found.messages)
            assert found.answer is None or isinstance(found.answer, str)
    assert find_form([path]) in (*FORMS, None)
