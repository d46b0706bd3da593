"""Several teachers as one: their distributions mixed position by position, in log space.

P = Σ w_k P_k with weights that sum to 1 at every position, an arithmetic mixture: what one sees of a teacher that is
drawn with probability w_k for each position. docs/objectives.md says how stored signals stand for it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from potstill.objectives.gradients import Part
from potstill.objectives.head import BlockLoss, ChunkLoss, block_rows
from potstill.objectives.packed import Samples, TopK, top_k_values_and_gradient
from potstill.objectives.transform import LogitTransform


class Place(NamedTuple):
    """Where one teacher takes part: `positions` (M,) of N, ascending, on the CPU, and its `weights` (M,) there."""

    positions: Tensor
    weights: Tensor

    def between(self, start: int, stop: int) -> tuple[int, int]:
        """Which of the M positions lie in start..stop."""
        low, high = torch.searchsorted(self.positions, torch.tensor([start, stop])).tolist()
        return low, high


def places(lengths: Sequence[int], shares: Sequence[Mapping[str, float]]) -> dict[str, tuple[list[int], Place]]:
    """For each teacher the sequences that it takes part in, by number, and its place in the positions of all of them.

    `lengths` are the supervised positions of each sequence, `shares` its teachers' weights, which sum to 1.
    """
    rows: dict[str, list[int]] = {}
    positions: dict[str, list[Tensor]] = {}
    weights: dict[str, list[Tensor]] = {}
    start = 0
    for row, (length, mine) in enumerate(zip(lengths, shares, strict=True)):
        for name, weight in mine.items():
            rows.setdefault(name, []).append(row)
            positions.setdefault(name, []).append(torch.arange(start, start + length))
            weights.setdefault(name, []).append(torch.full((length,), weight, dtype=torch.float64))
        start += length
    return {name: (found, Place(torch.cat(positions[name]), torch.cat(weights[name]))) for name, found in rows.items()}


class Member(NamedTuple):
    """One teacher of a live mixture. `outputs(low, high)` gives head outputs n×V' of those of its M positions."""

    place: Place
    outputs: Callable[[int, int], Tensor]
    transform: LogitTransform


def mixture_logits(members: Sequence[Member], width: int, temperature: float = 1.0) -> Callable[[int, int], Tensor]:
    """T·log Σ w_k softmax(z_k / T) of any positions start..stop, n×`width`: teacher logits for `packed.dense_loss`.

    Every teacher's logits are divided by T before they are mixed; the losses divide what they are given by T again,
    hence the factor. `width` is the least of all heads, so that embedding padding is cut before anything is normalised.
    Of the teachers one after the other has its outputs in memory, beside the mixture.
    """

    def of_chunk(start: int, stop: int) -> Tensor:
        mixed: Tensor | None = None
        for member in members:
            low, high = member.place.between(start, stop)
            if low == high:
                continue
            outputs = member.outputs(low, high)
            if mixed is None:
                wide = torch.float64 if outputs.dtype == torch.float64 else torch.float32
                mixed = torch.full((stop - start, width), -torch.inf, dtype=wide, device=outputs.device)
            rows = member.place.positions[low:high].to(mixed.device) - start
            log_weights = member.place.weights[low:high].to(mixed).log()[:, None]
            step = block_rows(width, mixed.device)
            for first in range(0, high - low, step):  # what is widened to fp32 stays in the cache, as in the head
                few = slice(first, first + step)
                logits, _ = member.transform.forward(outputs[few, :width].to(mixed.dtype, copy=True))
                log_p = torch.log_softmax(logits.div_(temperature), -1).add_(log_weights[few])
                mixed[rows[few]] = torch.logaddexp(mixed[rows[few]], log_p)
        if mixed is None:
            raise ValueError(f"positions {start} to {stop} have no teacher")
        return mixed.mul_(temperature)

    return of_chunk


def mixed_samples(parts: Sequence[tuple[Place, Samples]], positions: int) -> Samples:
    """Stored draws of several teachers as those of their mixture at N `positions`.

    A token's weight is Σ w_k count_k/draws, whose mean is the mixture's probability, so the gradient of
    `packed.sampled_loss` is unbiased for forward KL from the mixture. The entropy of a mixture cannot be had from
    samples; Σ w_k H(P_k) stands in its place, and the value is Σ w_k KL(P_k‖Q) on average: the mixture's forward KL
    plus what the teachers differ among themselves, which no student can change.
    """
    owners, ids, weights = [], [], []
    entropy = torch.zeros(positions, dtype=parts[0][1].entropy.dtype)
    for place, samples in parts:
        lengths = samples.starts.diff()
        owners.append(torch.repeat_interleave(place.positions, lengths))
        ids.append(samples.ids)
        weights.append(samples.weights * torch.repeat_interleave(place.weights, lengths).to(samples.weights))
        entropy.index_add_(0, place.positions, place.weights.to(entropy) * samples.entropy)
    owner = torch.cat(owners)
    order = owner.argsort(stable=True)
    starts = torch.cat([torch.zeros(1, dtype=torch.long), torch.bincount(owner, minlength=positions).cumsum(0)])
    return Samples(torch.cat(ids)[order], torch.cat(weights)[order], starts, entropy)


def mixed_top_k_loss(parts: Sequence[Part], lists: Sequence[tuple[Place, TopK]]) -> ChunkLoss:
    """Σ w_k D(P_k‖Q), each D over that teacher's own K tokens and a bucket: see `packed.top_k_loss`.

    Not a divergence from the mixture: which tokens of one teacher's list are in another's bucket is not known. For
    forward KL it is never negative and at most Σ w_k KL(P_k‖Q), whose gradient is that of KL from the mixture.
    """

    def of_chunk(start: int, _stop: int) -> BlockLoss:
        def of_block(logits: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
            total, gradient = logits.new_zeros(()), torch.zeros_like(logits)
            for place, one in lists:
                first, last = place.between(start + low, start + high)
                if first == last:
                    continue
                rows = place.positions[first:last].to(logits.device) - (start + low)
                here = TopK(*(column[first:last] for column in one))
                values, mine = top_k_values_and_gradient(parts, logits[rows], here)
                weights = place.weights[first:last].to(logits)
                total += (weights * values).sum()
                gradient.index_add_(0, rows, mine.mul_(weights[:, None]))
            return total, gradient

        return of_block

    return of_chunk
