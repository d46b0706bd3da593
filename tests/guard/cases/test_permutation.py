"""Permutation p-values: uniform where nothing joins a group, and never below what can be shown."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import binomtest

from potstill.guard.cases.permutation import Exchangeable, Linked, Sets, Shared, Total

RNG = np.random.default_rng(17)
BLOCK = np.repeat([0, 1, 2], [60, 30, 25])


def graph(rng: np.random.Generator) -> csr_array:
    """Everybody is a little alike, and those of one block much more."""
    alike = rng.random((115, 115)) + 4 * (BLOCK[:, None] == BLOCK)
    return csr_array(np.triu(alike, 1) + np.triu(alike, 1).T)


def group(rng: np.random.Generator) -> list[int]:
    """Nine customers of three blocks, chosen without looking at what they do."""
    found = [rng.choice(np.flatnonzero(block == BLOCK), 3, replace=False) for block in range(3)]
    return [int(at) for at in np.concatenate(found)]


@pytest.mark.parametrize("statistic", ["total", "linked"])
def test_p_is_uniform_where_nothing_joins_a_group(statistic: str) -> None:
    rng = np.random.default_rng(4)
    blocks = Exchangeable(BLOCK)
    values = []
    for _ in range(300):
        # Blocks differ by far: a test that forgot them would find evidence everywhere, or nowhere.
        of = Total(rng.random(115) + 5 * BLOCK) if statistic == "total" else Linked(graph(rng))
        values.append(blocks.p_value(of, group(rng), 499, rng))
    for level in (0.02, 0.05, 0.1, 0.25, 0.5):
        assert binomtest(sum(p <= level for p in values), 300, level).pvalue > 0.01


def test_sharing_by_chance_keeps_the_level() -> None:
    rng = np.random.default_rng(5)
    blocks = Exchangeable(BLOCK)
    hits = 0
    for _ in range(300):
        holds = csr_array((rng.random((115, 12)) < 0.15).astype(np.float32))
        hits += blocks.p_value(Shared(holds, np.full(12, 3.0)), group(rng), 199, rng) <= 0.05
    assert binomtest(hits, 300, 0.05, alternative="greater").pvalue > 0.01


def test_p_is_never_below_what_the_permutations_can_show() -> None:
    blocks = Exchangeable(BLOCK)
    scores = np.zeros(115)
    members = list(range(8))
    scores[members] = 1
    assert blocks.smallest_p(members, 999) == 1 / 1000
    assert blocks.p_value(Total(scores), members, 999, np.random.default_rng(0)) == 1 / 1000
    small = Exchangeable(np.repeat([0, 1], [5, 20]))
    assert small.smallest_p([0, 1], 999) == pytest.approx(1 / math.comb(5, 2))
    assert small.smallest_p([0, 1, 5], 9_999) == pytest.approx(1 / (math.comb(5, 2) * 20))


def test_stopping_early_is_the_share_of_hits_until_then() -> None:
    blocks = Exchangeable(np.zeros(50, np.intp))
    p = blocks.p_value(Total(np.zeros(50)), [1, 2, 3], 9_999, np.random.default_rng(0))
    assert p == 1.0  # every set reaches it: 20 of the first 20
    assert blocks.p_value(Shared(csr_array((50, 1), dtype=np.float32), np.ones(1)), [1, 2], 99, RNG) == 1.0


def test_statistics_are_their_sums_over_pairs() -> None:
    alike = np.triu(RNG.random((6, 6)), 1)
    holds = (RNG.random((6, 5)) < 0.6).astype(np.float32)
    bits = np.arange(1.0, 6.0)
    for members in ([0, 2, 5], [1, 4], [0, 1, 2, 3, 4, 5]):
        pairs = [(a, b) for at, a in enumerate(members) for b in members[at + 1 :]]
        sets = Sets.of(np.asarray([members]), 6)
        assert Linked(csr_array(alike + alike.T)).of(sets)[0] == pytest.approx(sum(alike[a, b] for a, b in pairs))
        shared = sum(float((holds[a] * holds[b]) @ bits) for a, b in pairs)
        assert Shared(csr_array(holds), bits).of(sets)[0] == pytest.approx(shared)


@pytest.mark.parametrize("size", [2, 5, 8, 30])
def test_every_set_of_a_block_is_as_likely(size: int) -> None:
    blocks = Exchangeable(np.zeros(40, np.intp))
    sets = blocks.draws(list(range(size)), 4_000, np.random.default_rng(2))
    assert all(len(set(row)) == size for row in sets[:200].tolist())
    counts = np.bincount(sets.ravel(), minlength=40)
    expected = 4_000 * size / 40
    spread = math.sqrt(4_000 * size / 40 * (1 - size / 40))
    assert np.abs(counts - expected).max() < 4.5 * spread
