"""Losses of the chunked head: towards tokens, stored samples, stored top-k lists, or whole distributions."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from potstill.objectives.gradients import Part, values_and_gradient, weighted_partials
from potstill.objectives.head import BlockLoss, ChunkLoss
from potstill.objectives.transform import IDENTITY, LogitTransform

_LEAST = 1e-12  # a bucket or stored token of no probability counts as this much, so that every value is finite


class Samples(NamedTuple):
    """Stored draws of N positions: `ids` and `weights` (S,), which sum to 1 at a position, and where each begins.

    `starts` (N+1,) on the CPU; `entropy` (N,) of the teacher in nats, 0 for tokens that were simply written.
    """

    ids: Tensor
    weights: Tensor
    starts: Tensor
    entropy: Tensor


class TopK(NamedTuple):
    """Stored lists of N positions: `ids` and `log_p` (N, K), and the probability `tail` (N,) of all other tokens."""

    ids: Tensor
    log_p: Tensor
    tail: Tensor


def token_loss(ids: Tensor) -> ChunkLoss:
    """Cross-entropy -log q(id) on the tokens `ids` (N,), in nats."""

    def of_chunk(start: int, _stop: int) -> BlockLoss:
        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            wanted = ids[start + low : start + high, None]
            log_q = torch.log_softmax(logits, -1)
            value = -log_q.gather(-1, wanted).sum()
            return value, log_q.exp_().scatter_add_(-1, wanted, -torch.ones_like(wanted, dtype=log_q.dtype))

        return of_block

    return of_chunk


def sampled_loss(samples: Samples) -> ChunkLoss:
    """Forward KL from stored draws: -Σ (count/N) log q - H(P), whose mean over the draws is KL(P‖Q).

    Unbiased in value and gradient, because each token's weight is its probability on average (Anshumann et al. 2025,
    random sampling KD, section 3; here with systematic samples). A single value may be negative.
    """

    def of_chunk(start: int, _stop: int) -> BlockLoss:
        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            bounds = samples.starts[start + low : start + high + 1]
            mine = slice(int(bounds[0]), int(bounds[-1]))
            rows = torch.repeat_interleave(torch.arange(high - low), bounds.diff()).to(logits.device)
            ids, weights = samples.ids[mine], samples.weights[mine].to(logits.dtype)
            log_q = torch.log_softmax(logits, -1)
            value = -(weights * log_q[rows, ids]).sum() - samples.entropy[start + low : start + high].sum()
            # The weights of a position sum to 1, so the gradient is q - weights.
            return value, log_q.exp_().index_put_((rows, ids), -weights, accumulate=True)

        return of_block

    return of_chunk


def policy_gradient_loss(
    ids: Tensor, log_p: Tensor, own: Tensor | None = None, drawn: Tensor | None = None, cap: float = math.inf
) -> ChunkLoss:
    """Reverse KL from tokens that the student sampled itself, `ids` (N,), and the teacher's log p of them (N,).

    The value is log q - log p, whose mean over the student's samples is KL(Q‖P). The gradient is that of
    -advantage·log q with advantage = log p - log q held constant, whose mean is KL(Q‖P)'s (Williams 1992, the score
    function estimator). Differentiating the value itself would have a mean of zero; see docs/objectives.md.

    `own` (N,) is False for tokens that somebody else wrote: those have cross-entropy, -log q, whose gradient is that of
    the advantage 1.

    `drawn` (N,) is log q of the tokens as they were sampled, by weights that may be some steps old. Value and advantage
    are then weighted by min(q/q_drawn, `cap`), held constant: truncated importance sampling (Ionides 2008), token by
    token as in IMPALA (Espeholt et al. 2018, eq. 1). With no cap that has no bias in the choice of the token; what was
    sampled before it stays that of the older weights. Where everything is fresh, the weights are 1.
    """

    def of_chunk(start: int, _stop: int) -> BlockLoss:
        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            mine = slice(start + low, start + high)
            taken = ids[mine, None]
            log_q = torch.log_softmax(logits, -1)
            taken_q = log_q.gather(-1, taken)
            advantage = log_p[mine, None].to(log_q.dtype) - taken_q
            if drawn is not None:
                ratio = taken_q - drawn[mine, None].to(log_q.dtype)
                advantage = advantage * ratio.clamp(max=math.log(cap)).exp()
            value = -advantage
            if own is not None:
                value = torch.where(own[mine, None], value, -taken_q)
                advantage = torch.where(own[mine, None], advantage, 1.0)
            return value.sum(), log_q.exp_().mul_(advantage).scatter_add_(-1, taken, -advantage)

        return of_block

    return of_chunk


def top_k_loss(parts: Sequence[Part], lists: TopK) -> ChunkLoss:
    """Objectives over K tokens and one bucket for all others: never negative, at most the value over all V tokens.

    (Merging outcomes cannot raise an f-divergence: the data processing inequality.) With K = V it is the dense value.
    Gradient by log q of the bucket reaches every token in it in proportion to its share of the bucket.
    """

    def of_chunk(start: int, _stop: int) -> BlockLoss:
        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            here = TopK(*(column[start + low : start + high] for column in lists))
            values, gradient = top_k_values_and_gradient(parts, logits, here)
            return values.sum(), gradient

        return of_block

    return of_chunk


def listed_loss(parts: Sequence[Part], lists: TopK, ids: Tensor) -> ChunkLoss:
    """`top_k_loss` where there is a list; cross-entropy on the answer's own token (`ids`, (N,)) where there is none.

    A served teacher has none where its tokens are not the student's, and for an end of the answer that it does not
    report. The weight there is that of all objectives together.
    """
    weight = sum(part.weight for part in parts)

    def of_chunk(start: int, _stop: int) -> BlockLoss:
        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            here = TopK(*(column[start + low : start + high] for column in lists))
            bare = here.log_p.isneginf().all(-1).nonzero().flatten()
            values, gradient = top_k_values_and_gradient(parts, logits, here)
            value = values.sum()
            if len(bare):
                of_tokens = token_loss(ids[start + low : start + high][bare])(0, len(bare))
                nats, by_tokens = of_tokens(logits[bare], 0, len(bare))
                value, gradient[bare] = value + weight * nats, by_tokens.mul_(weight)
            return value, gradient

        return of_block

    return of_chunk


def top_k_values_and_gradient(parts: Sequence[Part], logits: Tensor, lists: TopK) -> tuple[Tensor, Tensor]:
    """The objectives of `top_k_loss` at n positions, and their gradient by `logits` (n, V).

    A listed token of log-probability -inf counts with the others: a list may be short, and reverse KL stays finite. A
    list of such alone says nothing: value and gradient are 0.
    """
    log_q = torch.log_softmax(logits, -1)
    listed = log_q.gather(-1, lists.ids)
    q = log_q.exp_()
    merged = lists.log_p.isneginf()
    share = q.scatter(-1, lists.ids, q.gather(-1, lists.ids).masked_fill_(~merged, 0.0))
    nothing = math.log(_LEAST)
    bucket = share.sum(-1, keepdim=True).clamp_(min=_LEAST)
    coarse_q = torch.cat([listed.masked_fill_(merged, nothing), bucket.log()], -1)
    tail = lists.tail[:, None].to(q.dtype).clamp(min=_LEAST)
    coarse_p = torch.cat([lists.log_p.to(q.dtype).masked_fill(merged, nothing), tail.log()], -1)
    values, partial = weighted_partials(parts, coarse_q, coarse_p)
    partial[:, :-1].masked_fill_(merged, 0.0)
    gradient = share.mul_(partial[:, -1:] / bucket).sub_(q.mul_(partial.sum(-1, keepdim=True)))
    return values, gradient.scatter_add_(-1, lists.ids, partial[:, :-1])


def dense_loss(
    parts: Sequence[Part], teacher_outputs: Callable[[int, int], Tensor], temperature: float = 1.0,
    transform: LogitTransform = IDENTITY,
) -> ChunkLoss:  # fmt: skip
    """Objectives over whole distributions; `teacher_outputs(start, stop)` gives n×V' head outputs of a chunk.

    `transform` makes logits of them, in fp32. Embedding padding beyond the tokenizer is cut on both sides (V' may be
    another than V), and gets no gradient.
    """

    def of_chunk(start: int, stop: int) -> BlockLoss:
        target = teacher_outputs(start, stop)

        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            width = min(logits.shape[-1], target.shape[-1])
            theirs, _ = transform.forward(target[low:high, :width].to(logits.dtype, copy=True))
            values, gradient = values_and_gradient(parts, logits[:, :width], theirs, temperature)
            if width < logits.shape[-1]:
                gradient = torch.nn.functional.pad(gradient, (0, logits.shape[-1] - width))
            return values.sum(), gradient

        return of_block

    return of_chunk


def weighted_sum(losses: Sequence[tuple[float, ChunkLoss]]) -> ChunkLoss:
    """Σ weight·loss, each loss on its own copy of the logits."""
    if len(losses) == 1 and losses[0][0] == 1.0:
        return losses[0][1]

    def of_chunk(start: int, stop: int) -> BlockLoss:
        bound = [(weight, loss(start, stop)) for weight, loss in losses]

        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            total, gradient = logits.new_zeros(()), torch.zeros_like(logits)
            for weight, loss in bound:
                value, mine = loss(logits.clone(), low, high)
                total += weight * value
                gradient.add_(mine, alpha=weight)
            return total, gradient

        return of_block

    return of_chunk
