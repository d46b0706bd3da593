"""Reads the JSON of a chat completion, in the spellings that servers use, into a Reply."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from potstill.records import Reply

# The words that servers have for why an answer ended, in lower case. "cut" is Potstill's own, for a recorded stream
# that has no end.
CUT = frozenset({"length", "max_tokens", "model_length", "cut"})
FILTERED = frozenset({"content_filter", "safety", "blocked"})
REFUSED = frozenset({"refusal"})

_WORDS = 300  # characters of a server's own words that are worth keeping
_CLOSE = "</think>"


def read_reply(data: Any, text: str | None = None) -> tuple[Reply | None, str]:
    """The reply in a server's decoded JSON, None where there is none, and that JSON without the log-probabilities.

    `text` is what was decoded: kept as it stands where there are no log-probabilities to leave out.

    A refusal in a field of its own becomes the text, with "refusal" as the finish reason. Reasoning comes from
    `reasoning_content`, `reasoning`, thinking parts of the content, or what stands before `</think>` in it.
    """
    choice = _first(data.get("choices")) if isinstance(data, Mapping) else None
    message = choice.get("message") if choice else None
    if choice is None or not isinstance(message, Mapping) or choice.get("finish_reason") == "error":
        return None, ""
    content, thought = _content(message.get("content"))
    reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning")) or thought
    if not reasoning:
        reasoning, content = _split_thinking(content)
    refusal = _text(message.get("refusal"))
    reply = Reply(
        text=content or refusal,
        finish_reason="refusal" if refusal else _text(choice.get("finish_reason")),
        reasoning=reasoning,
        **read_usage(data),
        served_model=_text(data.get("model")) or None,
        top_logprobs=_logprobs(choice.get("logprobs")),
        tool_calls=_calls(message.get("tool_calls")),
    )
    if text is not None and not reply.top_logprobs:
        return reply, text
    kept = {**data, "choices": [{**choice, "logprobs": None}, *data["choices"][1:]]} if reply.top_logprobs else data
    return reply, _whole_characters(json.dumps(kept, ensure_ascii=False))


def read_usage(data: Mapping[str, Any]) -> dict[str, int | None]:
    """The token counts of a reply by the names of `Reply`'s fields, None where the server does not say."""
    usage = _mapping(data.get("usage"))
    cached = _count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    return {
        "input_tokens": _count(usage.get("prompt_tokens")),
        "cached_tokens": _count(usage.get("prompt_cache_hit_tokens")) if cached is None else cached,
        "output_tokens": _count(usage.get("completion_tokens")),
        "reasoning_tokens": _count(_mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")),
    }


def error_in(data: Any) -> tuple[int | None, str]:
    """The HTTP-like code of an error object in a reply, None where it has none, and its words."""
    error = data.get("error") if isinstance(data, Mapping) else None
    if not error or data.get("choices"):
        return None, ""
    code = error.get("code") if isinstance(error, Mapping) else None
    return (code if isinstance(code, int) and 300 <= code < 600 else None), in_words(json.dumps(data))


def holds_object(text: Any) -> bool:
    """Whether a text is a JSON object, as the arguments of a call have to be."""
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def in_words(text: str) -> str:
    """A server's own explanation in one line: the message in its JSON, else the start of the text."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, Mapping):
        error = data.get("error", data)
        found = error.get("message") or error.get("detail") if isinstance(error, Mapping) else error
        text = found if isinstance(found, str) else text
    if text.lstrip()[:1] == "<":
        text = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    line = " ".join(_whole_characters(text).split())
    return (line[:_WORDS] + "…" if len(line) > _WORDS else line) or "no words"


def _content(content: Any) -> tuple[str, str]:
    """Text and thinking of a message's content, which is a string, a list of parts, or null."""
    if not isinstance(content, list):
        return _text(content), ""
    parts = [part for part in content if isinstance(part, Mapping)]
    text = "".join(_text(part.get("text")) for part in parts if part.get("type") == "text")
    thoughts = [part.get("thinking") for part in parts if part.get("type") == "thinking"]
    return text, "".join(_content(thought)[0] for thought in thoughts)


def _split_thinking(content: str) -> tuple[str, str]:
    """Reasoning and answer; the opening tag may be missing, because many templates put it into the prompt."""
    opened = content.lstrip().startswith("<think>")
    if _CLOSE in content:
        before, _, after = content.partition(_CLOSE)
        return before.strip().removeprefix("<think>").strip(), after.lstrip()
    return (content.strip().removeprefix("<think>").strip(), "") if opened else ("", content)


def _logprobs(logprobs: Any) -> tuple[Mapping[str, Any], ...]:
    """One mapping a token, as `Reply.top_logprobs` describes it.

    Where a token's text does not spell its bytes (half a character), they are kept too: as "bytes", and as a third
    element of the entry in "top".
    """
    tokens = _mapping(logprobs).get("content")
    if not isinstance(tokens, list):
        return ()
    return tuple(_token(token) for token in tokens if isinstance(token, Mapping))


def _token(token: Mapping[str, Any]) -> Mapping[str, Any]:
    entries = [one for one in token.get("top_logprobs") or [] if isinstance(one, Mapping) and _nats(one) is not None]
    top = [[_text(entry.get("token")), _nats(entry), *_odd_bytes(entry)] for entry in entries]
    odd = _odd_bytes(token)
    bytes_kept = {"bytes": odd[0]} if odd else {}
    # Rounded logprobs may sum to a little over 1.
    tail = max(0.0, 1.0 - math.fsum(math.exp(min(_nats(one) or 0.0, 0.0)) for one in entries)) if top else None
    kept = {"token": _text(token.get("token")), "logprob": _nats(token), "top": top}
    return kept | ({} if tail is None else {"tail": tail}) | bytes_kept


def _nats(entry: Mapping[str, Any]) -> float | None:
    logprob = entry.get("logprob")
    return float(logprob) if isinstance(logprob, int | float) and math.isfinite(logprob) else None


def _odd_bytes(entry: Mapping[str, Any]) -> list[list[int]]:
    spelled = entry.get("bytes")
    if not isinstance(spelled, list) or spelled == list(_text(entry.get("token")).encode()):
        return []
    return [spelled]


def _calls(calls: Any) -> tuple[Mapping[str, Any], ...]:
    """The calls of functions; servers that give arguments as an object instead of JSON text are brought to the text."""
    if not isinstance(calls, list):
        return ()
    found = [(call, call["function"]) for call in calls if isinstance(call, Mapping) and _mapping(call.get("function"))]
    return tuple(
        {"id": _text(call.get("id")), "type": "function", "function": {"name": _text(function.get("name")), "arguments":
         _arguments(function.get("arguments"))}}
        for call, function in found
    )  # fmt: skip


def _arguments(value: Any) -> str:
    return _text(value) if isinstance(value, str) else _whole_characters(json.dumps(value or {}, ensure_ascii=False))


def _first(choices: Any) -> Mapping[str, Any] | None:
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return _whole_characters(value) if isinstance(value, str) else ""


def _whole_characters(text: str) -> str:
    """The text with half characters (lone surrogates, which JSON lets through) made whole or replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
