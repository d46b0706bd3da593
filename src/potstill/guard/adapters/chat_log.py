"""Rows of request and response in the OpenAI form, with what a gateway logs beside them."""

from collections.abc import Mapping
from typing import Any, Final

from potstill.exchanges.chat import decoded, sides
from potstill.exchanges.record import RowFault, mapping
from potstill.guard.adapters.conversation import request_fields, response_fields, status_code
from potstill.guard.row import canonical

# Where gateways put it, the most telling name first; a field's own name comes before all of them.
_NAMES: Final = {
    "time": ("timestamp", "@timestamp", "ts", "start_time", "startTime", "created_at", "date"),
    "account": ("account_id", "user_id", "customer_id", "customer", "user"),
    "organization": ("organization_id", "org_id", "org", "team_id"),
    "key": ("api_key", "api_key_id", "key_id"),
    "payment": ("payment_id", "payment_token", "payment_method"),
    "signup_time": ("signed_up_at", "account_created_at"),
    "address_prefix": ("ip_address", "client_ip", "remote_addr", "ip"),
    "network": ("asn", "as_number"),
    "client": ("user_agent",),
    "tls_fingerprint": ("ja4", "ja3"),
    "endpoint": ("path", "url"),
    "conversation": ("conversation_id", "session_id", "thread_id"),
    "plan": ("tier", "subscription"),
}
_HEADERS: Final = {"client": "user-agent", "organization": "openai-organization", "address_prefix": "x-forwarded-for"}
_REQUEST_KEYS = ("messages", "input", "prompt", "model")


def read_chat_log(row: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The fields of a row's event, and the row. Raises RowFault where there is neither a request nor a response."""
    request, response = sides(row, _REQUEST_KEYS)
    if request is None and response is None:
        raise RowFault("neither a request nor a response in it")
    request, response = request or {}, response or {}
    found = {**request_fields(request), **response_fields(response)}
    found["model"] = found["model"] or response.get("model")
    if isinstance(decoded(row.get("response")), str) and not response:
        found["answer"] = row["response"]
    found["status"] = status_code(row, mapping(row.get("response")), response)
    # Names of the schema in the row itself, but not its objects: "prompt" may be one.
    found |= {name: value for name, value in canonical(row).items() if not isinstance(value, Mapping | list)}
    found["status"] = status_code(row) or found.get("status")
    for field, names in _NAMES.items():
        if found.get(field) is None:
            found[field] = next((row[name] for name in names if isinstance(row.get(name), str | int | float)), None)
    for field, value in _from_headers(row).items():
        if found.get(field) is None:
            found[field] = value
    if found.get("time") is None:
        found["time"] = response.get("created") or response.get("created_at")
    return found, row


def _from_headers(row: Mapping[str, Any]) -> dict[str, Any]:
    """What request headers tell, wherever the row keeps them."""
    places = (row.get("request_headers"), mapping(row.get("request")).get("headers"), row.get("headers"))
    named = next((mapping(one) for one in places if isinstance(one, Mapping)), {})
    headers = {str(name).casefold(): value for name, value in named.items()}
    found = {field: headers[name] for field, name in _HEADERS.items() if isinstance(headers.get(name), str)}
    if "address_prefix" in found:  # client, then the proxies that it came by
        found["address_prefix"] = found["address_prefix"].partition(",")[0].strip()
    return found
