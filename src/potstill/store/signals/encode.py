"""From dense logits or log-probabilities to signals: a few passes over each row while it is in the cache."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from potstill.store.signals.records import Samples, TopK

# Rows are summed in blocks of neighbouring ids. A draw, or one of the K largest, is looked for among the block sums or
# block maxima first; only the few blocks that matter are opened.
_BLOCK = 64
# The exponentials (fp32) that one core works on while they are in its second-level cache. Fewer rows at a time are as
# near, but then calls cost as much as the passes.
_CACHE_BYTES = 800 << 10
_ROWS_A_STAGE = 256
# Up to so many draws, fp32 places a token's edge inside a block well within a thousandth of a draw.
_FEW_DRAWS = 1024
# Where a row's Σ exp(logit) lies between these, no exponential that counts has overflowed or lost digits, and the
# row's maximum need not be looked for first.
_SAFE_SUM = (1e-15, 1e30)
_LOWEST = torch.finfo(torch.float32).min / 2  # stands for -inf: so far below, e and e·logit are 0


def encode_sampled(logits: Tensor, uniform: Tensor, draws: int) -> Samples:
    """Systematic sample of softmax(logits) (n, V): the tokens at F⁻¹((u+j)/draws), j = 0…draws-1, one u a position.

    F runs over the tokens in id order: each count is ⌊N·p⌋ or ⌈N·p⌉ with mean N·p in any fixed order, so sorting
    by probability would cost time and bring nothing. `uniform` (n,) lies in [0, 1). Log-probabilities are logits too.
    A token with logit -inf is never drawn. Madow 1949 (systematic sampling with unequal probabilities).

    The number of points (u+j)/N below F is ⌈N·F - u⌉, so counts are differences of that: no draw is searched for.
    """
    parts = [_sample(chunk, uniform[start : start + len(chunk)], draws) for start, chunk in _stages(logits)]
    if not parts:
        empty = torch.zeros(0, dtype=torch.long, device=logits.device)
        return Samples(empty, empty, empty, empty.float())
    return Samples(*(torch.cat(column) for column in zip(*parts, strict=True)))


def encode_top_k(logits: Tensor, k: int) -> TopK:
    """The K likeliest tokens of softmax(logits) (n, V), K ≤ V, with exact log-probabilities and the tail's mass.

    Equal logits at the K-th place: any of them. The tail is a sum of the other tokens' probabilities, not one minus
    the K, so that a tail of 1e-12 keeps its digits.
    """
    parts = [_top_k(chunk, k) for _, chunk in _stages(logits)]
    if not parts:
        none = torch.zeros((0, k), device=logits.device)
        return TopK(none.long(), none, none.sum(-1))
    return TopK(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _stages(logits: Tensor) -> Iterator[tuple[int, Tensor]]:
    rows = len(logits) if logits.is_cuda else _ROWS_A_STAGE
    for start in range(0, len(logits), max(rows, 1)):
        chunk = logits[start : start + rows]
        yield start, chunk if chunk.stride(-1) == 1 else chunk.contiguous()


@dataclass(frozen=True, slots=True)
class _Summary:
    """Rows of logits, block by block. With the row's shift s: e = exp(logit - s)."""

    shift: Tensor  # (n, 1)
    sums: Tensor  # (n, B): Σ e
    products: Tensor  # (n,): Σ e·(logit - s)
    maxima: Tensor  # (n, B), or empty where they were not asked for


def _summarise(logits: Tensor, *, maxima: bool) -> _Summary:
    found = _pass(logits, None, maxima=maxima)
    total = found.sums.sum(-1)
    unsafe = ~((total > _SAFE_SUM[0]) & (total < _SAFE_SUM[1]) & found.products.isfinite())
    if bool(unsafe.any()):
        rows = unsafe.nonzero().flatten()
        # A token that cannot come has logit -inf, and 0·(-inf) is no number; so far below, e and e·(…) are both 0.
        again = logits[rows].float().clamp_(min=_LOWEST)
        careful = _pass(again, again.amax(-1, keepdim=True), maxima=False)
        if not bool(careful.sums.isfinite().all()) or bool((careful.shift <= again.new_tensor(_LOWEST)).any()):
            wrong = careful.sums.sum(-1).isfinite() & (careful.shift.squeeze(-1) > _LOWEST)
            raise ValueError(f"position {int(rows[~wrong][0])}: its logits hold NaN or infinity, or no token can come")
        found.shift[rows], found.sums[rows], found.products[rows] = careful.shift, careful.sums, careful.products
    return found


