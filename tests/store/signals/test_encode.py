"""Encoding from dense rows: exact counts, no bias, top K as sorting finds it, whatever the scale of the logits."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from potstill.store.signals import Samples, TopK, encode_sampled, encode_top_k
from potstill.store.signals import encode as encoding


def logits(rows: int, vocabulary: int, seed: int = 0, spread: float = 2.0) -> Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * spread


def uniform(rows: int, seed: int = 1) -> Tensor:
    return torch.rand(rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense_counts(found: Samples, vocabulary: int) -> Tensor:
    rows = torch.repeat_interleave(torch.arange(len(found.lengths)), found.lengths)
    counts = torch.zeros(len(found.lengths), vocabulary, dtype=torch.float64)
    return counts.index_put_((rows, found.ids), found.counts.double(), accumulate=True)


@given(
    rows=st.integers(1, 5), vocabulary=st.integers(1, 3000), draws=st.sampled_from([1, 2, 50, 200, 4001]),
    seed=st.integers(0, 99), spread=st.floats(0, 6), shift=st.sampled_from([0.0, -300.0, 300.0]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_each_count_is_the_floor_or_ceiling_of_the_expected_number(
    rows: int, vocabulary: int, draws: int, seed: int, spread: float, shift: float
) -> None:
    wide = logits(rows, vocabulary, seed, spread) + shift
    found = encode_sampled(wide, uniform(rows, seed), draws)
    counts = dense_counts(found, vocabulary)
    log_p = wide.double().log_softmax(-1)
    assert (counts.sum(-1) == draws).all()
    assert ((counts - draws * log_p.exp()).abs() < 1 + draws * 1e-6).all()
    assert (found.counts > 0).all()
    starts = found.lengths.cumsum(0) - found.lengths
    descents = (found.ids.diff() <= 0).nonzero().flatten() + 1
    assert set(descents.tolist()) <= set(starts.tolist())  # ids ascend within a position
    torch.testing.assert_close(found.entropy.double(), torch.special.entr(log_p.exp()).sum(-1), atol=2e-5, rtol=1e-5)


def test_counts_are_those_of_the_definition() -> None:
    """The draws at F⁻¹((u+j)/N), looked for one by one in float64."""
    wide, offsets, draws = logits(40, 700), uniform(40), 50
    cumulative = wide.double().softmax(-1).cumsum(-1)
    points = (offsets[:, None] + torch.arange(draws)) / draws
    taken = torch.searchsorted(cumulative, points * cumulative[:, -1:])
    expected = torch.zeros_like(cumulative).scatter_add_(-1, taken, torch.ones_like(points))
    assert torch.equal(dense_counts(encode_sampled(wide, offsets, draws), 700), expected)


def test_the_mean_of_the_counts_nears_the_distribution_as_one_over_the_root_of_the_repeats() -> None:
    draws, vocabulary = 7, 300
    p = logits(1, vocabulary).double().softmax(-1)[0]
    share = (draws * p).frac()  # of the repeats in which a count is the ceiling, not the floor
    spread = (share * (1 - share)).sqrt() / draws
    errors = []
    for repeats in (100, 400, 1600):
        several = []
        for seed in range(8):
            found = encode_sampled(logits(1, vocabulary).expand(repeats, -1), uniform(repeats, seed), draws)
            error = dense_counts(found, vocabulary).mean(0) / draws - p
            often = share * (1 - share) * repeats > 20  # where a count's mean is near enough to normal
            assert (error.abs() < 5 * spread / repeats**0.5)[often].all()
            several.append(error.square().sum())
        errors.append(torch.stack(several).mean().sqrt().item())
    for fewer, more in itertools.pairwise(errors):
        assert fewer / more == pytest.approx(2.0, rel=0.3)


def test_neighbouring_offsets_cover_the_distribution_evenly() -> None:
    repeats = 4000
    wide = logits(1, 9).expand(repeats, -1)
    found = encode_sampled(wide, (torch.arange(repeats, dtype=torch.float64) + 0.5) / repeats, 7)
    mean = dense_counts(found, 9).mean(0) / 7
    torch.testing.assert_close(mean, wide[0].double().softmax(-1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("place", [0, 4, 63, 64, 199])
def test_suppressed_tokens_are_never_drawn(place: int) -> None:
    wide = logits(30, 200)
    wide[:, place] = -torch.inf
    for offset in (0.0, 0.5, 1 - 1e-16):
        found = encode_sampled(wide, torch.full((30,), offset, dtype=torch.float64), 50)
        assert place not in found.ids
        expected = torch.special.entr(wide.double().softmax(-1)).sum(-1)
        torch.testing.assert_close(found.entropy.double(), expected, atol=1e-5, rtol=1e-5)
    assert place not in encode_top_k(wide, 50).ids


@pytest.mark.parametrize("hair", [1e-7, 1e-8, 1e-9, 1e-12, 2e-16])
@pytest.mark.parametrize("draws", [50, 5000])
def test_a_point_a_hair_below_the_edge_of_a_block_is_not_lost(draws: int, hair: float) -> None:
    """N·F - u is a whole number and next to nothing there, which fp32 rounds down."""
    wide = torch.zeros(2, 256)
    wide[1, 128:] = -torch.inf
    found = encode_sampled(wide, torch.full((2,), 1 - hair, dtype=torch.float64), draws)
    counts = dense_counts(found, 256)
    assert counts.sum(-1).tolist() == [draws, draws]
    assert found.counts.min() > 0
    assert counts[1, 128:].sum() == 0


def test_one_possible_token_takes_all() -> None:
    wide = torch.full((3, 130), -torch.inf)
    wide[torch.arange(3), torch.tensor([0, 64, 129])] = 5.0
    found = encode_sampled(wide, uniform(3), 50)
    assert found.ids.tolist() == [0, 64, 129]
    assert found.counts.tolist() == [50, 50, 50]
    assert found.entropy.abs().max() < 1e-6
    top = encode_top_k(wide, 3)
    assert top.tail.tolist() == [0, 0, 0]
    assert sorted(top.log_probabilities[1].tolist())[:2] == [-torch.inf, -torch.inf]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers_are_refused(bad: float) -> None:
    wide = logits(3, 100)
    wide[1, 7] = bad
    for act in (lambda: encode_sampled(wide, uniform(3), 5), lambda: encode_top_k(wide, 5)):
        with pytest.raises(ValueError, match="position 1"):
            act()
    with pytest.raises(ValueError, match="position 0"):
        encode_sampled(torch.full((1, 5), -torch.inf), uniform(1), 5)


@given(
    rows=st.integers(1, 4), vocabulary=st.integers(1, 2000), seed=st.integers(0, 99), share=st.floats(0, 1),
    shift=st.sampled_from([0.0, -300.0, 300.0]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_top_k_is_what_sorting_finds(rows: int, vocabulary: int, seed: int, share: float, shift: float) -> None:
    k = max(1, round(share * vocabulary))
    wide = logits(rows, vocabulary, seed) + shift
    found = encode_top_k(wide, k)
    log_p = wide.double().log_softmax(-1)
    expected = log_p.topk(k, -1)
    torch.testing.assert_close(found.log_probabilities.double().sort(-1, descending=True).values, expected.values,
                               atol=1e-5 + abs(shift) * 1e-6, rtol=1e-5)  # fmt: skip
    assert torch.equal(log_p.gather(-1, found.ids).sort(-1, descending=True).values, expected.values)
    assert (found.ids.diff(dim=-1) > 0).all()
    rest = log_p.exp().scatter(-1, found.ids, 0.0).sum(-1)
    torch.testing.assert_close(found.tail.double(), rest, atol=1e-12, rtol=1e-4)


def test_a_tiny_tail_keeps_its_digits() -> None:
    wide = torch.tensor([[30.0, 0.0, -5.0, -6.0]])
    found = encode_top_k(wide, 1)
    expected = wide.double().softmax(-1)[0, 1:].sum()
    assert found.tail.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_narrow_and_wide_dtypes_and_strided_rows(dtype: torch.dtype) -> None:
    wide = logits(10, 500).to(dtype)
    for view in (wide[:, :333], wide[::2], wide.T.contiguous().T):
        plain = view.float().contiguous()
        mine, expected = encode_sampled(view, uniform(len(view)), 50), encode_sampled(plain, uniform(len(view)), 50)
        assert torch.equal(mine.ids, expected.ids)
        assert torch.equal(mine.counts, expected.counts)
        torch.testing.assert_close(encode_top_k(view, 9).tail, encode_top_k(plain, 9).tail)


def test_stages_and_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, offsets = logits(50, 1000), uniform(50)
    whole, top = encode_sampled(wide, offsets, 50), encode_top_k(wide, 9)
    monkeypatch.setattr(encoding, "_ROWS_A_STAGE", 7)
    monkeypatch.setattr(encoding, "_CACHE_BYTES", 3 * 8 * 1000)
    parts, pieces = encode_sampled(wide, offsets, 50), encode_top_k(wide, 9)
    for name in ("ids", "counts", "lengths"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))
    torch.testing.assert_close(whole.entropy, parts.entropy)
    assert torch.equal(top.ids, pieces.ids)


def test_no_rows() -> None:
    assert len(encode_sampled(logits(0, 9), uniform(0), 50).lengths) == 0
    assert encode_top_k(logits(0, 9), 3).ids.shape == (0, 3)


def test_positions_are_selected_in_any_order() -> None:
    wide, offsets = logits(6, 80), uniform(6)
    order = torch.tensor([4, 0, 5])
    expected = encode_sampled(wide[order], offsets[order], 50)
    found = encode_sampled(wide, offsets, 50).select(order)
    for name in ("ids", "counts", "lengths"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    torch.testing.assert_close(found.entropy, expected.entropy)
    top = encode_top_k(wide, 5).select(order)
    assert isinstance(top, TopK)
    assert torch.equal(top.ids, encode_top_k(wide[order], 5).ids)
