"""Forms of texts: what counts as the same, and what counts as a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.texts.normal import plain_text, same_text, words


def test_exact_duplicates_differ_in_white_space_and_composition_only() -> None:
    assert same_text(" Cafe\u0301\n\n is  open. ") == same_text("Café is open.") == "Café is open."
    assert same_text("Open") != same_text("open")
    assert same_text("a+b") != same_text("a b")


def test_resemblance_is_blind_to_case_and_sentence_punctuation_but_not_to_signs() -> None:
    assert plain_text("What is THIS, then?") == plain_text("what is this then")
    assert plain_text("3 + 4") != plain_text("3 - 4")
    assert plain_text("?!") == "?!"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop: 3.5 kg!", ["don", "t", "stop", "3", "5", "kg"]),
        ("我喜欢 tea", ["我", "喜", "欢", "tea"]),
        ("ＡＢＣ", ["abc"]),
        ("…", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    assert same_text(same_text(text)) == same_text(text)
    assert all(word and not word.isspace() for word in words(text))
