"""Overlap: thirteen words in a row, or a short text whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.texts.overlap import WORDS, passages_of

LONG = "Natalia sold clips to forty eight of her friends in April and then she sold half as many clips in May"
MIDDLE = "What is the capital of the old kingdom now"  # nine words
SHORT = "What is photosynthesis?"
PASSAGES = passages_of([LONG, "", MIDDLE, SHORT])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"Solve: {LONG.upper()}!", 0),
        ("x " * 40 + " ".join(LONG.split()[4 : 4 + WORDS]) + " y" * 40, 0),
        ("x " + " ".join(LONG.split()[4 : 3 + WORDS]) + " y", None),  # twelve words of a longer text
        (f"Tell me. {MIDDLE}?", 2),
        ("what is PHOTOSYNTHESIS", 3),
        ("What is photosynthesis good for?", None),  # a short text counts only whole
        ("", None),
        ("word", None),
    ],
)
def test_which_text_shares_a_passage(text: str, found: int | None) -> None:
    assert PASSAGES.found_in(text) == found


def test_without_texts_nothing_is_found() -> None:
    assert passages_of([]).found_in(LONG) is None


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), min_size=WORDS, max_size=30))
def test_agrees_with_a_search_for_each_passage(text: list[str], known: list[str]) -> None:
    grams = [known[start : start + WORDS] for start in range(len(known) - WORDS + 1)]
    shared = any(text[at : at + WORDS] in grams for at in range(len(text) - WORDS + 1))
    assert (passages_of([" ".join(known)]).found_in(" ".join(text)) == 0) == shared
