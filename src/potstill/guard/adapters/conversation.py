"""What a request and its response say, in OpenAI's interfaces: the fields of the event that both forms of log share."""

from collections.abc import Mapping
from typing import Any

from potstill.exchanges.record import mapping, text

_SYSTEM = ("system", "developer")


def request_fields(request: Mapping[str, Any]) -> dict[str, Any]:
    """Model, parameters and texts of a request: chat completions, responses or the older completions."""
    limit = next((request[name] for name in _LIMITS if request.get(name) is not None), None)
    prompt, system_prompt = asked(request)
    return {
        "model": request.get("model"),
        "temperature": request.get("temperature"),
        "max_tokens": limit,
        "n": request.get("n"),
        "logprobs": _wants_logprobs(request),
        "logit_bias": bool(request["logit_bias"]) if "logit_bias" in request else None,
        "stream": request.get("stream"),
        "prompt": prompt,
        "system_prompt": system_prompt,
    }


_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def _wants_logprobs(request: Mapping[str, Any]) -> bool | None:
    """Whether log-probabilities are asked for; the older interface has their number there, 0 for those drawn alone."""
    included = request.get("include")
    if isinstance(included, list) and any("logprobs" in text(one) for one in included):
        return True
    flag = request.get("logprobs")
    if flag is None:
        return True if request.get("top_logprobs") else None
    return flag is not False


def asked(request: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The last message of the user, and the system's messages; None for what is not there."""
    said = request.get("messages", request.get("input", request.get("prompt")))
    system = [text(request.get("instructions"))]
    user = said if isinstance(said, str) else None
    for message in said if isinstance(said, list) else []:
        role = mapping(message).get("role")
        if role == "user":
            user = words(message.get("content"))
        elif role in _SYSTEM:
            system.append(words(message.get("content")))
    return user or None, "\n".join(one for one in system if one) or None


def words(content: Any) -> str:
    """The text of a message's content: a text, or parts of which some are texts."""
    if isinstance(content, list):
        parts = (mapping(part) for part in content)
        return "\n".join(text(part.get("text")) or text(part.get("content")) for part in parts).strip()
    return text(content)


def response_fields(response: Mapping[str, Any]) -> dict[str, Any]:
    """Answer, its end and token counts of a response: chat completions, responses or the older completions."""
    usage = mapping(response.get("usage"))
    choices = response.get("choices")
    first = mapping(choices[0]) if isinstance(choices, list) and choices else {}
    message = mapping(first.get("message"))
    answer = words(message.get("content")) or text(first.get("text")) or text(message.get("refusal"))
    finish = first.get("finish_reason")
    output = response.get("output")
    if not first and isinstance(output, list):
        items = [mapping(one) for one in output]
        answer = "\n".join(words(one.get("content")) for one in items if one.get("type") == "message")
        finish = mapping(response.get("incomplete_details")).get("reason") or response.get("status")
    return {
        "answer": answer or None,
        "finish_reason": finish,
        "input_tokens": _first(usage, "prompt_tokens", "input_tokens"),
        "output_tokens": _first(usage, "completion_tokens", "output_tokens"),
    }


def status_code(*places: Mapping[str, Any]) -> int | None:
    """The HTTP status that the first of these places has: its status, or the code of its error."""
    for place in places:
        error = mapping(place.get("error"))
        for value in (place.get("status_code"), place.get("status"), error.get("code"), error.get("status")):
            number = int(value) if isinstance(value, str) and len(value) == 3 and value.isdecimal() else value
            if isinstance(number, int) and not isinstance(number, bool) and 100 <= number <= 599:
                return number
    return None


def _first(place: Mapping[str, Any], *names: str) -> Any:
    return next((place[name] for name in names if place.get(name) is not None), None)
