"""What the recipe says of a request besides its messages: tools, the form of the answer, fields of one server."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.errors import RecipeError

TOOL_CHOICES = ("auto", "none", "required")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FORMS = ("json_schema", "json_object", "text")
# What Potstill sets itself: an answer's key and cost rest on it. Of the second row a server may take none.
_OWN = {
    "model", "messages", "max_tokens", "max_completion_tokens", "tools", "tool_choice", "response_format", "logprobs",
    "top_logprobs", "n", "stream",
}  # fmt: skip
_LEFT_OUT_AT_MOST = {"temperature", "top_p", "seed"}


def check_tools(tools: Any) -> tuple[Mapping[str, Any], ...]:
    """A list of functions in the form of chat completions. Raises ValueError with what is wrong with the first."""
    if not isinstance(tools, Sequence) or isinstance(tools, str) or not tools:
        raise ValueError("must be a list of tools that is not empty")
    names: set[str] = set()
    for at, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) and tool.get("type") == "function" else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"[{at}] is not a tool; write it as {{type: function, function: {{name: …, parameters: {{…}}}}}}, the "
                "name in letters, digits, _ and -"
            )
        if name in names:
            raise ValueError(f"[{at}]: a second tool is called {name!r}")
        names.add(name)
        _plain(tool, f"[{at}]")
    return tuple(tools)


def tool_names(tools: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The functions' names."""
    return tuple(str(tool["function"]["name"]) for tool in tools)


def asked_choice(choice: str | None) -> str | Mapping[str, Any] | None:
    """`tool_choice` as a request has it."""
    if choice is None or choice in TOOL_CHOICES:
        return choice
    return {"type": "function", "function": {"name": choice}}


def asked_format(given: Any) -> Mapping[str, Any]:
    """`response_format` as a request has it: a bare JSON schema becomes a strict one. Raises ValueError for another."""
    if not isinstance(given, Mapping):
        raise ValueError("must be a JSON schema, or the path of a file that holds one")
    _plain(given, "")
    if given.get("type") in _FORMS:
        if given["type"] == "json_schema" and not isinstance(given.get("json_schema"), Mapping):
            raise ValueError("of type json_schema needs json_schema: {name: …, schema: {…}}")
        return given
    if not {"type", "properties", "$ref", "anyOf", "enum", "const"} & given.keys():
        raise ValueError("is no JSON schema; it has neither type nor properties")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(given.get("title", ""))).strip("_")[:64] or "answer"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": dict(given), "strict": True}}


def check_extra_body(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields that only this server knows. Raises ValueError for those that Potstill sets itself."""
    if taken := sorted(_OWN & extra.keys()):
        raise ValueError(f"{taken[0]} is set by Potstill from the rest of the recipe; leave it out here")
    for name in _LEFT_OUT_AT_MOST & extra.keys():
        if extra[name] is not None:
            raise ValueError(f"{name} is set under collect; null here leaves it out for a server that refuses it")
    _plain(extra, "")
    return extra


def read_files(data: Mapping[str, Any], base: Path, origin: str) -> Mapping[str, Any]:
    """The recipe's data with collect.tools and collect.response_format read where they are paths.

    The run folder's recipe then holds what was asked, whatever becomes of the files. Raises RecipeError where a file
    cannot be read.
    """
    section = data.get("collect")
    if not isinstance(section, Mapping):
        return data
    paths = {key: section[key] for key in ("tools", "response_format") if isinstance(section.get(key), str)}
    read = {key: _json(base / path, f"{origin}: collect.{key}") for key, path in paths.items()}
    return {**data, "collect": {**section, **read}} if read else data


def _json(path: Path, where: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise RecipeError(f"{where}: {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{where}: {path}: cannot be read ({error})") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{where}: {path}: not JSON ({error})") from None


def _plain(value: Any, where: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where + ': ' if where else ''}must be plain JSON ({error})") from None
