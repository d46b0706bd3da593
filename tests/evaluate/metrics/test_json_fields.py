"""JSON answers: validity, and F1 over flattened fields by hand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.config import Task
from potstill.errors import RecipeError
from potstill.evaluate.metrics import text_metrics
from potstill.evaluate.metrics.json_fields import json_field_f1

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("answer", "reference", "ordered", "expected"),
    [
        ({"a": 1, "b": "x"}, {"a": 1, "b": "x"}, True, 1),
        ({"b": "x", "a": 1.0}, {"a": 1, "b": "x"}, True, 1),  # the order of keys says nothing; 1.0 is 1
        ({"a": 1}, {"a": 1, "b": "x"}, True, 2 * 1 / (1 + 2)),
        ({"a": 1, "b": "y", "c": None}, {"a": 1, "b": "x"}, True, 2 * 1 / (3 + 2)),
        ({"a": True}, {"a": 1}, True, 0),
        ({"a": "1"}, {"a": 1}, True, 0),
        ({"a": None}, {"a": ""}, True, 0),
        ({"a": {"b": [1, 2, 3]}}, {"a": {"b": [3, 2, 1]}}, True, 2 * 1 / 6),
        ({"a": {"b": [1, 2, 3]}}, {"a": {"b": [3, 2, 1]}}, False, 1),
        ({"a": [1, 1]}, {"a": [1]}, False, 2 * 1 / 3),
        ({"a": []}, {"a": []}, True, 1),
        ({"a": {}}, {"a": []}, True, 0),
        ({}, {}, True, 1),
        (7, 7, True, 1),
    ],
)
def test_field_f1(answer: Any, reference: Any, ordered: bool, expected: float) -> None:
    found = json_field_f1(json.dumps(answer), json.dumps(reference), ordered=ordered)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("answer", ["", "no JSON", '{"a": 1', '```json\n{"a": 1}\n```', '{"a": NaN}', "[" * 100_000])
def test_what_is_no_json_scores_nothing(answer: str) -> None:
    assert json_field_f1(answer, '{"a": 1}') == 0


@given(JSON, JSON)
def test_f1_is_a_share_and_whole_for_the_same(one: Any, other: Any) -> None:
    first, second = json.dumps(one), json.dumps(other)
    for ordered in (True, False):
        assert json_field_f1(first, first, ordered=ordered) == 1
        score = json_field_f1(first, second, ordered=ordered)
        assert 0 <= score <= 1
        assert score == json_field_f1(second, first, ordered=ordered)


@given(st.text(max_size=30))
def test_any_text_is_survived(text: str) -> None:
    assert 0 <= json_field_f1(text, '{"a": [1, {"b": null}]}') <= 1
    (valid,) = text_metrics(Task(reference_field="answer", metrics=("json_valid",)))
    assert valid.score(text, "", "") in (0, 1)


def test_validity_against_a_schema() -> None:
    schema = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
    (valid,) = text_metrics(Task(reference_field="answer", metrics=("json_valid",), json_schema=schema))
    scores = [valid.score(answer, "", "") for answer in ('{"city": "Oslo"}', '{"town": "Oslo"}', "Oslo", "")]
    assert scores == [1, 0, 0, 0]


def test_a_schema_that_is_none_is_one_line() -> None:
    with pytest.raises(RecipeError, match=r"^evaluate\.task\.json_schema: not a JSON Schema: .*$"):
        text_metrics(Task(reference_field="answer", metrics=("json_valid",), json_schema={"type": "strin"}))