def _pass(logits: Tensor, shift: Tensor | None, *, maxima: bool) -> _Summary:
    """The passes over whole rows, a few rows at a time. `shift` (n, 1) None is 0."""
    n, vocabulary = logits.shape
    block = min(_BLOCK, vocabulary)
    blocks = -(-vocabulary // block)
    rows = n if logits.is_cuda else max(1, torch.get_num_threads() * _CACHE_BYTES // (4 * vocabulary))
    # The last block is filled up with zeros.
    exponentials = logits.new_zeros((min(rows, n), blocks * block), dtype=torch.float32)
    ones = exponentials.new_ones(block)
    sums, products = exponentials.new_empty((2, n * blocks))
    tops = exponentials.new_empty((n, blocks if maxima else 0))
    for start in range(0, n, rows):
        wide = logits[start : start + rows].float()
        stop = start + len(wide)
        if maxima:
            torch.amax(_in_blocks(wide, blocks, block), -1, out=tops[start:stop])
        if shift is not None:
            wide = wide - shift[start:stop]
        inside = exponentials[: len(wide), :vocabulary]
        by_block = exponentials[: len(wide)].view(-1, block)
        here = slice(start * blocks, stop * blocks)
        torch.exp(wide, out=inside)
        # A product with ones sums faster than a sum does.
        torch.mv(by_block, ones, out=sums[here])
        if not maxima:
            inside.mul_(wide)
            torch.mv(by_block, ones, out=products[here])
    return _Summary(
        exponentials.new_zeros((n, 1)) if shift is None else shift, sums.view(n, blocks),
        products.view(n, blocks).sum(-1) if not maxima else exponentials.new_zeros(n), tops,
    )  # fmt: skip


def _in_blocks(wide: Tensor, blocks: int, block: int) -> Tensor:
    """Rows as (n, B, block), the last block filled up with -inf."""
    missing = blocks * block - wide.shape[1]
    return (pad(wide, (0, missing), value=-torch.inf) if missing else wide).view(len(wide), blocks, block)


def _open_blocks(logits: Tensor, rows: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor]:
    """The first id (m,) and the logits (m, block) of m blocks.

    The last block of a row ends with the row and so begins in the block before; what is not its own is -inf.
    """
    vocabulary = logits.shape[1]
    block = min(_BLOCK, vocabulary)
    starts = blocks * block
    first = starts.clamp(max=vocabulary - block)
    windows = logits.as_strided(
        ((len(logits) - 1) * logits.stride(0) + vocabulary - block + 1, block), (1, 1), logits.storage_offset()
    )
    values = windows[rows * logits.stride(0) + first].float()
    if vocabulary % block:
        foreign = torch.arange(block, device=logits.device) < (starts - first)[:, None]
        values = values.masked_fill_(foreign, -torch.inf)
    return first, values


def _sample(logits: Tensor, uniform: Tensor, draws: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    found = _summarise(logits, maxima=False)
    edges = found.sums.cumsum(-1, dtype=torch.float64)
    normaliser = edges[:, -1:].clone()
    entropy = normaliser.log().squeeze(-1) - found.products.double() / normaliser.squeeze(-1)
    scale = draws / normaliser
    whole_row = edges >= normaliser
    points = edges.mul_(scale).sub_(uniform.double()[:, None])  # N·F - u at the end of each block
    below = points.ceil().masked_fill_(whole_row, draws)  # all points lie below F = 1, however it is rounded
    counts = _steps(below, torch.zeros_like(normaliser))
    rows, blocks = _places(counts > 0)

    # Inside a block, points are counted back from its end, where `tail` says how far the end lies below its ceiling;
    # less than 1, also after rounding to fp32.
    dtype = torch.float32 if draws <= _FEW_DRAWS else torch.float64
    here = counts[rows, blocks].to(dtype)[:, None]
    tail = (points[rows, blocks] - below[rows, blocks]).to(dtype).clamp_(min=2**-24 - 1)[:, None]
    width = (found.sums[rows, blocks] * scale[rows, 0]).to(dtype)[:, None]
    first, values = _open_blocks(logits, rows, blocks)
    inner = values.sub_(found.shift[rows]).exp_().cumsum(-1, dtype=dtype)
    whole = inner[:, -1:]
    inside = torch.addcmul(tail, whole - inner, width / whole, value=-1).ceil_()
    # Tokens of probability 0 share the block's edge exactly, at its end and, by the condition, at its beginning:
    # rounding gives nothing to a token that cannot come.
    inside = torch.where(inner > 0, torch.maximum(inside, -here), -here)
    taken = _steps(inside, -here)
    opened, place = _places(taken > 0)
    lengths = torch.bincount(rows[opened], minlength=len(logits))
    return first[opened] + place, taken[opened, place].long(), lengths, entropy.float()


def _places(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns (m,) where a mask (n, B) holds."""
    if mask.device.type != "cpu":
        rows, columns = mask.nonzero(as_tuple=True)
        return rows, columns
    # Faster than torch's own on a CPU.
    flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    rows = flat.div(mask.shape[1], rounding_mode="floor")
    return rows, flat.sub_(rows * mask.shape[1])


def _steps(values: Tensor, first: Tensor) -> Tensor:
    """Differences of neighbours (n, B), those of the first column from `first` (n, 1)."""
    steps = torch.empty_like(values)
    torch.sub(values[:, :1], first, out=steps[:, :1])
    torch.sub(values[:, 1:], values[:, :-1], out=steps[:, 1:])
    return steps


def _top_k(logits: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    n = len(logits)
    found = _summarise(logits, maxima=True)
    normaliser = found.sums.sum(-1, keepdim=True, dtype=torch.float64)
    opened = min(k, found.maxima.shape[1])
    # The K largest logits lie in the K blocks of the largest maxima.
    blocks = found.maxima.topk(opened, -1, sorted=False).indices
    rows = torch.arange(n, device=logits.device).repeat_interleave(opened)
    first, values = _open_blocks(logits, rows, blocks.flatten())
    block = values.shape[1]
    values = values.view(n, -1)
    largest, places = values.topk(k, -1, sorted=False)
    rest = (values.scatter_(-1, places, -torch.inf) - found.shift).exp_().sum(-1, dtype=torch.float64)
    others = found.sums.scatter(-1, blocks, 0.0).sum(-1, dtype=torch.float64)
    tail = (rest + others) / normaliser.squeeze(-1)
    ascending, order = (first.view(n, -1).gather(-1, places // block) + places % block).sort(-1)
    log_probabilities = largest.gather(-1, order) - found.shift - normaliser.log().float()
    return ascending, log_probabilities, tail.float()
