"""Puts a recorded stream of server-sent events together into the reply that it would have been without streaming."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from potstill.exchanges.record import RowFault, mapping, text

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def is_stream(value: str) -> bool:
    """Whether a logged text is a stream of server-sent events."""
    return value.lstrip()[:6].startswith(("data:", "event:", ":"))


def assemble(stream: str) -> dict[str, Any]:
    """The chat completion, or the object of the Responses interface, that a stream spells.

    A choice whose end never came has the finish reason "cut". Raises RowFault where no event holds a reply.
    """
    events = list(_events(stream))
    for event in events:
        if text(event.get("type")) in ("response.completed", "response.incomplete", "response.failed"):
            return dict(mapping(event.get("response")))
    if any(text(event.get("type")).startswith("response.") for event in events):
        return _unfinished(events)
    chunks = [event for event in events if event.get("object") == "chat.completion.chunk" or "choices" in event]
    if not chunks:
        failed = next((event for event in events if event.get("error")), None)
        if failed is not None:
            return {"error": failed["error"]}
        raise RowFault("a stream of events without an answer in it")
    return _completion(chunks)


def _events(stream: str) -> Iterator[Mapping[str, Any]]:
    for line in stream.splitlines():
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data and data != "[DONE]":
            try:
                yield mapping(json.loads(data))
            except (ValueError, RecursionError):
                continue  # half a line where the recording stopped; the missing end shows as "cut"


def _completion(chunks: list[Mapping[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        whole |= {key: chunk[key] for key in ("id", "created", "model", "usage", "error") if chunk.get(key) is not None}
        for part in chunk.get("choices") or []:
            if isinstance(part, Mapping):
                _add(choices.setdefault(_index(part), {"message": {"role": "assistant"}}), part)
    for index, choice in choices.items():
        choice["index"] = index
        choice.setdefault("finish_reason", "cut")
        calls = choice["message"].get("tool_calls")
        if calls:
            choice["message"]["tool_calls"] = [calls[number] for number in sorted(calls)]
    return whole | {"object": "chat.completion", "choices": [choices[index] for index in sorted(choices)]}


def _add(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    message, delta = choice["message"], mapping(part.get("delta"))
    for name in _TEXTS:
        if text(delta.get(name)):
            message[name] = message.get(name, "") + delta[name]
    for call in delta.get("tool_calls") or []:
        if isinstance(call, Mapping):
            calls = message.setdefault("tool_calls", {})
            empty = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
            known, function = calls.setdefault(_index(call), empty), mapping(call.get("function"))
            known["id"] = known["id"] or call.get("id")
            known["function"]["name"] += text(function.get("name"))
            known["function"]["arguments"] += text(function.get("arguments"))
    if part.get("finish_reason"):
        choice["finish_reason"] = part["finish_reason"]


def _unfinished(events: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What had arrived of a Responses stream that was cut before its end."""
    whole: dict[str, Any] = {"object": "response", "status": "cut", "output": []}
    said = ""
    for event in events:
        if event.get("type") == "response.created":
            whole = {**mapping(event.get("response")), **whole}
        elif event.get("type") == "response.output_text.delta":
            said += text(event.get("delta"))
    part = {"type": "output_text", "text": said}
    return whole | {"output": [{"type": "message", "role": "assistant", "content": [part]}]}


def _index(part: Mapping[str, Any]) -> int:
    index = part.get("index")
    return index if isinstance(index, int) else 0
