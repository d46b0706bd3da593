"""Whether a text is JSON of a given schema, and what is wrong with it where it is not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from potstill.errors import RecipeError

_SHOWN = 120  # characters of a reason


class JsonSchema:
    """A JSON Schema, draft 2020-12 unless it names another. Raises ValueError in one line where it is none."""

    def __init__(self, schema: Mapping[str, Any] | bool) -> None:
        import jsonschema  # 0.1 s
        from referencing import Registry

        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise ValueError(f"not a JSON Schema: {_place(error)}{_short(error.message)}") from None
        # An empty registry: a reference to somewhere else must not make a validator ask the network.
        self._validator = kind(schema, registry=Registry())

    def failure(self, text: str) -> str | None:
        """Why a text fails the schema, in one line; None where it passes. The text must be JSON and nothing else."""
        from referencing.exceptions import Unresolvable

        try:
            value = json.loads(text, parse_constant=_no_constant)
        except RecursionError:
            return "nested too deeply"
        except ValueError as error:
            return f"not JSON: {_short(str(error))}"
        try:
            fault = next(self._validator.iter_errors(value), None)
        except RecursionError:
            return "nested too deeply"
        except Unresolvable as unknown:
            raise ValueError(f"the JSON Schema refers to {_short(str(unknown))}, which is not in it") from None
        return None if fault is None else f"{_place(fault)}{_short(fault.message)}"


def read_schema(given: Path | Mapping[str, Any], setting: str) -> JsonSchema:
    """The schema that a recipe's `setting` names or holds. Raises RecipeError where there is none."""
    if isinstance(given, Path):
        setting = f"{setting}: {given}"
        try:
            given = json.loads(given.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{setting}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{setting}: not JSON ({error})") from None
    if not isinstance(given, Mapping):
        raise RecipeError(f"{setting}: not a JSON Schema; it must be an object")
    try:
        return JsonSchema(given)
    except ValueError as error:
        raise RecipeError(f"{setting}: {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _place(error: Any) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return f"{path.removeprefix('.')}: " if path else ""


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
