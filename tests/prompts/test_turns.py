"""Conversations with tool calls and their results, row by row tools, and what is refused with its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.config import Prompts
from potstill.errors import RecipeError
from potstill.prompts import load_prompts
from potstill.prompts.turns import read_turn
from potstill.records import Message
from potstill.store.prompts import read_prompts, write_prompts

CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "kettle"}'}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
USER = {"role": "user", "content": "what is a kettle"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "a vessel"}


def load(folder: Path, rows: list[dict[str, Any]], **section: Any) -> Any:
    path = folder / "prompts.jsonl"
    others = [{"prompt": f"something else {word}"} for word in ("anvil", "bridge", "candle")]
    path.write_text("\n".join(json.dumps(row) for row in rows + others), encoding="utf-8")
    return load_prompts(Prompts(source=path, holdout=0.3, **section)).prompts


def test_turns_of_tools_are_carried_and_come_back(tmp_path: Path) -> None:
    prompts = load(tmp_path, [{"prompt": [USER, CALLED, RESULT], "tools": [TOOL]}], tools="tools")
    first = prompts[0]
    assert first.messages == (
        Message("user", "what is a kettle"), Message("assistant", "", (CALL,)), Message("tool", "a vessel", (), "c1"),
    )  # fmt: skip
    assert first.tools == (TOOL,)
    assert [one.tools for one in prompts[1:]] == [(), (), ()]
    write_prompts(prompts, tmp_path / "prompts.parquet")
    assert read_prompts(tmp_path / "prompts.parquet") == list(prompts)


def test_a_field_called_tools_is_only_read_where_the_recipe_says_so(tmp_path: Path) -> None:
    assert load(tmp_path, [{"prompt": "what is a kettle", "tools": 3}])[0].tools == ()
    with pytest.raises(RecipeError, match=r"prompts\.jsonl:1: tools: must be a list of tools.*prompts\.tools"):
        load(tmp_path, [{"prompt": "what is a kettle", "tools": 3}], tools="tools")


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([USER, CALLED], "ends with a message of the assistant"),
        ([USER, RESULT], "tool_call_id 'c1' answers no call before it"),
        ([USER, CALLED, {**RESULT, "tool_call_id": "c2"}], "tool_call_id 'c2' answers no call before it"),
        ([USER, CALLED, {"role": "tool", "content": "x"}], "prompt[2]: a tool's message needs tool_call_id"),
        ([{**USER, "tool_calls": [CALL]}], "prompt[0]: a message has role and content only, not 'tool_calls'"),
        ([USER, {**CALLED, "tool_calls": [{"name": "f"}]}, USER], "prompt[1]: tool_calls must be a list of"),
        ([USER, {**CALLED, "tool_calls": []}, USER], "prompt[1]: content must be a text that is not empty"),
        ([{"role": "robot", "content": "x"}], "role 'robot' is not one of system, user, assistant, tool"),
    ],
)
def test_what_a_request_cannot_carry_is_refused_with_its_place(
    tmp_path: Path, turns: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, [{"prompt": turns}])
    assert words in str(caught.value)
    assert "prompts.jsonl:1" in str(caught.value)


NAMES = st.sampled_from(
    ["role", "content", "tool_calls", "id", "type", "function", "name", "arguments", "tool_call_id"]
)
WORDS = st.sampled_from(["user", "assistant", "tool", "function", "{}", '{"a": 1}', "\ud800", ""]) | st.text(max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(NAMES, one),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_a_turn_or_refused(value: Any) -> None:
    try:
        turn = read_turn(value, "here")
    except RecipeError:
        return
    assert Message.read(turn.plain) == turn
