"""Reads the prompts, drops what is there twice, and splits them so that no held-out prompt resembles a training one."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from potstill.config import PromptFormat, Prompts
from potstill.errors import RecipeError
from potstill.prompts.sources import LOGS, SourceRow, find_format, read_source
from potstill.prompts.split import held_out, read_split
from potstill.prompts.turns import check_order, read_tools, read_turn
from potstill.prompts.withdrawn import Withdrawal, WithdrawnRows, read_withdrawn
from potstill.records import Message, Prompt, Split, content_hash
from potstill.store.prompts import read_prompts, write_prompts
from potstill.texts.resemblance import resembling

__all__ = [
    "PromptSet", "conversation", "load_prompts", "own_words", "prompt_hash", "read_prompts", "with_tools",
    "write_prompts",
]  # fmt: skip

_NAMED = 3  # reasons that a line names


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts of a run in the order of their file, and what became of the rows that are not among them."""

    prompts: tuple[Prompt, ...]
    rows: int  # read from the file
    exact_duplicates: int  # rows left out because an earlier one says the same
    near_duplicates: int  # training prompts left out because they resemble a held-out one
    crossing: int  # pairs of a training and a held-out prompt that resembled each other
    format: str = "jsonl"  # how the source was read
    answered: int = 0  # rows whose answer the source has too
    wanted_format: int = 0  # logged requests that asked for a response_format, which a prompt does not carry
    refused: int = 0  # rows of a log that cannot be prompts
    refused_for: Mapping[str, str] = field(default_factory=dict)  # reason: the place of its first row
    withdrawn: Withdrawal | None = None  # None where the recipe has no list of withdrawn rows

    def source_line(self) -> str:
        """How the source was read and what was found there besides prompts, in one line."""
        parts = [f"read as {self.format}", f"{self.rows:,} prompts"]
        if self.answered:
            parts.append(f"{self.answered:,} of them with an answer, which is left aside")
        if self.wanted_format:
            parts.append(f"{self.wanted_format:,} asked for a response_format, which is the recipe's to set")
        if self.withdrawn is not None:
            parts.append(f"{self.withdrawn.rows:,} rows left out as withdrawn")
            if self.withdrawn.unmatched:
                some = ", ".join(self.withdrawn.unmatched[:_NAMED])
                number = len(self.withdrawn.unmatched)
                parts.append(f"{number:,} lines of prompts.withdrawn mean no row of the source ({some})")
        if self.refused:
            named = list(self.refused_for.items())[:_NAMED]
            reasons = "; ".join(f"{place.rpartition('/')[2]}: {reason}" for reason, place in named)
            parts.append(f"{self.refused:,} rows refused ({reasons})")
        return ", ".join(parts)


def load_prompts(section: Prompts) -> PromptSet:
    """Read, deduplicate and split the prompts of a recipe. Raises RecipeError with file and line on the first fault.

    Held out are those that the source says (`prompts.split`), or of n different ones the round(holdout · n) whose
    salted content hashes are smallest: which ones does not depend on the order of the file. Then training prompts that
    resemble a held-out one are left out.
    """
    tally = _Tally(find_format(section))
    withdrawn = read_withdrawn(section.withdrawn) if section.withdrawn is not None else None
    unique = _unique(section, tally, withdrawn)
    rows = tally.rows
    if not rows:
        raise RecipeError(_none(section, tally, withdrawn.rows if withdrawn is not None else 0))
    held = held_out(unique, section)
    split = [replace(prompt, split="holdout") if prompt.hash in held else prompt for prompt in unique.values()]
    pairs = resembling(
        [own_words(prompt, section) for prompt in split],
        [at for at, prompt in enumerate(split) if prompt.split == "holdout"],
    )
    left_out = {other for _, other in pairs}
    kept = tuple(prompt for at, prompt in enumerate(split) if at not in left_out)
    if all(prompt.split == "holdout" for prompt in kept):
        raise RecipeError(
            f"{section.source}: every training prompt resembles a held-out one, so nothing is left to train on; "
            "give prompts that differ more"
        )
    return PromptSet(
        kept, rows, rows - len(unique), len(left_out), len(pairs), tally.format, tally.answered, tally.wanted_format,
        sum(tally.refused.values()), dict(tally.places), withdrawn.result() if withdrawn is not None else None,
    )  # fmt: skip


@dataclass(slots=True)
class _Tally:
    """What is counted while a source is read."""

    format: PromptFormat
    rows: int = 0
    answered: int = 0
    wanted_format: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    places: dict[str, str] = field(default_factory=dict)

    def refuse(self, place: str, reason: str) -> None:
        self.refused[reason] += 1
        self.places.setdefault(reason, place)


def _unique(section: Prompts, tally: _Tally, withdrawn: WithdrawnRows | None) -> dict[str, Prompt]:
    """The different prompts of the first so many rows, by their hash; withdrawn rows count towards the limit."""
    unique: dict[str, Prompt] = {}
    for number, (source, messages, tag, tools, split) in enumerate(_read(section, tally), start=1):
        identity = prompt_hash(messages, tools)
        if withdrawn is None or not withdrawn.take(source, identity):
            tally.rows += 1
            _add(unique, Prompt(messages, split, source, identity, tag, tools))
        if number == section.limit:
            break
    return unique


