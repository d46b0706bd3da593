"""JSON schemas: what passes, what fails and why, and what is no schema."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.texts.schemas import JsonSchema

SCHEMA = JsonSchema(
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
        "required": ["city"],
        "additionalProperties": False,
    }
)


def test_passes() -> None:
    assert SCHEMA.failure(' {"city": "Oslo", "days": [1, 2]} ') is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ('{"a":', "not JSON"),
        ('```json\n{"city": "Oslo"}\n```', "not JSON"),
        ('{"city": NaN}', "NaN is no JSON value"),
        ("{}", "'city' is a required property"),
        ('{"city": 3}', "city: 3 is not of type 'string'"),
        ('{"city": "Oslo", "days": [1, "x"]}', "days[1]: 'x' is not of type 'integer'"),
        ('{"city": "Oslo", "more": 1}', "Additional properties are not allowed"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_fails_with_the_reason(text: str, words: str) -> None:
    failure = SCHEMA.failure(text)
    assert failure is not None
    assert words in failure
    assert "\n" not in failure


@pytest.mark.parametrize("schema", [{"type": "strin"}, {"properties": []}, {"minimum": "3"}])
def test_what_is_no_schema_is_refused_in_one_line(schema: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a JSON Schema: ") as error:
        JsonSchema(schema)
    assert "\n" not in str(error.value)


def test_a_reference_elsewhere_is_refused_and_never_fetched() -> None:
    schema = JsonSchema({"$ref": "http://127.0.0.1:9/schema.json"})
    with pytest.raises(ValueError, match="which is not in it"):
        schema.failure("{}")


def test_references_inside_are_followed() -> None:
    schema = JsonSchema({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}})
    assert schema.failure("[1, 2]") is None
    assert schema.failure("[1.5]") is not None


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    assert SCHEMA.failure(text) is not None or text.lstrip().startswith("{")
