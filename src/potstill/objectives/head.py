"""The output head a chunk of positions at a time: loss and all gradients without ever holding N×V logits.

Two sizes are at work. A chunk of some hundred positions goes through the head in one matrix product; inside it, blocks
of some rows are widened to fp32 and turned from logits into their gradient while they fit the processor's cache. The
gradient takes the logits' own place, so that a chunk holds one matrix of the student's (and one of a live teacher's).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from potstill.objectives.transform import IDENTITY, LogitTransform
from potstill.objectives.weight_gradient import WeightGradient

# Loss of one block: fp32 logits (n, V), which it may overwrite, of the chunk's positions low..high in; the loss summed
# over them, a scalar, and its gradient by those logits (n, V) out.
BlockLoss = Callable[[Tensor, int, int], tuple[Tensor, Tensor]]
# Called once a chunk with its positions start..stop, before its blocks: what a live teacher's head is run in.
ChunkLoss = Callable[[int, int], BlockLoss]

DEFAULT_CHUNK_BYTES = 256 << 20
_CACHE_BYTES_A_THREAD = 2 << 20  # a block's working set: about five fp32 rows of V for every position
_CHUNK_MATRICES = 3  # student's logits, a live teacher's, and one to spare
_BLOCK_MATRICES = 5


def chunk_positions(vocabulary: int, chunk_bytes: int = DEFAULT_CHUNK_BYTES, element_bytes: int = 4) -> int:
    """How many positions of `element_bytes` logits fit a memory budget, the blocks' working set included."""
    left = chunk_bytes - min(_cache_bytes(), chunk_bytes // 2)
    return max(1, left // (_CHUNK_MATRICES * element_bytes * vocabulary))


def block_rows(vocabulary: int, device: torch.device) -> int:
    """How many fp32 rows are worked on at once: those that stay in a CPU's cache; on a GPU a chunk is one block."""
    if device.type != "cpu":
        return 1 << 30
    return max(1, _cache_bytes() // (_BLOCK_MATRICES * 4 * vocabulary))


def _cache_bytes() -> int:
    return _CACHE_BYTES_A_THREAD * torch.get_num_threads()


def chunked_sum(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, loss_of_chunk: ChunkLoss, *,
    transform: LogitTransform = IDENTITY, chunk: int | None = None, block: int | None = None,
) -> Tensor:  # fmt: skip
    """Sum of a loss over all positions of `hidden` (N, D), through the head `weight` (V, D), `bias` (V), `transform`.

    Gradients reach hidden states, weight and bias wherever they ask for them; products are taken in the dtype of
    `hidden`, losses and the weight's gradient in fp32 or wider. N = 0 gives 0 with a gradient path.
    """
    if hidden.shape[0] == 0:
        return hidden.sum() * 0 + weight.sum() * 0
    chunk = chunk or chunk_positions(weight.shape[0], element_bytes=hidden.element_size())
    block = block or block_rows(weight.shape[0], hidden.device)
    result: Tensor = _ChunkedSum.apply(  # type: ignore[no-untyped-call]  # untyped in torch
        hidden, weight, bias, loss_of_chunk, transform, chunk, block
    )
    return result


def differentiable(loss: Callable[[Tensor, int, int], Tensor]) -> ChunkLoss:
    """A loss in ordinary torch operations, whose gradient autograd finds: (n, V) logits of start..stop in, scalar out.

    Takes several times the memory and time of a closed form; blocks still bound both.
    """

    def of_chunk(start: int, _stop: int) -> BlockLoss:
        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                leaf = logits.detach().requires_grad_()
                value = loss(leaf, start + low, start + high)
                (gradient,) = torch.autograd.grad(value, leaf)
            return value.detach(), gradient

        return of_block

    return of_chunk


def loss_and_gradient(logits: Tensor, of_block: BlockLoss, transform: LogitTransform, block: int) -> Tensor:
    """Turn a chunk's logits (n, V) into their gradient, in place, a block at a time; gives the loss, a scalar."""
    wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
    total = torch.zeros((), dtype=wide, device=logits.device)
    for low in range(0, logits.shape[0], block):
        high = min(low + block, logits.shape[0])
        rows = logits[low:high]
        # A copy even where the dtype is right: the losses overwrite what they are given.
        shaped, slope = transform.forward(rows.to(wide, copy=True))
        value, gradient = of_block(shaped, low, high)
        total += value
        rows.copy_(transform.backward(gradient, slope))
    return total


def head_outputs(states: Tensor, weight: Tensor, bias: Tensor | None, buffer: Tensor) -> Tensor:
    """Outputs (n, V) of `states` (n, D) through `weight` (V, D) and `bias` (V), written over a buffer's first n rows.

    Chunk after chunk takes the same memory: fresh pages for a matrix of this size cost about as much as the product.
    """
    found = buffer[: states.shape[0]]
    if bias is None:
        return torch.mm(states, weight.T, out=found)
    return torch.addmm(bias, states, weight.T, out=found)


class _ChunkedSum(torch.autograd.Function):
    """Forward computes the loss and, in the same pass, the gradients; backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, loss_of_chunk: ChunkLoss,
        transform: LogitTransform, size: int, block: int,
    ) -> Tensor:  # fmt: skip
        """One pass over the chunks."""
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        head = weight.detach().to(hidden.dtype)
        offset = bias.detach().to(hidden.dtype) if bias is not None else None
        accumulator = torch.float64 if weight.dtype == torch.float64 else torch.float32
        total = torch.zeros((), dtype=accumulator, device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = WeightGradient(weight, hidden.dtype, accumulator, len(hidden)) if wants_weight else None
        grad_bias = torch.zeros_like(weight[:, 0], dtype=accumulator) if wants_bias else None
        buffer = hidden.new_empty(min(size, hidden.shape[0]), weight.shape[0])
        for start in range(0, hidden.shape[0], size):
            stop = min(start + size, hidden.shape[0])
            states = hidden[start:stop].detach()
            logits = head_outputs(states, head, offset, buffer)
            total += loss_and_gradient(logits, loss_of_chunk(start, stop), transform, block)
            if grad_hidden is not None:
                torch.mm(logits, head, out=grad_hidden[start:stop])
            if grad_weight is not None:
                grad_weight.add(logits, states)
            if grad_bias is not None:
                grad_bias += logits.sum(0, dtype=accumulator)
        del buffer, logits  # before the weight's gradient is turned, which takes as much again
        kept = (grad_hidden, grad_weight.result() if grad_weight is not None else None, grad_bias)
        ctx.save_for_backward(*(one for one in kept if one is not None))
        ctx.present = tuple(one is not None for one in kept)
        ctx.dtypes = (hidden.dtype, weight.dtype, bias.dtype if bias is not None else None)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what forward computed by the gradient that comes in."""
        saved = list(ctx.saved_tensors)
        scaled: list[Tensor | None] = []
        for present, dtype in zip(ctx.present, ctx.dtypes, strict=True):
            # In place: a head's gradient is as large as the head, and nobody reads it unscaled.
            scaled.append(saved.pop(0).mul_(gradients[0]).to(dtype) if present else None)
        return (*scaled, None, None, None, None)
