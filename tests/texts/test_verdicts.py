"""What a judge's last line says, and what says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.texts.verdicts import parse_preference, parse_score


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Verdict: A", "A"),
        ("A is terse.\n\n**Verdict: B**\n", "B"),
        ("verdict - tie.", "tie"),
        ("Verdict: Answer b", "B"),
        ("Verdict: [A]", "A"),
        ("Verdict: A or B", None),
        ("Verdict: C", None),
        ("Verdict: A\nThough B is good as well.", None),
        ("I like A", None),
        ("A", None),
        ("Verdict:", None),
        ("", None),
    ],
)
def test_a_preference_is_the_last_line_and_nothing_else(text: str, said: str | None) -> None:
    assert parse_preference(text) == said


@given(st.text(max_size=200), st.sampled_from(["A", "B", "tie"]))
def test_any_text_is_read_and_what_stands_before_the_verdict_does_not_matter(text: str, said: str) -> None:
    assert parse_preference(text) in ("A", "B", "tie", None)
    assert parse_preference(f"{text}\nVerdict: {said}") == said
    assert parse_score(f"{text}\nScore: 3", 10) == 3