def _add(unique: dict[str, Prompt], prompt: Prompt) -> None:
    """Take a prompt unless it is there already; it is held out if any of its rows is.

    Raises RecipeError where it is there under another tag.
    """
    first = unique.setdefault(prompt.hash, prompt)
    if first.tag != prompt.tag:
        raise RecipeError(
            f"{prompt.source}: the same prompt as {first.source}, which has the tag {first.tag!r} where this has "
            f"{prompt.tag!r} (prompts.tag); a prompt has one"
        )
    if prompt.split == "holdout":
        unique[prompt.hash] = replace(first, split="holdout")


def _none(section: Prompts, tally: _Tally, withdrawn: int) -> str:
    if withdrawn:
        return f"prompts.withdrawn: all {withdrawn:,} prompts of {section.source} are withdrawn; none is left"
    if tally.refused:
        reason, place = next(iter(tally.places.items()))
        return f"{section.source}: none of its {sum(tally.refused.values())} rows can be a prompt; {place}: {reason}"
    if tally.format in LOGS:
        whose = f" of the job {section.job!r}" if section.job is not None else ""
        return f"{section.source}: holds no request{whose}"
    return f"{section.source}: holds no prompt; write one JSON object with {section.field!r} a line"


def prompt_hash(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str:
    """The content hash of a conversation, with its row's own tools if it has any: what `Prompt.hash` holds."""
    turns = [message.plain for message in messages]
    return content_hash({"messages": turns, "tools": list(tools)} if tools else turns)


def with_tools(prompts: Sequence[Prompt], tools: Sequence[Mapping[str, Any]]) -> list[Prompt]:
    """The prompts with these tools where they have none of their own; hashes, and so the split, stay."""
    return [replace(prompt, tools=tuple(tools)) if tools and not prompt.tools else prompt for prompt in prompts]


def conversation(text: str, section: Prompts) -> tuple[Message, ...]:
    """A user's text as a prompt of this recipe: with its system message and worked examples before it."""
    return _messages(text, section, "prompt")


def own_words(prompt: Prompt, section: Prompts) -> str:
    """What resemblance is judged on: the row's own words of the user, because the rest is the same for all."""
    words = [message.content for message in prompt.messages if message.role == "user"]
    return "\n".join(words[len(section.examples) :])


_Tools = tuple[Mapping[str, Any], ...]


def _read(section: Prompts, tally: _Tally) -> Iterator[tuple[str, tuple[Message, ...], str | None, _Tools, Split]]:
    """Place, messages, tag, own tools and split of each row. A log's bad rows are counted, a table's stop it."""
    for found in read_source(section, tally.format):
        where = found.place
        if found.conversation is not None or found.refused:
            asked = _asked(found, section, tally)
            if asked is not None:
                yield where, asked[0], None, asked[1], "train"
            continue
        value = _field(found.row, "field", section.field, where)
        if tally.format != "jsonl" and not isinstance(value, str):
            value = _conversation(value, tally)
        tools = read_tools(found.row.get(section.tools), f"{where}: {section.tools}") if section.tools else ()
        split = read_split(found.row, section, where)
        yield where, _messages(value, section, where), _tag(found.row, section, where), tools, split


def _asked(found: SourceRow, section: Prompts, tally: _Tally) -> tuple[tuple[Message, ...], _Tools] | None:
    """The messages and tools of a logged request, None where it cannot be a prompt."""
    if found.refused:
        tally.refuse(found.place, found.refused)
        return None
    try:
        messages = _messages(found.conversation, section, "")
        tools = read_tools(found.tools or None, "")
    except RecipeError as error:
        # Which of the messages it is stays out, so that rows with one fault are counted together.
        tally.refuse(found.place, re.sub(r"^(\[\d+\])?: ", "", str(error).removeprefix(f": {section.field}")).strip())
        return None
    tally.answered += found.answered
    tally.wanted_format += found.wanted_format
    return messages, tools


def _conversation(value: Any, tally: _Tally) -> Any:
    """A column's messages without the answer that they end with; `datasets` may keep them as one list a key."""
    if isinstance(value, dict) and isinstance(value.get("role"), list):
        value = [dict(zip(value, one, strict=True)) for one in zip(*value.values(), strict=True)]
    if not isinstance(value, list):
        return value
    turns = [{key: part for key, part in one.items() if part is not None} if isinstance(one, dict) else one
             for one in value]  # fmt: skip
    if turns and isinstance(turns[-1], dict) and turns[-1].get("role") == "assistant":
        tally.answered += 1
        turns.pop()
    return turns


def _field(row: Mapping[str, Any], key: str, field: str, where: str) -> Any:
    if field not in row:
        there = ", ".join(map(repr, list(row)[:8])) or "nothing"
        raise RecipeError(f"{where}: no field {field!r} (prompts.{key}); there is {there}")
    return row[field]


def _tag(row: Mapping[str, Any], section: Prompts, where: str) -> str | None:
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
