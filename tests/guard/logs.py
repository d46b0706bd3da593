"""Logs to test with, as the gateways write them, and a way to read them into events."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from potstill.guard import EventStore, Intake, ingest, open_events

KEY = b"a key of the tests only"


def jsonl(path: Path, rows: Iterable[Any]) -> Path:
    """A file with one JSON value a line; texts are written as they are."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogatepass")
    return path


def stored(paths: list[Path], folder: Path, **how: Any) -> EventStore:
    """The events of these logs."""
    ingest(paths, folder, Intake(KEY, **how))
    return open_events(folder)


def everything(store: EventStore) -> list[dict[str, Any]]:
    """All events in the order of their time, without the day."""
    with store.connection() as connection:
        found = connection.sql("SELECT * EXCLUDE (day) FROM events ORDER BY time NULLS LAST").to_arrow_table()
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


LITELLM: dict[str, Any] = {
    "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05",
    "spend": 0.00225, "total_tokens": 30, "prompt_tokens": 10, "completion_tokens": 20,
    "startTime": "2025-01-24 09:20:46.847371", "endTime": "2025-01-24 09:20:47.851954", "model": "gpt-4o",
    "model_group": "big", "user": "anna", "team_id": "team-a", "organization_id": "", "end_user": "",
    "metadata": '{"user_agent": "openai-python/1.2"}', "requester_ip_address": "203.0.113.9", "messages": "{}",
    "response": "{}", "proxy_server_request": "{}", "session_id": "s-1", "status": "success", "request_tags": "[]",
}  # fmt: skip

CHAT: dict[str, Any] = {
    "time": "2026-03-01T12:00:00Z", "account": "acct-1", "plan": "pro", "ip_address": "198.51.100.7",
    "path": "/v1/chat/completions", "status": 200, "headers": {"User-Agent": "curl/8"},
    "request": {
        "model": "big-model", "temperature": 0.5, "max_completion_tokens": 64, "logprobs": True,
        "logit_bias": {"50256": -100},
        "messages": [
            {"role": "system", "content": "be short"},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": [{"type": "text", "text": "why is the sky blue?"}]},
        ],
    },
    "response": {
        "choices": [{"message": {"role": "assistant", "content": "scattering"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 5},
    },
}  # fmt: skip


def span(attributes: dict[str, Any], span_id: str = "b", parent: str = "a") -> dict[str, Any]:
    """One span with texts and integers as its attributes, as OTLP's JSON writes them."""
    values = [
        {"key": key, "value": {"intValue": str(one)} if isinstance(one, int) else {"stringValue": one}}
        for key, one in attributes.items()
    ]
    return {"spanId": span_id, "parentSpanId": parent, "startTimeUnixNano": "1772366400000000000", "attributes": values}


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    """A line of the collector's file exporter."""
    service = {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]}
    return {"resourceSpans": [{"resource": service, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}
