"""OpenAI's Responses interface in the words of chat completions, as far as chat completions have words for it."""

from collections.abc import Mapping
from typing import Any

from potstill.exchanges.record import RowFault, mapping, text

_FINISHED = {"max_output_tokens": "length", "content_filter": "content_filter"}


def as_chat_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with messages instead of instructions and input, and functions as chat completions spell them.

    Raises RowFault where the conversation began in an earlier response, or holds what chat messages don't have.
    """
    if request.get("previous_response_id") or request.get("conversation"):
        raise RowFault("the conversation began in an earlier response, which is not in this row")
    given = request.get("input")
    if not isinstance(given, str | list) or "encoding_format" in request:
        raise RowFault("no conversation: the input is not a text or a list of messages")
    messages: list[dict[str, Any]] = []
    if text(request.get("instructions")):
        messages.append({"role": "system", "content": request["instructions"]})
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        _add(messages, mapping(item))
    converted = {**request, "messages": messages}
    tools = request.get("tools")
    if isinstance(tools, list):
        converted["tools"] = [_tool(mapping(one)) for one in tools]
    wanted = mapping(mapping(request.get("text")).get("format"))
    if wanted.get("type") == "json_schema":
        schema = {key: value for key, value in wanted.items() if key != "type"}
        converted["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted.get("type") == "json_object":
        converted["response_format"] = wanted
    return converted


def as_chat_response(response: Mapping[str, Any]) -> dict[str, Any]:
    """The response with one choice. Raises RowFault for answers by hosted tools, which logs have the outside of."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls, thoughts = [], []
    for item in response.get("output") or []:
        item = mapping(item)
        match item.get("type"):
            case "message":
                for part in item.get("content") or []:
                    message["content"] += text(mapping(part).get("text"))
                    if text(mapping(part).get("refusal")):
                        message["refusal"] = part["refusal"]
            case "function_call":
                calls.append(_call(item))
            case "reasoning":
                thoughts += [text(mapping(one).get("text")) for one in item.get("summary") or []]
            case other:
                raise RowFault(f"the answer holds an item of type {other!r}, which chat completions don't have")
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["reasoning"] = "\n".join(thoughts)
    choices = [{"index": 0, "message": message, "finish_reason": _finish(response, bool(calls))}]
    usage = mapping(response.get("usage"))
    converted = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }
    failed = response.get("status") == "failed" or (response.get("error") and not response.get("output"))
    return {**response, "choices": [] if failed else choices, "usage": converted}


def _finish(response: Mapping[str, Any], called: bool) -> str:
    why = text(mapping(response.get("incomplete_details")).get("reason"))
    if why:
        return _FINISHED.get(why, why)
    status = text(response.get("status")) or "completed"
    if status != "completed":
        return "cut" if status in ("cut", "in_progress", "incomplete", "cancelled") else status
    return "tool_calls" if called else "stop"


def _add(messages: list[dict[str, Any]], item: Mapping[str, Any]) -> None:
    kind = item.get("type") or ("message" if "role" in item else None)
    match kind:
        case "message":
            content = item.get("content")
            parts = [_content(mapping(one)) for one in content] if isinstance(content, list) else content
            messages.append({"role": item.get("role"), "content": parts})
        case "function_call":
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(_call(item))
        case "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")})
        case "reasoning":
            pass  # hidden thoughts of an earlier turn; the server drops them from the conversation too
        case other:
            raise RowFault(f"the request holds an item of type {other!r}, which chat messages don't have")


def _content(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text")}
    return dict(part)


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function" or "function" in tool:
        return dict(tool)
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}
