"""Near duplicates: signatures that estimate similarity, found by bands."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.texts.near_duplicates import NearDuplicates, signature, signatures, similarity
from potstill.texts.shingles import shingles

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _words(number: int, dice: random.Random) -> list[str]:
    return ["".join(dice.choices(_LETTERS, k=dice.randint(2, 9))) for _ in range(number)]


@pytest.mark.parametrize("length", [3, 12, 60, 200])
def test_signatures_estimate_the_jaccard_similarity_without_bias(length: int) -> None:
    dice, errors = random.Random(length), []
    for _ in range(300):
        first = _words(length, dice)
        second = [word if dice.random() > 0.1 else _words(1, dice)[0] for word in first]
        one, other = shingles(" ".join(first)), shingles(" ".join(second))
        exact = len(np.intersect1d(one, other)) / len(np.union1d(one, other))
        errors.append(similarity(signature(one), signature(other)) - exact)
    assert abs(np.mean(errors)) < 0.01
    assert np.std(errors) < 0.05


def test_the_first_of_a_chain_stands_for_all_and_groups_stay_apart() -> None:
    text = " ".join(_words(80, random.Random(1)))
    found = NearDuplicates(0.8)
    assert found.earlier("a", text, "one") is None
    assert found.earlier("b", text + " indeed", "one") == "a"
    assert found.earlier("c", text.upper() + "!", "one") == "a"
    assert found.earlier("d", text, "two") is None
    assert found.earlier("e", " ".join(_words(80, random.Random(2))), "one") is None


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_most_pairs_above_the_threshold_are_found_and_few_below(threshold: float) -> None:
    dice = random.Random(3)
    above = below = found_above = found_below = 0
    for _ in range(600):
        first = _words(60, dice)
        share = dice.uniform(0.0, 0.5)
        second = [word if dice.random() > share else _words(1, dice)[0] for word in first]
        one, other = shingles(" ".join(first)), shingles(" ".join(second))
        exact = len(np.intersect1d(one, other)) / len(np.union1d(one, other))
        near = NearDuplicates(threshold)
        near.earlier("first", " ".join(first))
        hit = near.earlier("second", " ".join(second)) is not None
        if exact > threshold + 0.1:
            above, found_above = above + 1, found_above + hit
        elif exact < threshold - 0.1:
            below, found_below = below + 1, found_below + hit
    assert above > 30
    assert below > 30
    assert found_above >= 0.97 * above
    assert found_below <= 0.02 * below


@given(st.text(), st.text())
def test_any_two_texts_can_be_compared(first: str, second: str) -> None:
    near = NearDuplicates(0.5)
    assert near.earlier("first", first) is None
    assert near.earlier("again", first) == "first"
    assert near.earlier("second", second) in ("first", None)


@given(st.lists(st.text(max_size=60), max_size=6))
def test_signatures_of_many_texts_are_those_of_each(texts: list[str]) -> None:
    found = signatures(texts)
    assert found.shape == (len(texts), 128)
    for text, mine in zip(texts, found, strict=True):
        assert np.array_equal(mine, signature(shingles(text)))
