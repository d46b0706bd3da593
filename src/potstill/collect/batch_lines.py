"""The lines of OpenAI's batch files: a request as an input line, an output line as what became of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from potstill.models.chat_completion import in_words, read_reply
from potstill.records import Reply, canonical_json

ID_DIGITS = 32  # of the request's key; providers allow 64 characters, and 128 bits tell any two requests apart
_AGAIN = {408, 409, 425, 429}
_UNFINISHED = {"batch_expired", "batch_cancelled", "batch_canceled"}

Outcome = Literal["answered", "refused", "failed", "unfinished"]


@dataclass(frozen=True, slots=True)
class Line:
    """What a provider says of one request: answered; refused for good; failed, worth another try; never begun."""

    custom_id: str
    outcome: Outcome
    reply: Reply | None = None
    raw: str = ""
    words: str = ""


class LineFault(ValueError):
    """A line that is none of a batch's output."""


def custom_id(key: str) -> str:
    """The name of a request in a batch: the beginning of its key, which is the hash of all that it asks."""
    return key[:ID_DIGITS]


def input_line(key: str, content: str) -> bytes:
    """A request of the journal as a line of an input file."""
    body = json.loads(content)["body"]
    line = {"custom_id": custom_id(key), "method": "POST", "url": "/v1/chat/completions", "body": body}
    return canonical_json(line).encode() + b"\n"


def read_line(text: str) -> Line:
    """One line of an output or an error file. Raises LineFault for anything else."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise LineFault(f"not JSON: {in_words(text)}") from None
    name = data.get("custom_id") if isinstance(data, Mapping) else None
    if not isinstance(name, str) or not name:
        raise LineFault(f"no custom_id: {in_words(text)}")
    response = data.get("response")
    return (
        _responded(name, response) if isinstance(response, Mapping) and response else _failed(name, data.get("error"))
    )


def _responded(name: str, response: Mapping[str, Any]) -> Line:
    body, status = response.get("body"), response.get("status_code", 200)
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            body = {"error": body}
    if status == 200:
        reply, raw = read_reply(body)
        if reply is not None:
            return Line(name, "answered", reply, raw)
        return Line(name, "failed", words=f"no answer in the reply: {in_words(json.dumps(body))}")
    words = f"HTTP {status}: {in_words(json.dumps(body))}"
    again = not isinstance(status, int) or status in _AGAIN or status >= 500
    return Line(name, "failed" if again else "refused", words=words)


def _failed(name: str, error: Any) -> Line:
    code = error.get("code") if isinstance(error, Mapping) else None
    words = in_words(json.dumps({"error": error}))
    said = f"{code}: {words}" if isinstance(code, str) and code != words else words
    return Line(name, "unfinished" if isinstance(code, str) and code in _UNFINISHED else "failed", words=said)
