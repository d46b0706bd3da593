"""Repetition: the share of a text that stood there before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.texts.repetition import repeated_share


@pytest.mark.parametrize(
    ("text", "n", "share"),
    [
        ("a b c d e f g h", 3, 0.0),
        ("a b c d a b c d", 4, 0.5),  # said twice
        ("a b c a b c a b c a b c", 3, 0.75),
        ("one two three four one two three five", 3, 11 / 30),  # "one two three" again, by characters
        ("x x x x x x", 5, 5 / 6),
        ("我喜欢茶我喜欢茶", 4, 0.5),
        ("too short", 5, 0.0),
        ("", 5, 0.0),
    ],
)
def test_share(text: str, n: int, share: float) -> None:
    assert repeated_share(text, n) == pytest.approx(share)


@given(st.lists(st.sampled_from("abcd"), max_size=60), st.integers(1, 8))
def test_is_the_share_of_positions_that_a_plain_count_marks(letters: list[str], n: int) -> None:
    marked, seen = set(), set()
    for start in range(len(letters) - n + 1):
        gram = tuple(letters[start : start + n])
        if gram in seen:
            marked.update(range(start, start + n))
        seen.add(gram)
    expected = len(marked) / len(letters) if letters else 0.0
    assert repeated_share(" ".join(letters), n) == pytest.approx(expected)
