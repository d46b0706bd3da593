"""In which form an answer is written: JSON, code, a table, a list, a number, a label or prose."""

import json
import re
from itertools import pairwise
from typing import Any, Final, Literal, get_args

Form = Literal["json", "code", "table", "list", "number", "label", "prose"]
FORMS: tuple[Form, ...] = get_args(Form)

_FENCE: Final = "```"
_ITEM: Final = re.compile(r"(?:[-*+•·‣–]|\(?(?:\d{1,3}|[a-z])[.)])\s")
_RULE: Final = re.compile(r"[\s|:+-]+")  # the line under the head of a table
_NUMBER: Final = re.compile(r"[+−-]?[$€£¥]?\d[\d.,'’\u00a0 ]*(?:e[+-]?\d+)?[%€£¥]?", re.IGNORECASE)
_NUMBER_CHARACTERS, _LABEL_CHARACTERS, _LABEL_WORDS = 40, 40, 4
_SENTENCE_ENDS: Final = ".!?。！？…:;"
_MARKUP: Final = "{[<|"  # begins JSON that was cut, or a tag


def form_of(text: str) -> Form:
    """The form of an answer, by its whole text; what is none of the others is prose.

    A single label is a line of up to four words that ends no sentence. Lists and tables may have prose around them:
    half of the lines must be items, and a table is one in Markdown or HTML.
    """
    whole = text.strip()
    if read_json(whole) is not None:
        return "json"
    if len(whole) <= _NUMBER_CHARACTERS and _NUMBER.fullmatch(whole):
        return "number"
    lines = [line.strip() for line in whole.splitlines() if line.strip()]
    if any(line.startswith(_FENCE) for line in lines):
        return "code"
    if _has_table(lines):
        return "table"
    items = sum(_ITEM.match(line.lower()) is not None for line in lines)
    if items >= 2 and 2 * items >= len(lines):
        return "list"
    short = len(lines) == 1 and len(whole) <= _LABEL_CHARACTERS and len(whole.split()) <= _LABEL_WORDS
    return "label" if short and whole[-1] not in _SENTENCE_ENDS and whole[0] not in _MARKUP else "prose"


def read_json(text: str) -> Any:
    """The object or array that a text is, a code fence around it left aside; None where it is neither."""
    whole = text.strip()
    if whole.startswith(_FENCE) and whole.endswith(_FENCE) and "\n" in whole:
        whole = whole[whole.index("\n") : -len(_FENCE)].strip()
    if not whole or whole[0] not in "{[":
        return None
    try:
        found = json.loads(whole)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _has_table(lines: list[str]) -> bool:
    if any(line[:6].lower() == "<table" for line in lines):
        return True
    return any(
        "|" in above and "|" in line and "-" in line and _RULE.fullmatch(line) is not None
        for above, line in pairwise(lines)
    )
