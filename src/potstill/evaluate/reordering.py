"""The same prompt with its fields in another order: how a teacher that always answers alike is asked again."""

import json
import re
from itertools import groupby

# "Name: value", as an item of a list or not; a line that only ends in a colon introduces something.
_FIELD = re.compile(r"\s*(?:[-*•]\s+)?\w[\w ./()'-]{0,40}:\s+\S")
_FEWEST = 2


def reordered(text: str) -> str | None:
    """The text with its fields in reverse order; None where it has no two fields side by side.

    Fields are the keys of a text that is one JSON object, or neighbouring lines of the form `name: value`. What they
    say stays the same, so a teacher that reads them should answer the same.
    """
    found = _object(text)
    if found is None:
        found = "\n".join(_lines(text.split("\n")))
    return found if found != text else None


def _object(text: str) -> str | None:
    """A JSON object with its keys turned round; None for any other text."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or len(data) < _FEWEST:
        return None
    turned = dict(reversed(data.items()))
    return json.dumps(turned, ensure_ascii=False, indent=2 if "\n" in text.strip() else None)


def _lines(lines: list[str]) -> list[str]:
    turned: list[str] = []
    for fields, run in groupby(lines, lambda line: _FIELD.match(line) is not None):
        found = list(run)
        turned += reversed(found) if fields else found
    return turned
