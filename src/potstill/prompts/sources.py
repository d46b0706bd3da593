"""Finds out what kind of file the prompts are in, and gives its rows: a value to make a prompt of, and its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.config import PromptFormat, Prompts
from potstill.errors import PotstillError, RecipeError
from potstill.exchanges import (
    Exchange,
    Unreadable,
    find_form,
    form_of_row,
    known_form,
    log_files,
    read_exchanges,
    rows,
)
from potstill.exchanges.tables import csv_rows, dataset_rows, json_rows, of_setting, parquet_rows

LOGS = ("chat_log", "fine_tuning", "litellm", "batch")
# What a logged message may carry without saying anything by it.
_SILENT = {"refusal", "annotations", "tool_calls", "function_call", "audio", "weight", "name"}


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of the source: its place, its columns, and for a logged exchange the conversation that was asked."""

    place: str
    row: Mapping[str, Any]
    conversation: list[dict[str, Any]] | None = None
    answered: bool = False  # the log has the model's answer
    wanted_format: bool = False  # the request asked for a response_format
    refused: str = ""  # why a logged request cannot be a prompt
    tools: tuple[Mapping[str, Any], ...] = ()  # that the logged request offered


def find_format(section: Prompts) -> PromptFormat:
    """What the recipe says of the source, or what it looks like. Raises RecipeError where it is not there."""
    path = section.source
    if section.format is not None:
        return section.format
    name = path.name.lower().removesuffix(".gz")
    if path.is_dir():
        marks = ("dataset_dict.json", "state.json")
        tables = any(one.suffix in (".parquet", ".arrow", ".csv", ".tsv") for one in path.rglob("*"))
        if tables or any((path / mark).is_file() for mark in marks):
            return "dataset"
        try:
            first = log_files([path])[0]
        except PotstillError as error:
            raise RecipeError(f"prompts.source: {path}: cannot be read as prompts ({error})") from None
        found = _form(section, first)
        return found if found != "jsonl" else "dataset"
    if name.endswith((".csv", ".tsv")):
        return "csv"
    return "parquet" if name.endswith(".parquet") else _form(section, path)


def read_source(section: Prompts, form: PromptFormat) -> Iterator[SourceRow]:
    """The rows of the source in their order. Raises RecipeError where it cannot be read at all."""
    if form in LOGS:
        if section.tag is not None:
            raise RecipeError(f"prompts.tag: {section.source} is a log (read as {form}), whose rows have no tag field")
        yield from _logged(section, form)
        return
    if section.job is not None:
        raise RecipeError(f"prompts.job: {section.source} is a table (read as {form}); only logs have jobs")
    columns = (section.field,) if section.tag is None else (section.field, section.tag)
    for place, row in _table(section, form, columns):
        yield SourceRow(place, row)


def _table(section: Prompts, form: PromptFormat, columns: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    path = section.source
    with of_setting("prompts.source", path):
        match form:
            case "csv":
                yield from csv_rows(path, section.field)
            case "parquet":
                yield from parquet_rows(path, columns)
            case "dataset":
                yield from dataset_rows(path, columns, section.dataset_split)
            case _:
                yield from json_rows(path)


def _form(section: Prompts, path: Path) -> PromptFormat:
    """Prompts in the recipe's field, or else one of the logs; a conversation with its answer is a fine-tuning file."""
    try:
        first = next((one[1] for one in rows(path) if isinstance(one, tuple)), {})
    except PotstillError:
        return "jsonl"  # whose reader says what is wrong with the file
    value = first.get(section.field)
    ends_with_answer = form_of_row(first) == "fine_tuning" and section.field == "messages" and _answered(value)
    if value is not None and not ends_with_answer:
        return "jsonl"
    try:
        return find_form([path]) or "jsonl"
    except PotstillError:
        return "jsonl"


def _answered(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and isinstance(value[-1], dict) and value[-1].get("role") == "assistant"
    )


def _logged(section: Prompts, form: PromptFormat) -> Iterator[SourceRow]:
    try:
        for found in read_exchanges([section.source], known_form(form), section.job_key):
            if isinstance(found, Unreadable):
                yield SourceRow(found.place, {}, refused=found.reason)
            elif found.choice == 0 and (section.job is None or found.job == section.job):
                yield _prompt(found)
    except PotstillError as error:
        raise RecipeError(f"prompts.source: {error}") from None


def _prompt(found: Exchange) -> SourceRow:
    conversation = [spelled(one) for one in found.messages]
    wanted_format = found.response_format is not None
    return SourceRow(found.place, {}, conversation, found.answered, wanted_format, tools=found.tools)


def spelled(message: Mapping[str, Any]) -> dict[str, Any]:
    """A logged message as a recipe's prompts spell it: parts of text as one text, developers as the system.

    What a message cannot carry stays in it, to be refused by name rather than dropped.
    """
    plain = {key: value for key, value in message.items() if value or key not in _SILENT}
    plain.pop("weight", None)  # of a fine-tuning file's turn: how much to learn from it, nothing that was said
    if plain.get("role") == "developer":
        plain["role"] = "system"
    if plain.get("role") == "tool" and "tool_call_id" in plain:
        plain.pop("name", None)  # the call that it answers has it
    content = plain.get("content")
    if isinstance(content, list) and content and all(_is_text(part) for part in content):
        plain["content"] = "".join(part["text"] for part in content)
    return plain


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
