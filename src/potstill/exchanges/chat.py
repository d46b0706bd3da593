"""Reads rows that hold a request and its response in the OpenAI form, in the spellings that logs have for it."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from potstill.exchanges import responses
from potstill.exchanges.jobs import job_of
from potstill.exchanges.record import Exchange, RowFault, mapping, text
from potstill.exchanges.streams import assemble, is_stream
from potstill.models.chat_completion import error_in, in_words, read_reply, read_usage

_REQUESTS = ("request", "request_body", "body", "input", "kwargs")
_RESPONSES = ("response", "response_body", "completion", "output")
_TIMES = ("time", "timestamp", "@timestamp", "ts", "start_time", "startTime", "created_at", "created", "date")
_SAMPLING = (
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "max_output_tokens", "seed", "n", "stop",
    "presence_penalty", "frequency_penalty", "tool_choice", "reasoning_effort",
)  # fmt: skip


def read_chat_log(row: Mapping[str, Any], place: str, key: str | None = None) -> Iterator[Exchange]:
    """The exchanges of one row: {"request", "response"}, {"body", "response"}, {"messages", "choices"} and the like.

    Request and response may lie in a "body" of their own, be JSON texts, or, for the response, a recorded stream.
    Raises RowFault where there is no conversation in the row.
    """
    request, response = sides(row)
    if request is None:
        raise RowFault("no request with messages in it")
    status = mapping(row.get("response")).get("status_code") or row.get("status_code") or row.get("status")
    error = text(row.get("error")) or error_in(row)[1]
    failed = isinstance(status, int) and status >= 400
    if failed and not (response and response.get("error")):
        error = error or f"HTTP {status}"
    yield from exchanges(row, request, response, place, key, error)


def exchanges(
    row: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any] | None, place: str,
    key: str | None, error: str = "",
) -> Iterator[Exchange]:  # fmt: skip
    """The exchanges of a request and its response, one a choice, in either of OpenAI's interfaces."""
    if "input" in request and "messages" not in request:
        request = responses.as_chat_request(request)
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RowFault("the request has no messages")
    if not all(isinstance(one, Mapping) and isinstance(one.get("role"), str) for one in messages):
        raise RowFault("the request holds a message without a role")
    response = response or {}
    if response.get("object") == "response" or isinstance(response.get("output"), list):
        response = responses.as_chat_response(response)
    common: dict[str, Any] = {
        "place": place,
        "messages": tuple(messages),
        "tools": _tools(request),
        "response_format": mapping(request.get("response_format")) or None,
        "sampling": {name: request[name] for name in _SAMPLING if request.get(name) is not None},
        "model": text(request.get("model")) or text(response.get("model")) or None,
        "time_s": time_of(row, response),
        "job": job_of(row, request, key),
    }
    choices = response.get("choices")
    if not isinstance(choices, list) or not choices:
        yield Exchange(answer=None, error=error or error_in(response)[1], **common)
        return
    for number, choice in enumerate(choices):
        reply, _ = read_reply({**response, "choices": [choice]})
        if reply is None:
            yield Exchange(answer=None, error=error or in_words(json.dumps(choice)), choice=number, **common)
            continue
        yield Exchange(
            answer=reply.text,
            tool_calls=_calls(mapping(choice.get("message"))),
            reasoning=reply.reasoning,
            finish_reason=reply.finish_reason,
            usage=read_usage(response) if number == 0 else {},
            choice=number,
            **common,
        )


def sides(
    row: Mapping[str, Any], telling: tuple[str, ...] = ("messages", "input")
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The request of a row, known by one of the `telling` keys, and its response; None for what the row lacks."""
    request = _part(row, _REQUESTS, telling)
    return request, _part(row, _RESPONSES, ("choices", "output", "error"), skip=request)


def decoded(value: Any) -> Any:
    """A logged body as an object: JSON texts are read, streams put together, other texts left as they are."""
    if not isinstance(value, str):
        return value
    if is_stream(value):
        return assemble(value)
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def time_of(row: Mapping[str, Any], response: Mapping[str, Any]) -> float | None:
    """Seconds since the epoch of when a row was logged, or else of when its answer was made."""
    for place in (row, mapping(row.get("request")), response):
        for name in _TIMES:
            found = _seconds(place.get(name))
            if found is not None:
                return found
    return None


def _seconds(value: Any) -> float | None:
    """Numbers are seconds, milliseconds or finer, by their size; texts are ISO 8601, in UTC where they don't say."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 1e8 < value < 1e20:
        while value > 1e11:
            value /= 1000
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _part(
    row: Mapping[str, Any], names: tuple[str, ...], telling: tuple[str, ...], skip: Any = None
) -> Mapping[str, Any] | None:
    """The request or response of a row, known by one of the `telling` keys, under its names or in the row itself."""
    for name in names:
        found = decoded(row.get(name))
        if isinstance(found, Mapping) and found is not skip:
            inner = found
            for _ in range(2):  # {"response": {"status_code": 200, "body": {…}}}
                if any(one in inner for one in telling):
                    return inner
                inner = next(
                    (mapping(decoded(inner.get(one))) for one in ("body", "json", "data") if inner.get(one)), {}
                )
            if any(one in inner for one in telling):
                return inner
    return row if any(one in row for one in telling) else None


def _tools(request: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The tools of a request; the older `functions` become tools."""
    tools, functions = request.get("tools"), request.get("functions")
    if not tools and isinstance(functions, list):
        tools = [{"type": "function", "function": one} for one in functions]
    return tuple(one for one in tools if isinstance(one, Mapping)) if isinstance(tools, list) else ()


def _calls(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    calls, older = message.get("tool_calls"), message.get("function_call")
    if not calls and isinstance(older, Mapping):
        calls = [{"type": "function", "function": older}]
    return tuple(one for one in calls if isinstance(one, Mapping)) if isinstance(calls, list) else ()
