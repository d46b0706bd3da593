"""Reads the prompts, drops what is there twice, and splits them so that no held-out prompt resembles a training one."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from potstill.config import Prompts
from potstill.errors import RecipeError
from potstill.prompts.resemblance import resembling
from potstill.prompts.turns import check_order, read_tools, read_turn
from potstill.records import Message, Prompt, content_hash
from potstill.store.prompts import read_prompts, write_prompts

__all__ = ["PromptSet", "load_prompts", "prompt_hash", "read_prompts", "with_tools", "write_prompts"]

_SALT = "potstill split 1"  # changing it would move every prompt of every old run


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts of a run in the order of their file, and what became of the rows that are not among them."""

    prompts: tuple[Prompt, ...]
    rows: int  # read from the file
    exact_duplicates: int  # rows left out because an earlier one says the same
    near_duplicates: int  # training prompts left out because they resemble a held-out one
    crossing: int  # pairs of a training and a held-out prompt that resembled each other


def load_prompts(section: Prompts) -> PromptSet:
    """Read, deduplicate and split the prompts of a recipe. Raises RecipeError with file and line on the first fault.

    Held out are the round(holdout · n) prompts, of n different ones, whose salted content hashes are smallest: which
    ones does not depend on the order of the file. Then training prompts that resemble a held-out one are left out.
    """
    rows = 0
    unique: dict[str, Prompt] = {}
    for source, messages, tag, tools in _read(section):
        rows += 1
        identity = prompt_hash(messages, tools)
        first = unique.setdefault(identity, Prompt(messages, "train", source, identity, tag, tools))
        if first.tag != tag:
            raise RecipeError(
                f"{source}: the same prompt as {first.source}, which has the tag {first.tag!r} where this has {tag!r} "
                "(prompts.tag); a prompt has one"
            )
        if rows == section.limit:
            break
    if not rows:
        raise RecipeError(f"{section.source}: holds no prompt; write one JSON object with {section.field!r} a line")
    held = _held_out(unique, section)
    split = [replace(prompt, split="holdout") if prompt.hash in held else prompt for prompt in unique.values()]
    pairs = resembling(
        [_text(prompt, section) for prompt in split],
        [at for at, prompt in enumerate(split) if prompt.split == "holdout"],
    )
    left_out = {other for _, other in pairs}
    kept = tuple(prompt for at, prompt in enumerate(split) if at not in left_out)
    if all(prompt.split == "holdout" for prompt in kept):
        raise RecipeError(
            f"{section.source}: every training prompt resembles a held-out one, so nothing is left to train on; "
            "give prompts that differ more"
        )
    return PromptSet(kept, rows, rows - len(unique), len(left_out), len(pairs))


def prompt_hash(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str:
    """The content hash of a conversation, with its row's own tools if it has any: what `Prompt.hash` holds."""
    turns = [message.plain for message in messages]
    return content_hash({"messages": turns, "tools": list(tools)} if tools else turns)


def with_tools(prompts: Sequence[Prompt], tools: Sequence[Mapping[str, Any]]) -> list[Prompt]:
    """The prompts with these tools where they have none of their own; hashes, and so the split, stay."""
    return [replace(prompt, tools=tuple(tools)) if tools and not prompt.tools else prompt for prompt in prompts]


def _held_out(unique: Mapping[str, Prompt], section: Prompts) -> set[str]:
    number = round(section.holdout * len(unique))
    if not 1 <= number < len(unique):
        raise RecipeError(
            f"prompts.holdout: {section.holdout:g} of {len(unique)} different prompts in {section.source} is {number}; "
            "at least one must be held out and one left to train on"
        )
    return set(sorted(unique, key=lambda one: hashlib.sha256(f"{_SALT}:{one}".encode()).digest())[:number])


def _text(prompt: Prompt, section: Prompts) -> str:
    """What resemblance is judged on: the row's own words of the user, because the rest is the same for all."""
    words = [message.content for message in prompt.messages if message.role == "user"]
    return "\n".join(words[len(section.examples) :])


def _read(section: Prompts) -> Iterator[tuple[str, tuple[Message, ...], str | None, tuple[Mapping[str, Any], ...]]]:
    """Place, messages, tag and own tools of each row; lines that are blank are passed over."""
    try:
        with section.source.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    where = f"{section.source}:{number}"
                    row = _row(line, section.field, where)
                    yield (
                        where,
                        _messages(_field(row, "field", section.field, where), section, where),
                        _tag(row, section, where),
                        read_tools(row.get(section.tools), f"{where}: {section.tools}") if section.tools else (),
                    )
    except FileNotFoundError:
        raise RecipeError(f"prompts.source: {section.source}: no such file") from None
    except OSError as error:
        raise RecipeError(f"prompts.source: {section.source}: cannot be read ({error.strerror})") from None


def _row(line: bytes, field: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise RecipeError(f"{where}: not UTF-8 text; save the file as UTF-8") from None
    except RecursionError:
        raise RecipeError(f"{where}: not a prompt (nested too deeply)") from None
    except ValueError as error:
        raise RecipeError(f"{where}: not JSON ({error}); each line must be one JSON object") from None
    if not isinstance(row, dict):
        raise RecipeError(f"{where}: not a JSON object; write it as {{{json.dumps(field)}: …}}")
    return row


def _field(row: dict[str, Any], key: str, field: str, where: str) -> Any:
    if field not in row:
        there = ", ".join(map(repr, list(row)[:8])) or "nothing"
        raise RecipeError(f"{where}: no field {field!r} (prompts.{key}); there is {there}")
    return row[field]


def _tag(row: dict[str, Any], section: Prompts, where: str) -> str | None:
    """The row's tag; None where the recipe names no field for it, or the field is null."""
    if section.tag is None:
        return None
    tag = _field(row, "tag", section.tag, where)
    if tag is not None and (not isinstance(tag, str) or not tag.strip()):
        raise RecipeError(f"{where}: {section.tag} must be a text that is not empty, or null for no tag (prompts.tag)")
    return tag


def _messages(value: Any, section: Prompts, where: str) -> tuple[Message, ...]:
    """The conversation of one row, with the recipe's system message in front where it brings none."""
    if isinstance(value, str):
        messages = [read_turn({"role": "user", "content": value}, f"{where}: {section.field}")]
    elif isinstance(value, list):
        messages = [read_turn(one, f"{where}: {section.field}[{at}]") for at, one in enumerate(value)]
    else:
        kind = {dict: "an object", type(None): "null", bool: "a boolean"}.get(type(value), "a number")
        raise RecipeError(f"{where}: {section.field} is {kind}; it must be a text or a list of messages")
    if not messages or messages[-1].role not in ("user", "tool"):
        ends = f"ends with a message of the {messages[-1].role}" if messages else "is an empty list"
        raise RecipeError(f"{where}: {section.field} {ends}; a prompt ends with the user's message")
    check_order(messages, f"{where}: {section.field}")
    if section.system is not None and all(message.role != "system" for message in messages):
        messages.insert(0, Message("system", section.system))
    first = 1 if messages[0].role == "system" else 0
    for example in reversed(section.examples):
        messages[first:first] = [Message("user", example.prompt), Message("assistant", example.answer)]
    return tuple(messages)
