"""What one exchange says by itself: its digests for comparison, and the reasons against it that need no other."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from potstill.doctor.findings import Reason
from potstill.exchanges import Exchange
from potstill.models.chat_completion import CUT, FILTERED, REFUSED
from potstill.texts.normal import plain_text, same_text
from potstill.texts.refusals import refusal
from potstill.texts.schemas import JsonSchema

SHORT_WORDS = 12  # up to here two answers that differ contradict each other; longer ones may be two wordings
_SYSTEM = ("system", "developer")
_FIRST_WORDS = 4
_SCHEMAS_KEPT = 1000
_SYSTEM_CHARACTERS = 4000  # by which jobs are told apart


@dataclass(frozen=True, slots=True)
class Facts:
    """One exchange, read."""

    prompt: int  # 64-bit digests, of normalised texts
    answer: int
    short: bool
    reasons: tuple[Reason, ...]
    system: str | None  # its system messages in their plain form, None where it has none
    first_words: str  # with which the user's first message begins
    own: str  # the user's words
    said: str  # the answer's text, with its tool calls
    spoken: str  # all text of the conversation but the system's
    toolset: Mapping[str, str]  # function name: digest of its parameters


def digest(text: str) -> int:
    """64 bits of BLAKE2b."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest(), "big")


def content_text(content: Any) -> str:
    """The text of a message's content; parts that are no text by their JSON, so that other images are other prompts."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    parts = content if isinstance(content, list) else [content]
    return "\n".join(
        part["text"] if isinstance(part, dict) and isinstance(part.get("text"), str) else json.dumps(part)
        for part in parts
    )


def content_words(content: Any) -> str:
    """The text of a message's content, without the parts that are none."""
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content if isinstance(content, str) else ""


def compared_text(one: Exchange) -> str:
    """What near duplicates are judged on: the user's words and the answer with its calls."""
    own = [content_words(turn.get("content")) for turn in one.messages if turn["role"] == "user"]
    return "\n".join([*own, _said(one, _called(one.tool_calls))])


