"""The screens that look at one answer alone, each by the name of its reason."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from potstill.config import Recipe, RepeatedNgrams, Screen
from potstill.errors import RecipeError
from potstill.store.journal import Row
from potstill.texts.languages import foreign, known_languages
from potstill.texts.refusals import refusal
from potstill.texts.repetition import repeated_share
from potstill.texts.schemas import read_schema

Detail = str
Look = Callable[[str], Detail | None]  # an answer's text to what is wrong with it; None where nothing is


def looks(screen: Screen) -> dict[str, Look]:
    """The screens that the recipe asks for, by reason. Raises RecipeError for a schema or a language that is none."""
    found: dict[str, Look] = {}
    if screen.refusals:
        found["refused"] = refusal
    if screen.languages:
        if unknown := sorted(set(screen.languages) - known_languages()):
            raise RecipeError(f"screen.languages: {unknown[0]} is no language that can be told; give ISO 639 codes")
        found["wrong_language"] = partial(_wrong_language, screen.languages)
    if screen.repeated_ngrams is not None:
        found["repeated_ngrams"] = partial(_repeated, screen.repeated_ngrams)
    if screen.json_schema is not None:
        found["json_schema"] = _schema(screen.json_schema)
    return found


def own_reasons(row: Row, recipe: Recipe, screens: Mapping[str, Look]) -> Iterator[tuple[str, Detail]]:
    """What speaks against an answer by itself: what its reply says first, then what its text shows."""
    if row.reply is None or row.use is None:
        return
    if row.use not in recipe.collect.uses:
        yield row.use, f"finish_reason {row.reply.finish_reason}"
    text = row.reply.text
    if not text.strip():
        return  # it is empty already, and says nothing more
    for reason, look in screens.items():
        if reason != row.use and (detail := look(text)) is not None:
            yield reason, detail


def _wrong_language(languages: tuple[str, ...], text: str) -> Detail | None:
    found = foreign(text, languages)
    return None if found is None else f"{found.code}, {found.confidence:.2f} sure"


def _repeated(limit: RepeatedNgrams, text: str) -> Detail | None:
    share = repeated_share(text, limit.words)
    return f"{share:.2f} in repeated {limit.words}-grams" if share > limit.share else None


def _schema(given: Path | Mapping[str, Any]) -> Look:
    schema = read_schema(given, "screen.json_schema")
    where = f"screen.json_schema: {given}" if isinstance(given, Path) else "screen.json_schema"

    def failure(text: str) -> Detail | None:
        try:
            return schema.failure(text)
        except ValueError as error:
            raise RecipeError(f"{where}: {error}") from None

    return failure
