"""TF-IDF vectors by hand."""

import math

import numpy as np
import pytest

from potstill.texts.tf_idf import SparseRows, TfIdf


def dense(found: SparseRows) -> np.ndarray:
    table = np.zeros(found.shape)
    table[found.rows, found.columns] = found.values
    return table


def test_vectors_by_hand() -> None:
    """The terms in order are: red, red kettle, red red, red tea, kettle and tea stand before their pairs or after."""
    made = TfIdf(["red kettle", "Red, tea!", "red red"])
    found = dense(made.rows(["red kettle", "tea red red", "unknown words", ""]))
    common, rare = 1.0, math.log(4 / 2) + 1  # in all three texts; in one
    first = {"red": common, "kettle": rare, "red kettle": rare}
    length = math.hypot(*first.values())
    assert sorted(found[0][found[0] > 0]) == pytest.approx(sorted(one / length for one in first.values()))
    second = {"red": 2 * common, "tea": rare, "red red": rare}  # "tea red" is in none
    length = math.hypot(*second.values())
    assert sorted(found[1][found[1] > 0]) == pytest.approx(sorted(one / length for one in second.values()))
    assert not found[2:].any()
    assert np.linalg.norm(found[:2], axis=1) == pytest.approx([1, 1])


def test_the_same_texts_in_another_order_give_the_same_weights() -> None:
    texts = ["a b c", "b c d", "c d e"]
    one, other = (dense(TfIdf(given).rows(["a c e"])) for given in (texts, texts[::-1]))
    assert (one == other).all()
