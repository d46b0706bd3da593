"""Whatever a log holds, the doctor says something about it or ends with one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from planted import Log, tool

from potstill.doctor import examine, export, lines
from potstill.errors import PotstillError

KEYS = ["role", "content", "tool_calls", "function", "name", "arguments", "parameters", "type", "properties", "pattern",
        "$ref", "text", "id", "required", "json_schema", "schema"]  # fmt: skip
WORDS = ["user", "assistant", "system", "tool", "object", "string", "json_schema", "{", "[1]", "(", "#/nowhere",
         "\ud800", "I can't help with that.", "a@potstill-mail.dev"]  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)
TURN = st.fixed_dictionaries({"role": st.sampled_from(WORDS[:4]), "content": ANY}, optional={"tool_calls": ANY})
FUNCTION = st.fixed_dictionaries({"name": ANY, "parameters": ANY})
ROW = st.fixed_dictionaries(
    {"messages": st.lists(TURN, min_size=1, max_size=3)},
    optional={
        "tools": ANY | st.lists(st.fixed_dictionaries({"function": FUNCTION}), max_size=2),
        "response_format": ANY,
        "metadata": ANY,
        "choices": st.lists(st.fixed_dictionaries({"message": TURN}), max_size=2),
    },
)
BAD_PATTERN = {
    "messages": [{"role": "user", "content": "x"}],
    "tools": [{"function": {"name": "f", "parameters": {"properties": {"a": {"pattern": "("}}}}}],
    "choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": '{"a": "x"}'}}]}}],
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, min_size=1, max_size=4))
@example([BAD_PATTERN, BAD_PATTERN])
def test_any_log_has_a_report(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = ""
    try:
        examined = examine([path], "chat_log")
    except PotstillError as error:
        words = str(error)
    else:
        assert sum(export(examined, [path], tmp_path / "out", "chat_log").values()) == len(examined.columns)
        assert all("\n" not in line for line in lines(examined.diagnosis))
    assert "\n" not in words


@pytest.mark.parametrize("reference", ["#/nowhere", "https://potstill-mail.dev/schema.json"])
def test_a_schema_that_refers_elsewhere_judges_nothing(tmp_path: Path, reference: str) -> None:
    log = Log()
    offered = tool("find")
    offered["function"]["parameters"] = {"$ref": reference}
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    log.add(tools=[offered], answer={"content": None, "tool_calls": [call]})
    assert examine([log.write(tmp_path / "log.jsonl")]).diagnosis.total("usable") == 1
