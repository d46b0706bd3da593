"""The codes: bit streams, sets of ids, and round trips of both kinds for vocabularies from 2 to 200,000."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.store.signals import Samples, TopK, sampled, top_k
from potstill.store.signals.bits import Fields, before, read_unary, write_fields, write_unary
from potstill.store.signals.idsets import from_gaps, read_alphabet, rice_parameter, to_gaps, write_alphabet
from potstill.store.signals.pieces import Pieces


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=60), st.integers(0, 40))
def test_fields_come_back_and_lie_where_the_specification_says(fields: list[tuple[int, int]], start: int) -> None:
    widths = np.array([width for _, width in fields], np.int64)
    values = np.array([value & ((1 << width) - 1) for value, width in fields], np.int64)
    offsets = before(widths) + start
    size = (start + int(widths.sum()) + 7) // 8
    stream = write_fields(size, offsets, values).tobytes()
    assert len(stream) == size
    assert Fields(stream).read(offsets, widths).tolist() == values.tolist()
    number = sum(value << offset for value, offset in zip(values.tolist(), offsets.tolist(), strict=True))
    assert stream == number.to_bytes(size, "little")


@given(st.lists(st.lists(st.integers(0, 70), max_size=9), max_size=6))
def test_unary_numbers_come_back_in_groups_that_begin_on_bytes(groups: list[list[int]]) -> None:
    values = np.array([value for group in groups for value in group], np.int64)
    lengths = np.array([len(group) for group in groups], np.int64)
    stream, sizes = write_unary(values, lengths)
    expected = b"".join(
        sum(1 << (sum(group[: at + 1]) + at) for at in range(len(group))).to_bytes(
            (sum(group) + len(group) + 7) // 8, "little"
        )
        for group in groups
    )
    assert stream.tobytes() == expected
    found = read_unary(expected, sizes, lengths)
    assert found is not None
    assert found.tolist() == values.tolist()
    assert read_unary(expected + b"\x01", sizes, lengths) is None


def test_rice_parameter_is_that_of_the_specification() -> None:
    for alphabet in (1, 2, 3, 9, 50, 4245, 49152, 200_000):
        for length in (1, 2, 3, 7, 50, 200):
            expected = max((2 * alphabet // (3 * length)).bit_length() - 1, 0)
            assert rice_parameter(alphabet, np.array([length])).tolist() == [expected]


@given(st.sets(st.integers(0, 199_999), max_size=200), st.integers(0, 3))
def test_alphabets_come_back(ids: set[int], repeats: int) -> None:
    several = np.array(sorted(ids) * (repeats + 1), np.int64)
    alphabet, code = write_alphabet(several, 200_000)
    assert alphabet.tolist() == sorted(ids)
    found = read_alphabet(code, len(alphabet), 200_000)
    assert found is not None
    assert found.tolist() == sorted(ids)


def test_gaps_of_sets_that_do_not_ascend_are_refused() -> None:
    assert from_gaps(to_gaps(np.array([3, 7, 0, 1]), np.array([2, 2])), np.array([2, 2])).tolist() == [3, 7, 0, 1]
    for wrong in ([7, 3, 0, 1], [3, 3, 0, 1], [-1, 3, 0, 1]):
        with pytest.raises(ValueError, match="ascend"):
            to_gaps(np.array(wrong), np.array([2, 2]))
    with pytest.raises(ValueError, match="the vocabulary has 7"):
        write_alphabet(np.array([3, 7]), 7)


def random_samples(rng: np.random.Generator, positions: int, vocabulary: int, draws: int) -> Samples:
    most = min(vocabulary, draws)
    lengths, ids, counts = [], [], []
    for _ in range(positions):
        length = int(rng.integers(1, most + 1)) if rng.random() < 0.7 else rng.choice([1, most])
        lengths.append(length)
        ids.append(np.sort(rng.choice(vocabulary, length, replace=False)))
        cuts = np.sort(rng.choice(draws - 1, length - 1, replace=False)) + 1 if length > 1 else np.zeros(0, int)
        counts.append(np.diff(np.concatenate([[0], cuts, [draws]])))
    entropy = torch.from_numpy(rng.random(positions).astype(np.float32)) * float(np.log(vocabulary))
    none = [np.zeros(0, np.int64)]
    return Samples(
        torch.from_numpy(np.concatenate(none + ids).astype(np.int64)),
        torch.from_numpy(np.concatenate(none + counts).astype(np.int64)),
        torch.tensor(lengths, dtype=torch.long), entropy,
    )  # fmt: skip


def pieces_of(coded: list[object], alphabet: np.ndarray) -> Pieces:
    return Pieces(coded, [alphabet], np.zeros(len(coded), np.int64))


@given(
    vocabulary=st.one_of(st.integers(2, 40), st.integers(2, 200_000)), seed=st.integers(0, 10**6),
    draws=st.one_of(st.integers(1, 60), st.sampled_from([200, 65535])),
    positions=st.lists(st.integers(0, 5), max_size=5),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_samples_come_back_bit_for_bit(vocabulary: int, seed: int, draws: int, positions: list[int]) -> None:
    rng = np.random.default_rng(seed)
    if draws > 1000:
        positions = positions[:2]
    parts = [random_samples(rng, count, vocabulary, draws) for count in positions]
    ids = np.concatenate([np.zeros(0, np.int64), *(one.ids.numpy() for one in parts)])
    alphabet, _ = write_alphabet(ids, vocabulary)
    if not parts:
        return
    coded = sampled.encode(parts, alphabet, draws, vocabulary)
    order = rng.permutation(len(parts))  # any sequences, in any order
    found = sampled.decode(pieces_of([coded[at] for at in order], alphabet), draws, vocabulary)
    assert found is not None
    bound = sampled.entropy_step(vocabulary) / 2 + 1e-6
    for name in ("ids", "counts", "lengths"):
        expected = torch.cat([getattr(parts[at], name) for at in order])
        assert torch.equal(getattr(found, name), expected), name
        assert getattr(found, name).dtype == torch.long
    assert ((found.entropy - torch.cat([parts[at].entropy for at in order])).abs() <= bound).all()
    again = sampled.encode([parts[0], found], alphabet, draws, vocabulary)[1]
    twice = sampled.decode(pieces_of([again], alphabet), draws, vocabulary)
    assert twice is not None
    assert torch.equal(twice.entropy, found.entropy)  # what is rounded once stays


def test_samples_that_break_the_rules_are_refused() -> None:
    good = Samples(torch.tensor([1, 4]), torch.tensor([2, 3]), torch.tensor([2]), torch.tensor([0.5]))
    alphabet = np.array([1, 4])
    with pytest.raises(ValueError, match="sum to the draws, 6"):
        sampled.encode([good], alphabet, 6, 9)
    for counts in ([0, 5], [-1, 6]):
        with pytest.raises(ValueError, match="positive"):
            sampled.encode([Samples(good.ids, torch.tensor(counts), good.lengths, good.entropy)], alphabet, 5, 9)
    with pytest.raises(ValueError, match="ascend"):
        sampled.encode([Samples(good.ids.flip(0), good.counts, good.lengths, good.entropy)], alphabet, 5, 9)


def random_top_k(rng: np.random.Generator, positions: int, vocabulary: int, k: int) -> TopK:
    scale = rng.uniform(0.2, 8)
    log_p = torch.from_numpy(rng.normal(size=(positions, vocabulary)) * scale).log_softmax(-1)
    if vocabulary > 2 and rng.random() < 0.3:
        log_p[:, rng.integers(vocabulary)] = -torch.inf
        log_p = log_p.log_softmax(-1)
    ids = log_p.topk(k, -1).indices.sort(-1).values
    tail = log_p.exp().scatter(-1, ids, 0.0).sum(-1)
    return TopK(ids, log_p.gather(-1, ids).float(), tail.float())


@given(
    vocabulary=st.one_of(st.integers(2, 40), st.integers(2, 20_000)), seed=st.integers(0, 10**6),
    share=st.floats(0, 1), bits=st.sampled_from([8, 16]), positions=st.lists(st.integers(0, 4), min_size=1, max_size=4),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_top_k_comes_back_within_the_stated_bound(
    vocabulary: int, seed: int, share: float, bits: int, positions: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    k = max(1, round(share**3 * vocabulary))
    parts = [random_top_k(rng, count, vocabulary, k) for count in positions]
    alphabet, _ = write_alphabet(np.concatenate([one.ids.numpy().ravel() for one in parts]), vocabulary)
    coded = top_k.encode(parts, alphabet, k, bits)
    found = top_k.decode(pieces_of(coded, alphabet), k, bits)
    assert found is not None
    assert torch.equal(found.ids, torch.cat([one.ids for one in parts]))
    total = found.log_probabilities.double().exp().sum(-1) + found.tail
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-5, rtol=0)
    start = 0
    for one in parts:
        stop = start + len(one.ids)
        check_bound(one, found.log_probabilities[start:stop], found.tail[start:stop], bits)
        start = stop


def check_bound(one: TopK, log_p: torch.Tensor, tail: torch.Tensor, bits: int) -> None:
    """The bound of docs/signals.md: rounding by at most b(depth), then one shift of all by at most the largest b."""
    if not len(one.ids):
        return
    expected, levels = one.log_probabilities.double(), 2**bits - 2
    possible = expected > -torch.inf
    assert torch.equal(possible, log_p > -torch.inf)
    scale = -expected[possible].min()

    def bound(depth: torch.Tensor, scale: torch.Tensor | float, levels: int) -> torch.Tensor:
        return (depth * scale).sqrt() / levels + scale / (4 * levels**2)

    own = torch.where(possible, bound(-expected.where(possible, torch.zeros(())), scale, levels), 0.0)
    depth = -one.tail.double().log()
    within = one.tail > 1e-43  # a smaller one is kept as e^-100, and moves nothing
    of_tail = torch.where(within, bound(depth.clamp(max=100), 100.0, 65534), 0.0)
    mass = one.log_probabilities.double().exp()
    shift = (mass * (own.exp() - 1)).sum(-1) + one.tail.double() * (of_tail.exp() - 1)
    error = (log_p.double() - expected).where(possible, torch.zeros((), dtype=torch.float64)).abs()
    assert (error <= own + 1.05 * shift[:, None] + 1e-5).all()
    error = (tail.double().log() + depth)[within].abs()
    assert (error <= (of_tail + 1.05 * shift)[within] + 1e-4).all()
    assert torch.equal(tail == 0, one.tail == 0)


def test_the_stated_examples_of_the_bound() -> None:
    """A distribution of a real model's shape: errors of p below a hundredth in 8 bits, below 1e-4 in 16."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(400, 5000)) * 3)
    log_p = logits.log_softmax(-1)
    ids = log_p.topk(20, -1).indices.sort(-1).values
    one = TopK(ids, log_p.gather(-1, ids).float(), log_p.exp().scatter(-1, ids, 0.0).sum(-1).float())
    alphabet, _ = write_alphabet(ids.numpy().ravel(), 5000)
    for bits, largest in ((8, 1e-2), (16, 1e-4)):
        found = top_k.decode(pieces_of(top_k.encode([one], alphabet, 20, bits), alphabet), 20, bits)
        assert found is not None
        assert (found.log_probabilities.exp() - one.log_probabilities.exp()).abs().max() < largest


def test_bytes_that_are_no_code_are_not_read_as_one() -> None:
    rng = np.random.default_rng(3)
    part = random_samples(rng, 6, 500, 50)
    alphabet, _ = write_alphabet(part.ids.numpy(), 500)
    (coded,) = sampled.encode([part], alphabet, 50, 500)
    for _ in range(200):
        head = bytearray(coded.head)
        unary = bytearray(coded.unary)
        spoiled = head if rng.random() < 0.5 else unary
        spoiled[rng.integers(len(spoiled))] ^= 1 << int(rng.integers(8))
        changed = type(coded)(coded.positions, bytes(head), bytes(unary))
        found = sampled.decode(pieces_of([changed], alphabet), 50, 500)
        if found is not None:  # another code by chance: still ids of the alphabet and counts that sum to the draws
            assert found.ids.max() < 500
            assert found.counts.sum() == 50 * 6
