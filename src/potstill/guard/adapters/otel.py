"""OpenTelemetry spans of calls to models, as OTLP JSON: the GenAI semantic conventions, and what came before them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from potstill.exchanges.record import RowFault, mapping, text
from potstill.guard.adapters.conversation import words

_BATCHES: Final = ("resourceSpans", "resource_spans", "batches")
_SCOPES: Final = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")  # of 64 bits
_OPERATIONS: Final = ("chat", "text_completion", "generate_content", "completion")
_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "account": ("enduser.id", "user.id", "gen_ai.user.id"),
    "organization": ("tenant.id", "organization.id"),
    "address_prefix": ("client.address", "http.client_ip"),
    "client": ("user_agent.original", "http.user_agent"),
    "tls_fingerprint": ("tls.client.ja3",),
    "model": ("gen_ai.request.model", "gen_ai.response.model"),
    "endpoint": ("url.path", "gen_ai.operation.name", "llm.request.type"),
    "temperature": ("gen_ai.request.temperature",),
    "max_tokens": ("gen_ai.request.max_tokens",),
    "n": ("gen_ai.request.choice.count",),
    "stream": ("gen_ai.request.stream", "llm.is_streaming"),
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "status": ("http.response.status_code", "http.status_code"),
    "conversation": ("gen_ai.conversation.id", "session.id"),
    "finish_reason": ("gen_ai.response.finish_reasons", "gen_ai.completion.0.finish_reason"),
}


def holds_spans(row: Mapping[str, Any]) -> bool:
    """Whether a row is a batch of spans."""
    return any(isinstance(row.get(name), list) for name in _BATCHES)


def read_spans(row: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """The fields of the event of every call to a model among a row's spans, and the span's attributes.

    Where a call is wrapped by another span of the same call, as frameworks do, the innermost counts. Raises RowFault
    where the row holds no spans.
    """
    spans = list(_spans(row))
    if not spans:
        raise RowFault("no spans in it")
    calls = [(span, attributes) for span, attributes in spans if _generates(attributes)]
    wrapped = {span.get("parentSpanId") for span, _ in calls}
    for span, attributes in calls:
        if not span.get("spanId") or span["spanId"] not in wrapped:
            yield _event(span, attributes), attributes


def _spans(row: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    for batch in _objects(row, _BATCHES):
        resource = _flat(mapping(batch.get("resource")).get("attributes"))
        for scope in _objects(batch, _SCOPES):
            for span in _objects(scope, ("spans",)):
                yield span, {**resource, **_flat(span.get("attributes"))}


def _objects(place: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    for name in names:
        found = place.get(name)
        yield from (one for one in found if isinstance(one, Mapping)) if isinstance(found, list) else ()


def _generates(attributes: Mapping[str, Any]) -> bool:
    operation = attributes.get("gen_ai.operation.name")
    return operation in _OPERATIONS if operation else "gen_ai.request.model" in attributes


def _event(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        field: next((attributes[name] for name in names if attributes.get(name) is not None), None)
        for field, names in _ATTRIBUTES.items()
    }
    if isinstance(found["finish_reason"], list):
        found["finish_reason"] = next(iter(found["finish_reason"]), None)
    found["time"] = span.get("startTimeUnixNano") or span.get("start_time_unix_nano")
    asked = _messages(attributes.get("gen_ai.input.messages")) or _numbered(attributes, "gen_ai.prompt")
    said = _messages(attributes.get("gen_ai.output.messages")) or _numbered(attributes, "gen_ai.completion")
    system = [one for role, one in asked if role in ("system", "developer")]
    system += [words(_decoded(attributes.get("gen_ai.system_instructions")))]
    found["prompt"] = next((one for role, one in reversed(asked) if role == "user"), None)
    found["system_prompt"] = "\n".join(one for one in system if one) or None
    found["answer"] = said[0][1] if said else None
    return found


def _messages(value: Any) -> list[tuple[str, str]]:
    """Role and text of messages: {"role", "parts": [{"type": "text", "content"}]}, or with content."""
    value = _decoded(value)
    messages = [mapping(one) for one in value] if isinstance(value, list) else []
    return [(text(one.get("role")), words(one.get("parts", one.get("content")))) for one in messages]


def _numbered(attributes: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    """Role and text of messages that are an attribute each: gen_ai.prompt.0.content."""
    found: list[tuple[str, str]] = []
    while f"{prefix}.{len(found)}.role" in attributes:
        at = f"{prefix}.{len(found)}"
        found.append((text(attributes[f"{at}.role"]), text(attributes.get(f"{at}.content"))))
    return found


def _flat(attributes: Any) -> dict[str, Any]:
    pairs = attributes if isinstance(attributes, list) else []
    return {text(mapping(one).get("key")): _value(mapping(one).get("value")) for one in pairs}


def _value(value: Any) -> Any:
    """A value of OTLP's JSON, which names its type and writes integers as texts."""
    for kind, inner in mapping(value).items():
        match kind:
            case "arrayValue":
                values = mapping(inner).get("values")
                return [_value(one) for one in values] if isinstance(values, list) else []
            case "kvlistValue":
                return _flat(mapping(inner).get("values"))
            case "intValue":
                return int(inner) if isinstance(inner, str) and _INTEGER.fullmatch(inner) else inner
            case _:
                return inner
    return None


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None
