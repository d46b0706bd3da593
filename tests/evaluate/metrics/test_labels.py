"""Which label an answer names, and macro-F1 against scikit-learn's published example."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluate.metrics.labels import confusion_columns, macro_f1, named_label

LABELS = ("card", "lost_card", "Card arrival", "no")


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("card", "card"),
        (" Card.\n", "card"),
        ("lost card", "lost_card"),
        ("The intent is: lost_card", "lost_card"),
        ("This is about card arrival.", "Card arrival"),
        ("lost card, no card arrival", None),  # several
        ("cardinal", None),
        ("I know nothing", None),
        ("", None),
    ],
)
def test_the_label_that_an_answer_names(answer: str, label: str | None) -> None:
    assert named_label(answer, LABELS) == label


def test_labels_of_one_spelling_are_told_apart_by_nobody() -> None:
    assert named_label("a b", ("a_b", "A b")) is None


@given(st.text(max_size=30))
def test_any_text_is_survived(text: str) -> None:
    assert named_label(text, LABELS) in (*LABELS, None)


def test_macro_f1_has_the_published_value() -> None:
    """The example in scikit-learn's documentation of f1_score, average="macro": 0.26..."""
    truth, predicted = ["0", "1", "2", "0", "1", "2"], ["0", "2", "1", "0", "0", "1"]
    counts = confusion_columns(list(predicted), truth, ("0", "1", "2"))
    assert macro_f1(counts.sum(axis=0)) == pytest.approx(0.8 / 3)


def test_no_label_is_a_miss_and_absent_labels_count_nothing() -> None:
    counts = confusion_columns(["a", None], ["a", "a"], ("a", "b"))
    np.testing.assert_array_equal(counts, [[1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]])
    assert macro_f1(counts.sum(axis=0)) == pytest.approx(2 / 3)


def test_many_sums_at_once() -> None:
    sums = np.array([[1.0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(macro_f1(sums), [1, (2 / 3 + 0) / 2, 0])