@dataclass(slots=True)
class FactReader:
    """Reads exchanges into facts; keeps the schemas that it has met, because a log repeats a few of them."""

    _schemas: dict[str, JsonSchema | None] = field(default_factory=dict)
    _toolsets: dict[str, dict[str, str]] = field(default_factory=dict)

    def read(self, one: Exchange) -> Facts:
        """The facts of an exchange."""
        system = [content_text(turn.get("content")) for turn in one.messages if turn["role"] in _SYSTEM]
        own = [content_words(turn.get("content")) for turn in one.messages if turn["role"] == "user"]
        others = [content_words(turn.get("content")) for turn in one.messages if turn["role"] not in (*_SYSTEM, "user")]
        tools = json.dumps(one.tools, sort_keys=True) if one.tools else ""
        called = _called(one.tool_calls)
        said = _said(one, called)
        return Facts(
            prompt=digest("\0".join([*map(_turn, one.messages), tools])),
            answer=digest(_normal_answer(one.answer or "", called)),
            short=bool(called) or _is_short(one.answer or ""),
            reasons=self._reasons(one),
            system=same_text("\n".join(system))[:_SYSTEM_CHARACTERS] if system else None,
            first_words=" ".join(same_text(own[0][:200]).split()[:_FIRST_WORDS]) if own else "",
            own="\n".join(own),
            said=said,
            spoken="\n".join([*own, *others, said]),
            toolset=self._toolset(one, tools),
        )

    def _reasons(self, one: Exchange) -> tuple[Reason, ...]:
        """Why an exchange speaks against itself; an answer that is not there has nothing else wrong with it."""
        if one.answer is None:
            return ("failed",) if one.error else ("unanswered",)
        finish = one.finish_reason.casefold()
        if finish in FILTERED:
            return ("filtered",)
        if finish in REFUSED or (not one.tool_calls and refusal(one.answer)):
            return ("refused",)
        if not one.answer.strip() and not one.tool_calls:
            return ("truncated",) if finish in CUT else ("empty",)
        if finish in CUT:
            return ("truncated",)
        found: list[Reason] = []
        if one.tool_calls and not self._calls_fit(one):
            found.append("invalid_tool_call")
        if not one.tool_calls and one.response_format and not self._is_wanted_json(one.response_format, one.answer):
            found.append("invalid_json")
        return tuple(found)

    def _calls_fit(self, one: Exchange) -> bool:
        """Whether every call names a tool of the request and has the arguments that it takes."""
        known = {
            str(tool["function"].get("name")): tool["function"]
            for tool in one.tools
            if isinstance(tool.get("function"), Mapping)
        }
        for call in one.tool_calls:
            function = call.get("function")
            if not isinstance(function, Mapping):
                continue  # of another type than functions, which have no schema
            if known and function.get("name") not in known:
                return False
            arguments = function.get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            schema = known.get(str(function.get("name")), {}).get("parameters")
            if self._fails(schema if isinstance(schema, Mapping) else {"type": "object"}, text or "{}"):
                return False
        return True

    def _is_wanted_json(self, wanted: Mapping[str, Any], answer: str) -> bool:
        match wanted.get("type"):
            case "json_object":
                return not self._fails({"type": "object"}, answer)
            case "json_schema":
                inner = wanted.get("json_schema")
                schema = inner.get("schema") if isinstance(inner, Mapping) else None
                return not isinstance(schema, Mapping) or not self._fails(schema, answer)
            case _:
                return True

    def _fails(self, schema: Mapping[str, Any], text: str) -> bool:
        """Whether a text fails a schema; against a schema that is none itself nothing can fail."""
        name = json.dumps(schema, sort_keys=True)
        if name not in self._schemas:
            if len(self._schemas) >= _SCHEMAS_KEPT:
                self._schemas.clear()
            try:
                self._schemas[name] = JsonSchema(schema)
            except ValueError:
                self._schemas[name] = None
        known = self._schemas[name]
        try:
            return known is not None and known.failure(text) is not None
        except ValueError:  # it refers to another schema, which is not in the log
            return False

    def _toolset(self, one: Exchange, tools: str) -> Mapping[str, str]:
        wanted = (
            one.response_format if one.response_format and one.response_format.get("type") == "json_schema" else None
        )
        name = f"{tools}\0{json.dumps(wanted, sort_keys=True) if wanted else ''}"
        if name == "\0":
            return {}
        if name not in self._toolsets:
            if len(self._toolsets) >= _SCHEMAS_KEPT:
                self._toolsets.clear()
            functions = [tool["function"] for tool in one.tools if isinstance(tool.get("function"), Mapping)]
            found = {str(each.get("name")): _shape(each.get("parameters")) for each in functions}
            if wanted is not None:
                found["(response format)"] = _shape(wanted.get("json_schema"))
            self._toolsets[name] = found
        return self._toolsets[name]


def _turn(turn: Mapping[str, Any]) -> str:
    calls = turn.get("tool_calls")
    return f"{turn['role']}\1{plain_text(content_text(turn.get('content')))}\1{json.dumps(calls) if calls else ''}"


def _called(calls: tuple[Mapping[str, Any], ...]) -> str:
    """The calls of an answer as one text, without their ids, which are new each time."""
    if not calls:
        return ""
    return json.dumps([_canonical_call(one.get("function")) for one in calls], sort_keys=True, ensure_ascii=False)


def _canonical_call(function: Any) -> Any:
    if not isinstance(function, Mapping):
        return function
    return [function.get("name"), _value(function.get("arguments"))]


def _value(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text


def _said(one: Exchange, called: str) -> str:
    return "\n".join(filter(None, (one.answer or "", called)))


def _normal_answer(answer: str, called: str) -> str:
    value = _value(answer) if answer.lstrip()[:1] in ("{", "[") else answer
    text = plain_text(answer) if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return f"{text}\0{called}"


def _is_short(answer: str) -> bool:
    if answer.lstrip()[:1] in ("{", "[") and not isinstance(_value(answer), str):
        return True
    return len(answer) <= 20 * SHORT_WORDS and len(answer.split()) <= SHORT_WORDS


def _shape(schema: Any) -> str:
    """The digest of a schema without its descriptions and titles: other words for the same arguments are no drift."""
    return f"{digest(json.dumps(_bare(schema), sort_keys=True)):016x}"


def _bare(schema: Any, names: bool = False) -> Any:
    """`names`: the keys are names of properties, not words of the schema language."""
    if isinstance(schema, Mapping):
        return {
            key: _bare(value, key == "properties" and not names)
            for key, value in schema.items()
            if names or key not in ("description", "title", "examples")
        }
    return [_bare(one) for one in schema] if isinstance(schema, list) else schema
