"""Prompts with their fields in another order: the same fields, and nothing else moved."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluate.reordering import reordered


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Name: Ann\nAge: 30\nTown: Bonn", "Town: Bonn\nAge: 30\nName: Ann"),
        ("Fill in:\n- name: Ann\n- age: 30\nThank you", "Fill in:\n- age: 30\n- name: Ann\nThank you"),
        ("a: 1\nb: 2\n\nc: 3\nd: 4", "b: 2\na: 1\n\nd: 4\nc: 3"),
        ('{"a": 1, "b": [2, 3]}', '{"b": [2, 3], "a": 1}'),
        ("What is a kettle?", None),
        ("Define the word: kettle", None),  # one field has no other order
        ("Here they are:\nNames:", None),  # lines that introduce something are no fields
        ('{"a": 1}', None),
        ("[1, 2]", None),
        ("a: 1\na: 1", None),
        ("", None),
    ],
)
def test_by_hand(text: str, other: str | None) -> None:
    assert reordered(text) == other


@given(st.text(max_size=80), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), max_size=6))
def test_no_line_is_lost_and_twice_is_as_before(text: str, fields: list[tuple[str, int]]) -> None:
    whole = "\n".join([text, *(f"{name}: {value}" for name, value in fields)])
    other = reordered(whole)
    if other is None:
        return
    assert sorted(other.split("\n")) == sorted(whole.split("\n"))
    assert reordered(other) == whole


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), min_size=2, max_size=5))
def test_an_object_stays_what_it_is(data: dict[str, object]) -> None:
    other = reordered(json.dumps(data))
    assert other is not None
    assert json.loads(other) == data
    assert list(json.loads(other)) == list(reversed(data))
