"""Whether an answer is JSON as wanted, and how many of a reference's fields it has right."""

import json
from collections import Counter
from typing import Any

from potstill.errors import RecipeError
from potstill.texts.schemas import JsonSchema

Pair = tuple[tuple[str | int, ...], str, Any]  # path, kind of value, value


def json_valid(answer: str, schema: JsonSchema) -> float:
    """1 where the answer is JSON and nothing else, and of this schema; else 0."""
    try:
        return float(schema.failure(answer) is None)
    except ValueError as error:
        raise RecipeError(f"evaluate.task.json_schema: {error}") from None


def json_field_f1(answer: str, reference: str, *, ordered: bool = True) -> float:
    """F1 over the pairs of path and value that answer and reference flatten to; 0 where the answer is no JSON.

    {"a": [1, {"b": null}]} has the pairs a[0] = 1 and a[1].b = null; an empty object or array is a value of its own.
    Numbers are equal by value (1 is 1.0), texts by every character. Where arrays are not `ordered`, paths have no
    index: elements count wherever they stand, and fields of objects in one array are counted together.
    Raises ValueError where the reference is no JSON.
    """
    theirs = _pairs(_load(reference), ordered)
    try:
        ours = _pairs(_load(answer), ordered)
    except ValueError:
        return 0.0
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def _load(text: str) -> Any:
    """Raises ValueError for what is no JSON: NaN and Infinity are none, nor is what nests too deeply to be read."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _pairs(value: Any, ordered: bool) -> Counter[Pair]:
    found: Counter[Pair] = Counter()
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        path, one = waiting.pop()
        if isinstance(one, dict) and one:
            waiting.extend(((*path, key), part) for key, part in one.items())
        elif isinstance(one, list) and one:
            waiting.extend(((*path, at if ordered else 0), part) for at, part in enumerate(one))
        else:
            found[path, _kind(one), None if isinstance(one, dict | list) else one] += 1
    return found


def _kind(value: Any) -> str:
    """True equals 1 in Python, and does not in JSON."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
