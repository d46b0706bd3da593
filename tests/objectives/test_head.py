"""The chunked head equals the dense one, whatever the chunk, the block, the objective and the architecture."""

from typing import Any

import pytest
import torch
from torch import Tensor

from potstill.objectives import KINDS, chunked_sum, per_position
from potstill.objectives.gradients import Part
from potstill.objectives.head import ChunkLoss, block_rows, chunk_positions, differentiable
from potstill.objectives.packed import dense_loss, token_loss
from potstill.objectives.transform import IDENTITY, LogitTransform

N, D, V = 7, 5, 11
OPTIONS: dict[str, dict[str, Any]] = {
    "jsd": {"beta": 0.3},
    "skew_forward_kl": {"alpha": 0.2},
    "skew_reverse_kl": {"alpha": 0.2},
}


def tensors(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    hidden, weight, bias = (torch.randn(shape, generator=generator, dtype=dtype) for shape in ((N, D), (V, D), (V,)))
    return hidden, weight, bias, torch.randn(N, V, generator=generator, dtype=dtype)


def towards(teacher: Tensor, kind: str = "forward_kl", temperature: float = 1.0) -> ChunkLoss:
    parts = [Part(kind, 1.0, OPTIONS.get(kind, {}))]
    return dense_loss(parts, lambda start, stop: teacher[start:stop], temperature)


def both(
    kind: str, chunk: int, block: int, transform: LogitTransform = IDENTITY, temperature: float = 1.0, *,
    with_bias: bool = True, frozen_head: bool = False,
) -> list[list[Tensor | None]]:  # fmt: skip
    hidden, weight, bias, teacher = tensors()
    results: list[list[Tensor | None]] = []
    for chunked in (True, False):
        h = hidden.clone().requires_grad_()
        w = weight.clone().requires_grad_(not frozen_head)
        b = bias.clone().requires_grad_(not frozen_head) if with_bias else None
        if chunked:
            loss = towards(teacher, kind, temperature)
            total = chunked_sum(h, w, b, loss, transform=transform, chunk=chunk, block=block)
        else:
            dense = transform(h @ w.T + (b if b is not None else 0))
            total = per_position(kind, dense, teacher, temperature=temperature, **OPTIONS.get(kind, {})).sum()
        (total / 3).backward()
        results.append([total.detach(), h.grad, w.grad, b.grad if b is not None else None])
    return results


def assert_same(results: list[list[Tensor | None]]) -> None:
    for found, expected in zip(*results, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("chunk", range(1, N + 2))
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("frozen_head", [True, False])
def test_chunked_equals_dense(chunk: int, with_bias: bool, frozen_head: bool) -> None:
    for block in (1, 2, 3, N):
        assert_same(both("forward_kl", chunk, block, with_bias=with_bias, frozen_head=frozen_head))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("transform", [IDENTITY, LogitTransform(0.5), LogitTransform(1.5, 2.0)])
def test_every_objective_through_every_transform(kind: str, temperature: float, transform: LogitTransform) -> None:
    assert_same(both(kind, 3, 2, transform, temperature))


def test_tied_embeddings_get_both_gradients() -> None:
    _, weight, _, teacher = tensors()
    ids = torch.tensor([0, 3, 3, 5, 6, 7, 9])
    gradients = []
    for chunk in (2, None):
        w = weight.clone().requires_grad_()
        states = w[ids, :].tanh()
        if chunk:
            total = chunked_sum(states, w, None, towards(teacher), chunk=chunk)
        else:
            total = per_position("forward_kl", states @ w.T, teacher).sum()
        total.backward()
        gradients.append(w.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_weight_of_a_bf16_product_gathers_its_gradient_in_fp32() -> None:
    hidden, weight, _, teacher = tensors(torch.float32)
    exact = weight.clone().requires_grad_()
    chunked_sum(hidden, exact, None, towards(teacher)).backward()
    narrow = weight.clone().requires_grad_()
    chunked_sum(hidden.bfloat16(), narrow, None, towards(teacher), chunk=2).backward()
    assert exact.grad is not None
    assert narrow.grad is not None
    assert narrow.grad.dtype == torch.float32
    assert (narrow.grad - exact.grad).norm() < 0.02 * exact.grad.norm()


def test_a_loss_in_torch_operations_gets_the_same_gradients() -> None:
    hidden, weight, _, teacher = tensors()
    results = []
    for loss in (
        towards(teacher, "jsd"),
        differentiable(lambda z, start, stop: per_position("jsd", z, teacher[start:stop], beta=0.3).sum()),
    ):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        total = chunked_sum(h, w, None, loss, chunk=4, block=3)
        total.backward()
        results.append([total.detach(), h.grad, w.grad])
    assert_same(results)


def test_no_position_keeps_the_gradient_path() -> None:
    hidden, weight, _, _ = tensors(torch.float32)
    hidden, weight = hidden[:0].requires_grad_(), weight.requires_grad_()
    total = chunked_sum(hidden, weight, None, token_loss(torch.zeros(0, dtype=torch.long)))
    total.backward()
    assert total.item() == 0
    assert weight.grad is not None
    assert not weight.grad.any()


def test_nothing_is_computed_for_whoever_asks_for_no_gradient() -> None:
    hidden, weight, _, teacher = tensors()
    total = chunked_sum(hidden, weight, None, towards(teacher), chunk=3)
    assert not total.requires_grad
    torch.testing.assert_close(total, per_position("forward_kl", hidden @ weight.T, teacher).sum())


def test_sizes_follow_the_memory_budget() -> None:
    assert chunk_positions(1000, chunk_bytes=24_000) == 1
    assert chunk_positions(1000, chunk_bytes=2_400_000) == 100
    assert chunk_positions(1000, chunk_bytes=2_400_000, element_bytes=2) == 200
    assert chunk_positions(10**9, chunk_bytes=1) == 1
    cpu = torch.device("cpu")
    assert block_rows(10**9, cpu) == 1
    assert block_rows(49_152, cpu) < block_rows(1_000, cpu)
    assert block_rows(49_152, torch.device("meta")) > 10**6
