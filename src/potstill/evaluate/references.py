"""References for held-out prompts: read from a table, and matched to the prompts by what these say."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.config import Prompts, Recipe, Task
from potstill.config.evaluation import CLASSIFYING
from potstill.errors import RecipeError
from potstill.exchanges.tables import csv_rows, dataset_rows, json_rows, of_setting, parquet_rows
from potstill.records import Message, Prompt, canonical_json, content_hash
from potstill.store.prompts import StoredPrompts
from potstill.texts.normal import same_text

_SETTING = "evaluate.task.references"
_MOST_LABELS = 1000
_SHOWN = 60  # characters of a prompt in an error


@dataclass(frozen=True, slots=True)
class Gold:
    """What answers to one prompt are compared with, and where it stands."""

    references: tuple[str, ...]
    place: str  # of the first row that has them


@dataclass(frozen=True, slots=True)
class References:
    """The references of a run's held-out prompts, by prompt hash, and what became of the rest."""

    by_prompt: Mapping[str, Gold]
    labels: tuple[str, ...]  # of accuracy and macro_f1; empty without them
    file: Path
    rows: int
    unmatched_rows: int  # whose prompt is not held out
    empty_rows: int  # that match a held-out prompt and have no reference
    prompts: int  # held out

    def line(self) -> str:
        """What was found, in one line."""
        return (
            f"references: {len(self.by_prompt):,} of {self.prompts:,} held-out prompts have one "
            f"({self.file.name}: {self.rows:,} rows, {self.unmatched_rows:,} of prompts that are not held out"
            + (f", {self.empty_rows:,} without a reference)" if self.empty_rows else ")")
        )


def read_references(recipe: Recipe, task: Task, folder: Path) -> References:
    """The references of the run's held-out prompts; as `match_references`, and an error where there are none."""
    held = [one for one in StoredPrompts(folder / "prompts.parquet") if one.split == "holdout"]
    found, first = _match(recipe, task, held)
    if not found.by_prompt:
        raise RecipeError(_no_match(found.file, found.rows, found.empty_rows, first, held))
    return found


def match_references(recipe: Recipe, task: Task, prompts: Sequence[Prompt]) -> References:
    """The references of these prompts, which need not have any.

    Raises RecipeError with file and row for a table that cannot be read, a row without the fields, and references that
    a metric cannot use.
    """
    return _match(recipe, task, prompts)[0]


def _match(recipe: Recipe, task: Task, held: Sequence[Prompt]) -> tuple[References, Any]:
    """The references, and the prompt of the file's first row."""
    wanted = prompt_keys(held, recipe.prompts)
    found: dict[str, dict[str, str]] = {}  # prompt: its references and their places
    labels: dict[str, None] = dict.fromkeys(task.labels)
    prompt_field, first = task.prompt_field or recipe.prompts.field, None
    rows = unmatched = empty = 0
    for place, row in _rows(recipe, task):
        rows += 1
        asked = _at(row, prompt_field, "prompt_field", place)
        given = _at(row, task.reference_field, "reference_field", place)
        references = _texts(given, f"{place}: {task.reference_field}")
        _collect_labels(task, references, labels, place)
        first = asked if first is None else first
        prompts = wanted.get(prompt_key(asked, f"{place}: {prompt_field}"), ())
        unmatched += not prompts
        empty += bool(prompts) and not references
        for prompt in prompts if references else ():
            known = found.setdefault(prompt, {})
            known |= {one: place for one in references if one not in known}
    file = _file(recipe, task)
    golds = {prompt: Gold(tuple(texts), next(iter(texts.values()))) for prompt, texts in found.items()}
    _check_json(task, golds)
    return References(golds, tuple(labels), file, rows, unmatched, empty, len(held)), first


def prompt_keys(held: Sequence[Prompt], section: Prompts) -> dict[str, list[str]]:
    """Held-out prompts by what they say in their own turns, and by their hash."""
    wanted: dict[str, list[str]] = {}
    for prompt in held:
        own = [one for one in prompt.messages if one.role != "system"][2 * len(section.examples) :]
        wanted.setdefault(_key(own), []).append(prompt.hash)
        wanted.setdefault(prompt.hash, []).append(prompt.hash)
    return wanted


def _key(turns: Sequence[Message]) -> str:
    return content_hash([[one.role, same_text(one.content)] for one in turns])


