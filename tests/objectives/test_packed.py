"""Stored signals give the losses that they stand for: samples on average, lists from below, both exactly when full."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from potstill.objectives import KINDS, chunked_sum, per_position
from potstill.objectives.gradients import Part
from potstill.objectives.head import ChunkLoss
from potstill.objectives.packed import (
    Samples,
    TopK,
    dense_loss,
    listed_loss,
    policy_gradient_loss,
    sampled_loss,
    token_loss,
    top_k_loss,
    weighted_sum,
)

N, D, V = 6, 4, 12
OPTIONS: dict[str, dict[str, Any]] = {
    "jsd": {"beta": 0.3},
    "skew_forward_kl": {"alpha": 0.2},
    "skew_reverse_kl": {"alpha": 0.2},
}


@pytest.fixture
def models() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    make = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return make(N, D), make(V, D), make(N, V)


def run(
    loss: ChunkLoss, hidden: Tensor, weight: Tensor, chunk: int = 4, block: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    total = chunked_sum(h, w, None, loss, chunk=chunk, block=block)
    total.backward()
    assert h.grad is not None
    assert w.grad is not None
    return total.detach(), h.grad, w.grad


def assert_alike(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def top_k(teacher: Tensor, k: int) -> TopK:
    log_p, ids = teacher.log_softmax(-1).topk(k, -1)
    return TopK(ids, log_p, (1 - log_p.exp().sum(-1)).clamp(min=0))


def test_tokens_are_samples_of_one_draw(models: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, weight, _ = models
    ids = torch.tensor([0, 3, 3, 7, 11, 5])
    samples = Samples(ids, torch.ones(N, dtype=torch.float64), torch.arange(N + 1), torch.zeros(N, dtype=torch.float64))
    found = run(token_loss(ids), hidden, weight)
    assert_alike(found, run(sampled_loss(samples), hidden, weight))
    torch.testing.assert_close(found[0], torch.nn.functional.cross_entropy(hidden @ weight.T, ids, reduction="sum"))


@pytest.mark.parametrize(("chunk", "block"), [(1, 1), (4, 3), (6, 6), (5, 2)])
def test_samples_of_all_tokens_are_forward_kl(models: tuple[Tensor, Tensor, Tensor], chunk: int, block: int) -> None:
    hidden, weight, teacher = models
    log_p = teacher.log_softmax(-1)
    samples = Samples(
        torch.arange(V).repeat(N), log_p.exp().flatten(), torch.arange(0, N * V + 1, V), -(log_p.exp() * log_p).sum(-1)
    )
    dense = run(dense_loss([Part("forward_kl")], lambda start, stop: teacher[start:stop]), hidden, weight)
    assert_alike(run(sampled_loss(samples), hidden, weight, chunk, block), dense)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_list_of_all_tokens_is_dense(models: tuple[Tensor, Tensor, Tensor], kind: str) -> None:
    hidden, weight, teacher = models
    parts = [Part(kind, 1.0, OPTIONS.get(kind, {}))]
    dense = run(dense_loss(parts, lambda start, stop: teacher[start:stop]), hidden, weight)
    for found, expected in zip(run(top_k_loss(parts, top_k(teacher, V)), hidden, weight), dense, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cross_entropy"])
def test_longer_lists_come_nearer_from_below(models: tuple[Tensor, Tensor, Tensor], kind: str) -> None:
    hidden, weight, teacher = models
    parts = [Part(kind, 1.0, OPTIONS.get(kind, {}))]
    values = [float(run(top_k_loss(parts, top_k(teacher, k)), hidden, weight)[0]) for k in range(1, V + 1)]
    dense = float(run(dense_loss(parts, lambda start, stop: teacher[start:stop]), hidden, weight)[0])
    assert values[0] >= 0
    assert all(low <= high + 1e-9 for low, high in zip(values, [*values[1:], dense], strict=True))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_lists_are_the_objective_over_k_tokens_and_a_bucket(models: tuple[Tensor, Tensor, Tensor], kind: str) -> None:
    hidden, weight, teacher = models
    lists = top_k(teacher, 3)
    others = torch.ones(N, V, dtype=torch.bool).scatter(-1, lists.ids, False)
    h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    log_q = (h @ w.T).log_softmax(-1)
    bucket = log_q.masked_fill(~others, -torch.inf).logsumexp(-1, keepdim=True)
    coarse_q = torch.cat([log_q.gather(-1, lists.ids), bucket], -1)
    coarse_p = torch.cat([lists.log_p, lists.tail[:, None].log()], -1)
    expected = KINDS[kind](coarse_q, coarse_p, **OPTIONS.get(kind, {})).sum()
    expected.backward()
    assert h.grad is not None
    assert w.grad is not None
    found = run(top_k_loss([Part(kind, 1.0, OPTIONS.get(kind, {}))], lists), hidden, weight)
    assert_alike(found, (expected.detach(), h.grad, w.grad))


def test_the_table_of_truncated_values() -> None:
    logits = torch.tensor([[0.9, 0.1]], dtype=torch.float64).log()
    lists = TopK(torch.tensor([[0]]), torch.tensor([[0.5]], dtype=torch.float64).log(), torch.tensor([0.5]))
    value, _ = top_k_loss([Part("forward_kl")], lists)(0, 1)(logits, 0, 1)
    assert value.item() == pytest.approx(0.5108, abs=1e-4)  # -0.2939 is the sum without the tail: never reported


def test_a_weighted_sum_of_tokens_and_distributions(models: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, weight, teacher = models
    ids = torch.tensor([0, 3, 3, 7, 11, 5])
    h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    logits = h @ w.T
    expected = 0.3 * torch.nn.functional.cross_entropy(logits, ids, reduction="sum")
    expected = expected + 0.7 * per_position("forward_kl", logits, teacher).sum()
    expected.backward()
    assert h.grad is not None
    assert w.grad is not None
    dense = dense_loss([Part("forward_kl")], lambda start, stop: teacher[start:stop])
    found = run(weighted_sum([(0.3, token_loss(ids)), (0.7, dense)]), hidden, weight)
    assert_alike(found, (expected.detach(), h.grad, w.grad))


def test_embedding_padding_is_cut_and_gets_no_gradient(models: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, weight, teacher = models
    plain = run(dense_loss([Part("forward_kl")], lambda start, stop: teacher[start:stop]), hidden, weight)
    padded = torch.cat([weight, torch.zeros(2, D, dtype=weight.dtype)])
    wide = torch.cat([teacher, torch.zeros(N, 3, dtype=teacher.dtype)], -1)
    found = run(dense_loss([Part("forward_kl")], lambda start, stop: teacher[start:stop]), hidden, padded)
    assert_alike((found[0], found[1], found[2][:V]), plain)
    assert not found[2][V:].any()
    assert_alike(run(dense_loss([Part("forward_kl")], lambda start, stop: wide[start:stop]), hidden, weight), plain)


def test_the_policy_gradient_is_on_average_that_of_reverse_kl() -> None:
    """Bernoulli, student .3, teacher .6, by the logit: -0.2631; autograd through the value would give 0."""
    q, p = torch.tensor([0.7, 0.3], dtype=torch.float64), torch.tensor([0.4, 0.6], dtype=torch.float64)
    value, gradient = torch.zeros((), dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for token in (0, 1):
        loss = policy_gradient_loss(torch.tensor([token]), p[token : token + 1].log())
        one, by_logits = loss(0, 1)(q.log()[None].clone(), 0, 1)
        value += q[token] * one
        gradient += q[token] * by_logits[0]
    assert gradient[1].item() == pytest.approx(-0.2631, abs=1e-4)
    assert value.item() == pytest.approx((q * (q / p).log()).sum().item())


def test_importance_weights_make_stale_samples_count_as_fresh_ones() -> None:
    """The mean over the old distribution is the exact gradient and value; a cap takes off what is rarer there."""
    generator = torch.Generator().manual_seed(2)
    logits, old, p = (torch.randn(5, generator=generator, dtype=torch.float64).log_softmax(-1) for _ in range(3))
    ratio = (logits - old).exp()
    for cap in (math.inf, 1.2):
        value, gradient = torch.zeros((), dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
        for token in range(5):
            taken = torch.tensor([token])
            loss = policy_gradient_loss(taken, p[taken], drawn=old[taken], cap=cap)
            one, by_logits = loss(0, 1)(logits[None].clone(), 0, 1)
            value += old[token].exp() * one
            gradient += old[token].exp() * by_logits[0]
        weight = old.exp() * ratio.clamp(max=cap)
        score = torch.eye(5, dtype=torch.float64) - logits.exp()
        assert value.item() == pytest.approx(float((weight * (logits - p)).sum()))
        torch.testing.assert_close(gradient, (weight * (logits - p)) @ score)
    exact = logits.exp() * (logits - p - (logits.exp() * (logits - p)).sum())
    torch.testing.assert_close((logits.exp() * (logits - p)) @ score, exact)


def test_tokens_that_others_wrote_have_cross_entropy_beside_the_policy_gradient(
    models: tuple[Tensor, Tensor, Tensor],
) -> None:
    hidden, weight, _ = models
    ids, log_p = torch.tensor([3, 0, 7, 7, 11, 2]), torch.full((N,), -1.7, dtype=torch.float64)
    own = torch.tensor([True, False, False, True, True, False])
    mixed = run(policy_gradient_loss(ids, log_p, own), hidden, weight)
    parts = [
        run(loss(ids[rows], log_p[rows]), hidden[rows], weight)
        for loss, rows in ((policy_gradient_loss, own), (lambda ids, _: token_loss(ids), ~own))
    ]
    torch.testing.assert_close(mixed[0], parts[0][0] + parts[1][0])
    torch.testing.assert_close(mixed[2], parts[0][2] + parts[1][2])
    for part, rows in zip(parts, (own, ~own), strict=True):
        torch.testing.assert_close(mixed[1][rows], part[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_listed_token_that_cannot_come_counts_with_the_others(
    models: tuple[Tensor, Tensor, Tensor], kind: str
) -> None:
    """A short list filled up is the shorter list, for every objective; reverse KL stays finite."""
    hidden, weight, teacher = models
    parts = [Part(kind, 1.0, OPTIONS.get(kind, {}))]
    three = top_k(teacher, 3)
    spare = teacher.argsort(-1)[:, :2]  # the least likely: not in the list
    filled = TopK(
        torch.cat([three.ids, spare], -1),
        torch.cat([three.log_p, torch.full_like(three.log_p[:, :2], -math.inf)], -1),
        three.tail,
    )
    assert_alike(run(top_k_loss(parts, filled), hidden, weight), run(top_k_loss(parts, three), hidden, weight))


def test_a_position_without_a_list_takes_its_own_token(models: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, weight, teacher = models
    parts = [Part("forward_kl", 0.5), Part("reverse_kl", 0.25)]
    lists, ids = top_k(teacher, 3), torch.arange(N)
    bare = torch.tensor([1, 2, 5])
    lists.log_p[bare] = -math.inf
    lists.tail[bare] = 1.0
    found = run(listed_loss(parts, lists, ids), hidden, weight)
    known = torch.tensor([0, 3, 4])
    some = run(top_k_loss(parts, TopK(*(one[known] for one in lists))), hidden[known], weight)
    others = run(token_loss(ids[bare]), hidden[bare], weight)
    torch.testing.assert_close(found[0], some[0] + 0.75 * others[0])
    torch.testing.assert_close(found[1][known], some[1])
    torch.testing.assert_close(found[1][bare], 0.75 * others[1])
    torch.testing.assert_close(found[2], some[2] + 0.75 * others[2])
    nothing = run(top_k_loss(parts, TopK(*(one[bare] for one in lists))), hidden[bare], weight)
    for one in nothing:
        torch.testing.assert_close(one, torch.zeros_like(one))
