"""Classes, blocks and conformal p-values, and which kinds of evidence are independent."""

import numpy as np
import pytest
from scipy.stats import kstest

from potstill.guard.cases.families import FAMILY_OF, INNOCENT, KINDS_OF, SHOWS, TIES, clauses, independent, together
from potstill.guard.cases.population import _blocks, conformal
from potstill.guard.needs import KINDS


def test_conformal_p_is_uniform_within_each_class_whatever_the_classes_are_like() -> None:
    rng = np.random.default_rng(1)
    classes = ["plain"] * 400 + ["specialised"] * 100
    score = np.concatenate((rng.random(400), 10 + rng.random(100)))
    p = conformal(score, classes)
    assert kstest(p[400:], "uniform").pvalue > 0.5  # the narrow customers are compared with their like
    assert p[400:].min() == 1 / 100
    assert p[score.argmax()] == 1 / 100


def test_a_small_class_gets_no_p_value() -> None:
    p = conformal(np.arange(30.0), ["a"] * 25 + ["b"] * 5)
    assert np.isnan(p[25:]).all()
    assert not np.isnan(p[:25]).any()


def test_every_block_has_twenty_or_is_what_is_left() -> None:
    plan = ["pro"] * 60 + ["free"] * 25 + ["team"] * 5
    finest = [(name, at % 2 if at < 50 else 2 + at % 9) for at, name in enumerate(plan)]
    blocks = _blocks([finest, plan]).block
    sizes = np.bincount(blocks)
    assert sorted(sizes.tolist()) == [15, 25, 25, 25]
    assert len({int(one) for one in blocks[:50]}) == 2
    assert len(set(blocks[60:85].tolist())) == 1


@pytest.mark.parametrize(
    ("one", "other", "independent"),
    [
        ("payment", "content", True), ("origin", "timing", True), ("signup", "conduct", False),
        ("content", "timing", True), ("timing", "conduct", True), ("payment", "signup", False),
        ("origin", "payment", False), ("content", "conduct", False), ("timing", "timing", False),
        ("origin", "conduct", False), ("payment", "conduct", True), ("software", "timing", False),
    ],
)  # fmt: skip
def test_two_kinds_have_to_be_independent_and_one_a_behaviour(one: str, other: str, independent: bool) -> None:
    assert together(one, other) is independent  # type: ignore[arg-type]
    assert together(other, one) is independent  # type: ignore[arg-type]


def test_what_makes_evidence_of_a_group() -> None:
    every = list(KINDS_OF)
    assert clauses("payment", every) == [("content",), ("timing",), ("conduct",)]
    assert clauses("origin", every) == [("content",), ("timing",), ("payment", "conduct")]
    assert clauses("content", every) == [("payment",), ("origin",), ("signup",), ("timing",)]
    assert clauses("content", ["conduct"]) == []
    assert independent(("origin", "payment", "conduct"))
    assert not independent(("origin", "payment", "signup"))


def test_every_family_explains_itself_and_its_kinds_exist() -> None:
    assert set(SHOWS) == set(INNOCENT) == set(KINDS_OF)
    assert set(FAMILY_OF) == set(KINDS) - {"one_shot"}  # which belongs to explanations
    assert set(TIES) < set(KINDS_OF)
