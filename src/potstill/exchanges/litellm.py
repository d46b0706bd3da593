"""Reads rows of LiteLLM's logs: the table of spend logs, and the standard logging payload of its callbacks."""

from collections.abc import Iterator, Mapping
from typing import Any

from potstill.exchanges.chat import decoded, exchanges
from potstill.exchanges.record import Exchange, RowFault, mapping, text

_CALLS = ("", "completion", "acompletion", "responses", "aresponses")


def read_litellm(row: Mapping[str, Any], place: str, key: str | None = None) -> Iterator[Exchange]:
    """The exchanges of one row. Raises RowFault for calls that are no conversations, and rows without their text."""
    call = text(row.get("call_type"))
    if call not in _CALLS:
        raise RowFault(f"a call of type {call}, which is no conversation")
    stored = decoded(row.get("proxy_server_request"))
    body = mapping(mapping(stored).get("body")) or mapping(stored)
    said = decoded(row.get("messages")) or body.get("messages") or body.get("input")
    if not said:
        raise RowFault("LiteLLM stored no messages; it does with general_settings: store_prompts_in_spend_logs: true")
    if isinstance(said, str) and said.startswith("redacted"):
        raise RowFault("LiteLLM redacted the messages")
    parameters = mapping(decoded(row.get("model_parameters")))
    request = {"model": row.get("model"), **body, **parameters}
    request.pop("input", None)
    request["messages" if isinstance(said, list) and "aresponses" not in call else "input"] = said
    if isinstance(said, list) and any("type" in mapping(one) and "role" not in mapping(one) for one in said):
        request["input"] = request.pop("messages", said)
    response = decoded(row.get("response"))
    if isinstance(response, str) and response:  # some integrations keep the text alone
        response = {"choices": [{"message": {"role": "assistant", "content": response}}]}
    error = text(row.get("error_str")) or text(mapping(row.get("error_information")).get("error_message"))
    if row.get("status") == "failure" and not error:
        error = "LiteLLM recorded a failure"
    yield from exchanges(row, request, mapping(response) or None, place, key, error)
