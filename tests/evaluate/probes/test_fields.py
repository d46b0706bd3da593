"""Fields that the teacher leaves empty: nested ones, absent ones, and any two JSON values at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_shapes import VALUES

from potstill.evaluate.probes.fields import Occurrence, UsualFields, field_at, is_empty, occurrences, shown


def changes(teacher: Any, student: Any, *others: Any) -> dict[str, tuple[str, bool]]:
    usual = UsualFields.of([teacher, *others])
    return {shown(one.place): (one.kind, one.changed) for one in occurrences(teacher, student, usual)}


@pytest.mark.parametrize("value", [None, "", "  ", [], {}, "N/A", "unknown", "-", "Nicht angegeben"])
def test_what_says_nothing_is_empty(value: Any) -> None:
    assert is_empty(value)


@pytest.mark.parametrize("value", [0, False, 0.0, "0", "no", [None], {"a": None}, "Unknown Pleasures"])
def test_what_says_something_is_not(value: Any) -> None:
    assert not is_empty(value)


def test_invented_and_dropped_fields() -> None:
    teacher = {"name": "Ann", "phone": None, "mail": "", "tags": [], "age": 0, "city": "Oslo"}
    student = {"name": "Bob", "phone": "555", "mail": "n/a", "tags": ["x"], "age": 3, "city": None}
    assert changes(teacher, student) == {
        "name": ("filled", False),
        "phone": ("empty", True),
        "mail": ("empty", False),
        "tags": ("empty", True),
        "age": ("filled", False),
        "city": ("filled", True),
    }


def test_objects_inside_are_compared_where_both_have_them() -> None:
    teacher = {"items": [{"price": None}, {"price": 2}], "from": {"name": None}, "to": {"name": "B"}}
    student = {"items": [{"price": 1}], "from": {"name": "A"}, "to": "B"}
    assert changes(teacher, student) == {
        "items": ("filled", False),
        "items[].price": ("empty", True),  # of the first; the student has no second
        "from": ("filled", False),
        "from.name": ("empty", True),
        "to": ("filled", False),
    }


def test_a_field_is_absent_where_others_of_the_job_have_it() -> None:
    others = [{"name": "a", "note": "x"}, {"name": "b", "note": "y"}, {"once": 1}]
    found = changes({"name": "Ann"}, {"name": "Ann", "note": "made up", "once": 2, "new": 3}, *others)
    assert found == {"name": ("filled", False), "note": ("absent", True)}
    assert changes({"name": "Ann"}, {"name": "Ann"}, *others)["note"] == ("absent", False)


def test_a_tenth_of_the_objects_makes_a_field_usual() -> None:
    rows = [{"a": 1}] * 28 + [{"a": 1, "b": 2}] * 2
    assert UsualFields.of(rows).at(()) == ["a"]
    assert UsualFields.of([*rows, {"b": 1}]).at(()) == ["a"]
    assert UsualFields.of([*rows, {"b": 1}, {"b": 1}]).at(()) == ["a", "b"]


def test_a_field_by_its_path() -> None:
    assert field_at({"a": {"b": 1}}, "a.b") == 1
    assert field_at({"a": [1]}, "a.b") is None
    assert field_at([], "a") is None


@given(teacher=VALUES, student=VALUES)
def test_any_two_values_are_compared(teacher: Any, student: Any) -> None:
    found = list(occurrences(teacher, student, UsualFields.of([teacher])))
    assert all(isinstance(one, Occurrence) for one in found)
    same = list(occurrences(teacher, teacher, UsualFields.of([teacher])))
    assert not any(one.changed for one in same)  # a student that writes what the teacher wrote invents nothing


@given(st.dictionaries(st.text(), VALUES))
def test_nothing_is_invented_by_leaving_everything_out(teacher: dict[str, Any]) -> None:
    found = list(occurrences(teacher, {}, UsualFields.of([teacher])))
    assert all(one.changed is (one.kind == "filled") for one in found)


def test_deep_nesting_is_walked_without_recursion() -> None:
    deep: Any = {"a": None}
    for _ in range(2_000):
        deep = {"a": deep}
    assert sum(1 for _ in occurrences(deep, deep, UsualFields.of([deep]))) == 2_001
    with pytest.raises(RecursionError):
        json.dumps(deep)
