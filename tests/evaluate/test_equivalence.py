"""Equivalent within the margin, different, both, or neither, and how many prompts would show it."""

import pytest

from potstill.evaluate.equivalence import equivalences
from potstill.records import Figure
from potstill.stats import needed_n


def verdict(value: float, low: float | None, high: float | None, n: int = 200) -> dict[str, object]:
    figures = {"retention.accuracy": Figure(value, low, high, n, ""), "accuracy": Figure(0.9, 0.8, 0.95, n, "")}
    (found,) = equivalences(figures, 0.03)
    assert (found["figure"], found["margin"]) == ("retention.accuracy", 0.03)
    return found


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (1.0, 0.98, 1.02, "equivalent within the margin"),
        (0.985, 0.975, 0.995, "equivalent within the margin, though different"),
        (0.8, 0.7, 0.9, "different"),
        (0.99, 0.9, 1.08, "undecided"),
        (0.99, None, None, "undecided"),
        (0.97, 0.97, 1.0, "undecided"),  # an end on the margin is not inside
    ],
)
def test_words(value: float, low: float | None, high: float | None, words: str) -> None:
    assert verdict(value, low, high)["words"] == words


def test_as_many_prompts_as_the_harder_side_needs() -> None:
    found = verdict(0.99, 0.94, 1.04)
    assert found["needed_n"] == needed_n(0.99, 0.94, 1.04, 200, 0.97)
    assert found["needed_n"] > needed_n(0.99, 0.94, 1.04, 200, 1.03)  # type: ignore[operator]
    assert verdict(0.96, 0.9, 1.02)["needed_n"] is None  # what is outside the margin never gets inside it
    assert verdict(1.0, 0.99, 1.01)["needed_n"] is None


def test_nineteen_prompts_show_nothing() -> None:
    found = verdict(1.0, 0.99, 1.01, 19)
    assert (found["equivalent"], found["different"], found["needed_n"]) == (False, False, 20)
