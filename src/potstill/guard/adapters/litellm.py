"""Rows of LiteLLM: its table LiteLLM_SpendLogs, and the standard logging payload that its callbacks get."""

from collections.abc import Mapping
from typing import Any, Final

from potstill.exchanges.chat import decoded
from potstill.exchanges.record import RowFault, mapping
from potstill.guard.adapters.conversation import request_fields, response_fields, status_code

_OTHER_CALLS: Final = ("embedding", "rerank", "moderation", "image", "speech", "transcription", "file", "batch", "mcp")


def read_litellm(row: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The fields of a row's event, and the row with its JSON texts read.

    The account is the internal user, else the end user, else the key's hash; the organization falls back on the team.
    Prompts are there only where the proxy was told `store_prompts_in_spend_logs`. Raises RowFault for calls that are
    no text generation.
    """
    call = str(row.get("call_type") or "")
    if any(name in call for name in _OTHER_CALLS):
        raise RowFault("a call that generates no text")
    metadata = mapping(_decoded(row.get("metadata")))
    stored = mapping(_decoded(row.get("proxy_server_request")))
    body = mapping(stored.get("body")) or stored
    request = {**body, **mapping(_decoded(row.get("model_parameters")))}
    messages = _decoded(row.get("messages"))
    if isinstance(messages, list) and messages:
        request["messages"] = messages
    response = _decoded(row.get("response"))
    found = {**request_fields(request), **response_fields(mapping(response))}
    if isinstance(response, str) and response:
        found["answer"] = response
    key = row.get("api_key") or metadata.get("user_api_key_hash") or metadata.get("user_api_key")
    user = row.get("user") or metadata.get("user_api_key_user_id")
    end_user = row.get("end_user") or metadata.get("user_api_key_end_user_id")
    usage = {"input_tokens": row.get("prompt_tokens"), "output_tokens": row.get("completion_tokens")}
    requester = mapping(metadata.get("requester_custom_headers"))
    return {
        **found,
        **{name: value for name, value in usage.items() if value is not None},
        "time": row.get("startTime"),
        "account": user or end_user or key,
        "organization": row.get("organization_id") or metadata.get("user_api_key_org_id") or row.get("team_id")
        or metadata.get("user_api_key_team_id"),
        "key": key,
        "address_prefix": row.get("requester_ip_address") or metadata.get("requester_ip_address"),
        "client": metadata.get("user_agent") or requester.get("user-agent"),
        "model": row.get("model_group") or row.get("model") or found["model"],
        "endpoint": call or None,
        "stream": row.get("stream") if found["stream"] is None else found["stream"],
        "status": _status(row, metadata),
        "conversation": row.get("session_id") or row.get("trace_id"),
    }, {**row, "metadata": metadata, "proxy_server_request": stored}  # fmt: skip


def _status(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> int | None:
    """LiteLLM says success or failure, and the code of a failure beside it; a failure without one has no status."""
    if row.get("status") == "success":
        return 200
    for place in (mapping(row.get("error_information")), mapping(metadata.get("error_information"))):
        code = status_code({"status": place.get("error_code")})
        if code is not None:
            return code
    return None


def _decoded(value: Any) -> Any:
    """A column of JSON; most rows hold an empty object there."""
    return None if value in ("{}", "[]", "") else decoded(value)
