"""The last number of an answer, however it is written, against that of the reference."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluate.metrics.numbers import last_number, numeric_match


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("He has 3 apples and 18 pears.", "18"),
        ("3 + 4 = 7\n#### 1,234", "1234"),
        ("1,234,567.5", "1234567.5"),
        ("1'234", "1234"),
        ("1\u202f234\u202f567", "1234567"),
        ("one, 1,2", "2"),  # no group of three
        ("it is -5.", "-5"),
        ("\N{MINUS SIGN}7", "-7"),
        ("10-5", "5"),
        ("10 - 5", "5"),
        ("(2)-3", "3"),
        ("$1,200.50", "1200.5"),
        ("-$5", "-5"),
        (".5", "0.5"),
        ("so ...18", "18"),
        ("3/4", "3/4"),
        ("-1 3/4 cups", "-7/4"),
        (r"\boxed{\frac{3}{4}}", "3/4"),
        ("3/4/2024", "2024"),
        ("1.5e3", "1500"),
        ("the 20th", "20"),
        ("version 3.11.2", "3.11"),
        ("是18个", "18"),
    ],
)
def test_the_last_number(text: str, value: str) -> None:
    found = last_number(text)
    assert found is not None
    assert found.value == Fraction(value)


@pytest.mark.parametrize("text", ["", "none", "x2", "3/0", "9" * 5000, "e5", "-", "%", "..", "٣"])
def test_no_number(text: str) -> None:
    assert last_number(text) is None


@pytest.mark.parametrize(
    ("answer", "reference", "tolerance", "expected"),
    [
        ("So it is 18.0 dollars", "reasoning #### 18", 0, 1),
        ("12%", "12", 0, 1),
        ("12 %", "0.12", 0, 1),
        ("0.12", "12 percent", 0, 1),
        ("0.12%", "12%", 0, 0),
        ("0.12", "12", 0, 0),
        ("0.333", "1/3", 0, 0),
        ("0.333", "1/3", 0.01, 1),
        ("101", "100", 0.01, 1),
        ("102", "100", 0.01, 0),
        ("-5", "5", 0.5, 0),
        ("0.001", "0", 0.5, 0),  # the tolerance is relative
        ("no idea", "5", 0, 0),
        ("5", "no number", 0, 0),
    ],
)
def test_matching(answer: str, reference: str, tolerance: float, expected: float) -> None:
    assert numeric_match(answer, reference, tolerance) == expected


@given(st.text(alphabet=st.one_of(st.sampled_from("0123456789.,-+/%eE $'_"), st.characters()), max_size=40))
def test_any_text_is_survived(text: str) -> None:
    found = last_number(text)
    assert numeric_match(text, text) == (found is not None)


@given(st.integers(-(10**12), 10**12), st.integers(0, 4))
def test_every_way_of_writing_reads_back(number: int, digits: int) -> None:
    value = Fraction(number, 10**digits)
    for text in (f"{number:,}", f"so {number}"):
        found = last_number(text)
        assert found is not None
        assert found.value == number
    whole, part = divmod(abs(number), 10**digits)
    found = last_number(f"{'-' if number < 0 else ''}{whole}.{part:0{max(digits, 1)}d}")
    assert found is not None
    assert found.value == value
