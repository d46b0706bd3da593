"""Forms of answers: examples of each, and texts that nobody meant as one."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluate.probes.shapes import FORMS, form_of, read_json


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"a": 1}', "json"),
        ("[]", "json"),
        ('```json\n{"a": [1, 2]}\n```', "json"),
        ('{"a": 1', "prose"),
        ('"text"', "label"),
        ("```python\nprint(1)\n```", "code"),
        ("Run this:\n```\nls\n```\nand look.", "code"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "table"),
        ("a | b\n--|--\n1 | 2", "table"),
        ("<table><tr><td>1</td></tr></table>", "table"),
        ("this | that\nis no table", "prose"),
        ("- one\n- two", "list"),
        ("Steps:\n1. Boil water.\n2) Pour it.\n3. Wait.", "list"),
        ("• a\n• b", "list"),
        ("- only one item, and\nthen\nprose", "prose"),
        ("42", "number"),
        ("−1,234.5 €", "number"),
        ("$3.20", "number"),
        ("12 %", "number"),
        ("about 12", "label"),
        ("positive", "label"),
        ("Not in stock", "label"),
        ("A kettle boils water.", "prose"),
        ("Yes.", "prose"),
        ("", "prose"),
    ],
)
def test_forms(text: str, form: str) -> None:
    assert form_of(text) == form


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.lists(VALUES) | st.dictionaries(st.text(), VALUES), fenced=st.booleans())
def test_json_is_read_with_and_without_a_fence(value: Any, fenced: bool) -> None:
    text = json.dumps(value)
    assert read_json(f"```json\n{text}\n```" if fenced else text) == value
    assert form_of(text) == "json"


@given(st.text())
def test_any_text_has_a_form(text: str) -> None:
    assert form_of(text) in FORMS


@pytest.mark.parametrize("piece", ["[", '{"a":', "|-", "1 ", "- ", "```\n", " ", "a.\n", "|\n", "+", "<table"])
def test_long_texts_take_no_longer_than_they_must(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    started = time.process_time()
    form_of(text)
    assert time.process_time() - started < 1
