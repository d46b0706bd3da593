"""Reads rows of OpenAI fine-tuning files: a conversation whose last turn of the assistant is the answer."""

from collections.abc import Iterator, Mapping
from typing import Any

from potstill.exchanges.chat import exchanges
from potstill.exchanges.record import Exchange, RowFault


def read_fine_tuning(row: Mapping[str, Any], place: str, key: str | None = None) -> Iterator[Exchange]:
    """The exchange of one row {"messages": […]}, with its tools where it has some.

    Everything before the last turn of the assistant is the prompt; a conversation that ends with another turn has no
    answer. Raises RowFault where there are no messages.
    """
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RowFault("no messages")
    response = None
    if isinstance(messages[-1], Mapping) and messages[-1].get("role") == "assistant":
        response = {"choices": [{"message": messages[-1]}]}
        messages = messages[:-1]
    request = {**row, "messages": messages}
    yield from exchanges(row, request, response, place, key)
