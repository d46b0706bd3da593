"""Probes of the user's own, prompts with what is expected of an answer, and such as are made of held-out prompts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from potstill.config import Recipe
from potstill.config.sections import Section
from potstill.errors import RecipeError
from potstill.evaluate.probes.behaviours import abstains, asks_back
from potstill.evaluate.probes.fields import field_at, is_empty
from potstill.evaluate.probes.shapes import Form, form_of, read_json
from potstill.exchanges.tables import json_rows, of_setting
from potstill.records import Message, content_hash
from potstill.texts.refusals import refusal
from potstill.texts.schemas import JsonSchema

_SETTING = "evaluate.probes.file"
_SENTENCE_END: Final = re.compile(r"(?<=[.!?。！？\n])\s*")
_LEAST_VALUE, _LEAST_PROMPT = 4, 40  # characters of a value that is taken out, and of the prompt that is left

Expectation = Literal["abstain", "refuse", "clarify", "empty_fields", "format"]


class OwnProbe(Section):
    """One line of the file."""

    prompt: str = Field(min_length=1)
    expect: Expectation
    fields: tuple[str, ...] = ()  # of empty_fields: a.b is the field b of the object in the field a
    format: Form | None = None
    json_schema: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "OwnProbe":
        if (self.expect == "empty_fields") != bool(self.fields):
            raise ValueError("fields: empty_fields names the fields that must stay empty, and nothing else does")
        wants_form = self.format is not None or self.json_schema is not None
        if (self.expect == "format") != wants_form:
            raise ValueError("format: give format or json_schema where format is expected, and nowhere else")
        if self.json_schema is not None:
            JsonSchema(self.json_schema)
        return self


@dataclass(frozen=True, slots=True)
class Probe:
    """A conversation that asks for something, and what the answer must be."""

    messages: tuple[Message, ...]
    expect: Expectation
    fields: tuple[str, ...] = ()
    format: Form | None = None
    json_schema: Mapping[str, Any] | None = None
    made: bool = False  # of a held-out prompt

    @property
    def hash(self) -> str:
        """What tells it from others, and seeds its answers."""
        return content_hash([*(one.plain for one in self.messages), self.expect, list(self.fields)])

    @property
    def text(self) -> str:
        """What the user says last."""
        return self.messages[-1].content

    def holds(self, answer: str) -> bool:
        """Whether an answer is what is expected."""
        match self.expect:
            case "abstain":
                return abstains(answer)
            case "refuse":
                return refusal(answer) is not None
            case "clarify":
                return asks_back(answer)
            case "empty_fields":
                value = read_json(answer)
                return isinstance(value, dict) and all(is_empty(field_at(value, one)) for one in self.fields)
            case "format":
                return (self.format is None or form_of(answer) == self.format) and self._of_schema(answer)

    def _of_schema(self, answer: str) -> bool:
        try:
            return self.json_schema is None or JsonSchema(self.json_schema).failure(answer) is None
        except ValueError as error:
            raise RecipeError(f"{_SETTING}: json_schema: {error}") from None


def read_own(recipe: Recipe) -> list[Probe]:
    """The probes of the recipe's file, with the recipe's system message and examples before each; none without one.

    Raises RecipeError with file and line for a row that is none, and for a file without a row.
    """
    path = recipe.evaluate.probes.file
    if path is None:
        return []
    found = [_probe(row, place, recipe) for place, row in _rows(path)]
    if not found:
        raise RecipeError(f"{_SETTING}: {path}: holds no probe; each line is one, with prompt and expect")
    return found


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with of_setting(_SETTING, path):
        yield from json_rows(path, _SETTING)


def _probe(row: Mapping[str, Any], place: str, recipe: Recipe) -> Probe:
    try:
        own = OwnProbe.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{place}: {where + ': ' if where else ''}{words} ({_SETTING})") from None
    section = recipe.prompts
    turns = [Message("system", section.system)] if section.system is not None else []
    for example in section.examples:
        turns += [Message("user", example.prompt), Message("assistant", example.answer)]
    messages = (*turns, Message("user", own.prompt))
    return Probe(messages, own.expect, own.fields, own.format, own.json_schema)


def without_a_value(messages: Sequence[Message], answer: str) -> Probe | None:
    """A held-out prompt without the sentence that a field of the answer was taken from: that field must then be empty.

    The answer is the teacher's, an object in JSON. The first of its text fields counts whose value stands in exactly
    one sentence of the last user turn; every field whose value goes with that sentence must be empty. None where there
    is no such field, or hardly a prompt is left.
    """
    value = read_json(answer)
    if not isinstance(value, dict) or messages[-1].role != "user":
        return None
    sentences = _SENTENCE_END.split(messages[-1].content)
    texts = {key: one for key, one in value.items() if isinstance(one, str) and len(one.strip()) >= _LEAST_VALUE}
    for one in texts.values():
        holding = [at for at, sentence in enumerate(sentences) if one.strip() in sentence]
        if len(holding) != 1:
            continue
        left = " ".join(sentence for at, sentence in enumerate(sentences) if at != holding[0]).strip()
        if len(left) < _LEAST_PROMPT:
            continue
        gone = tuple(
            key for key, text in texts.items() if text.strip() in sentences[holding[0]] and text.strip() not in left
        )
        return Probe((*messages[:-1], Message("user", left)), "empty_fields", gone, made=True)
    return None