def prompt_key(value: Any, where: str, setting: str = "evaluate.task.prompt_field") -> str:
    """The key of a row's prompt: a text, a prompt's hash, or messages, whose answer at the end is left aside."""
    if isinstance(value, str):
        plain = value.strip()
        hashed = len(plain) == 64 and all(one in "0123456789abcdef" for one in plain)
        return plain if hashed else _key([Message("user", value)])
    if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
        turns = [Message(str(one.get("role")), str(one.get("content") or "")) for one in value]
        turns = [one for one in turns if one.role != "system"]
        return _key(turns[:-1] if turns and turns[-1].role == "assistant" else turns)
    raise RecipeError(f"{where}: must be a prompt's text, its messages or its hash ({setting})")


def _texts(value: Any, where: str) -> list[str]:
    """The references of one row as texts; objects as their JSON."""
    if value is None:
        return []
    if isinstance(value, list):
        return [text for one in value for text in _texts(one, where)]
    if isinstance(value, str):
        return [value]
    try:
        return [canonical_json(value)]
    except (TypeError, ValueError):
        raise RecipeError(f"{where}: neither a text, a number, an object nor a list of these") from None


def _at(row: Mapping[str, Any], field: str, key: str, place: str) -> Any:
    """The value of a field; `a.b` is the field b of the object in the field a, where there is no field `a.b`."""
    value: Any = row
    for part in [field] if field in row else field.split("."):
        if not isinstance(value, Mapping) or part not in value:
            there = ", ".join(map(repr, list(row)[:8])) or "nothing"
            raise RecipeError(f"{place}: no field {field!r} (evaluate.task.{key}); there is {there}")
        value = value[part]
    return value


def _rows(recipe: Recipe, task: Task) -> Iterator[tuple[str, Mapping[str, Any]]]:
    prompt_field = task.prompt_field or recipe.prompts.field
    reference = task.reference_field
    columns = tuple(dict.fromkeys((prompt_field, reference, reference.split(".")[0])))
    path = _file(recipe, task)
    name = path.name.lower().removesuffix(".gz")
    with of_setting(_SETTING, path):
        if path.is_dir() and task.references is None:
            yield from dataset_rows(path, columns, recipe.prompts.dataset_split)
        elif path.is_dir():
            raise RecipeError(f"{_SETTING}: {path} is a folder; name the file in it")
        elif name.endswith((".csv", ".tsv")):
            yield from csv_rows(path, prompt_field)
        elif name.endswith(".parquet"):
            yield from parquet_rows(path, columns)
        else:
            yield from json_rows(path, _SETTING)


def _file(recipe: Recipe, task: Task) -> Path:
    return recipe.prompts.source if task.references is None else task.references


def _collect_labels(task: Task, references: Sequence[str], labels: dict[str, None], place: str) -> None:
    """Take the file's different references as labels where the recipe gives none, else look whether they are labels."""
    if not set(CLASSIFYING) & set(task.metrics):
        return
    for one in references:
        if task.labels and one not in labels:
            raise RecipeError(f"{place}: the reference {_short(one)} is none of evaluate.task.labels")
        labels[one] = None
    if len(labels) > _MOST_LABELS:
        raise RecipeError(
            f"{place}: more than {_MOST_LABELS:,} different references, so these are no labels; give "
            "evaluate.task.labels, or metrics of texts instead of accuracy and macro_f1"
        )


def _check_json(task: Task, golds: Mapping[str, Gold]) -> None:
    if "json_field_f1" not in task.metrics:
        return
    for gold in golds.values():
        for one in gold.references:
            try:
                json.loads(one)
            except (ValueError, RecursionError):
                raise RecipeError(
                    f"{gold.place}: the reference {_short(one)} is no JSON, which json_field_f1 compares"
                ) from None


def _no_match(file: Path, rows: int, empty: int, first: Any, held: Sequence[Prompt]) -> str:
    if not rows:
        return f"{_SETTING}: {file}: holds no row"
    if empty:
        return f"{_SETTING}: {file}: none of the {empty:,} rows of held-out prompts has a reference"
    ours = held[0].messages[-1].content if held else ""
    return (
        f"{_SETTING}: {file}: none of its {rows:,} rows is one of the {len(held):,} held-out prompts; a row's prompt "
        f"is {_short(first)}, a held-out prompt {_short(ours)}; does evaluate.task.prompt_field name the prompt?"
    )


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
