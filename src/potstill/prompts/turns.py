"""One turn of a prompt's conversation from its JSON, with its tool calls; refuses what a request cannot carry."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from potstill.config.requests import check_tools
from potstill.errors import RecipeError
from potstill.models.chat_completion import holds_object
from potstill.records import Message

_ROLES = ("system", "user", "assistant", "tool")
_KEYS = {"assistant": {"role", "content", "tool_calls"}, "tool": {"role", "content", "tool_call_id"}}


def read_turn(value: Any, where: str) -> Message:
    """A message with role and content, an assistant's with tool_calls, a tool's with tool_call_id.

    Raises RecipeError, which begins with `where`, for anything else.
    """
    if isinstance(value, dict) and value.get("tool_calls"):
        value = {**value, "content": value.get("content") or ""}
    if not isinstance(value, dict) or not {"role", "content"} <= value.keys():
        raise RecipeError(f"{where}: not a message; write it as {{role, content}}")
    role, content = value["role"], value["content"]
    if extra := value.keys() - _KEYS.get(role if isinstance(role, str) else "", {"role", "content"}):
        raise RecipeError(f"{where}: a message has role and content only, not {', '.join(map(repr, sorted(extra)))}")
    if role not in _ROLES:
        raise RecipeError(f"{where}: role {role!r} is not one of {', '.join(_ROLES)}")
    calls = value.get("tool_calls")
    if not isinstance(content, str) or not (content.strip() or calls or role == "tool"):
        raise RecipeError(f"{where}: content must be a text that is not empty")
    call_id = value.get("tool_call_id")
    if role == "tool" and not (isinstance(call_id, str) and call_id):
        raise RecipeError(f"{where}: a tool's message needs tool_call_id, the id of the call that it answers")
    message = Message(role, content, _calls(calls, where), call_id)
    try:
        json.dumps(message.plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RecipeError(f"{where}: content holds half a character (a lone surrogate); write the file anew") from None
    return message


def check_order(messages: Sequence[Message], where: str) -> None:
    """Raises RecipeError where a tool's message answers no call of the turns before it."""
    called: set[str] = set()
    for message in messages:
        called |= {str(call["id"]) for call in message.tool_calls}
        if message.tool_call_id is not None and message.tool_call_id not in called:
            raise RecipeError(f"{where}: tool_call_id {message.tool_call_id!r} answers no call before it")


def read_tools(value: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    """A row's own tools; none for null. Raises RecipeError where they are no list of functions."""
    if value is None:
        return ()
    try:
        return check_tools(value)
    except ValueError as error:
        raise RecipeError(f"{where}: {error} (prompts.tools)") from None


def _calls(value: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(map(_is_call, value)):
        raise RecipeError(
            f"{where}: tool_calls must be a list of {{id, type: function, function: {{name, arguments}}}}, the "
            "arguments as JSON text"
        )
    return tuple(value)


def _is_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(call.get("id"), str) or call.get("type") != "function":
        return False
    return isinstance(function.get("name"), str) and holds_object(function.get("arguments"))
