"""What a signal store holds for each position: a systematic sample of the teacher's distribution, or its top K."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from potstill.records import content_hash

Kind = Literal["sampled", "top_k"]


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of n positions: `ids`, `counts` (S,) in position order, `lengths` (n,), teacher `entropy` (n,) in nats.

    `lengths` says how many of the S entries belong to each position; its ids ascend and its counts sum to the draws.
    """

    ids: Tensor
    counts: Tensor
    lengths: Tensor
    entropy: Tensor

    def select(self, positions: Tensor) -> "Samples":
        """The samples of these positions (P,), in their order."""
        lengths = self.lengths[positions]
        starts = self.lengths.cumsum(0) - self.lengths
        # Entry e of the result is e places after its position's first entry there, and so it is here.
        shift = starts[positions] - (lengths.cumsum(0) - lengths)
        entries = torch.arange(int(lengths.sum()), device=lengths.device) + torch.repeat_interleave(shift, lengths)
        return Samples(self.ids[entries], self.counts[entries], lengths, self.entropy[positions])


@dataclass(frozen=True, slots=True)
class TopK:
    """The K likeliest tokens of n positions: ascending `ids` (n, K), their `log_probabilities` (n, K), `tail` (n,).

    `tail` is the probability of all other tokens together: each position's K probabilities and its tail sum to 1. A
    token that the teacher cannot take has the log-probability -inf.
    """

    ids: Tensor
    log_probabilities: Tensor
    tail: Tensor

    def select(self, positions: Tensor) -> "TopK":
        """The signals of these positions (P,), in their order."""
        return TopK(self.ids[positions], self.log_probabilities[positions], self.tail[positions])


Signals = Samples | TopK


@dataclass(frozen=True, slots=True)
class Binding:
    """What a store holds for: training refuses another tokenizer, teacher, temperature, kind or precision.

    `draws` belongs to kind sampled; `k` and `bits` (8 or 16, of a log-probability) to kind top_k; the others are None.
    """

    tokenizer_sha256: str
    teacher: str  # revision of the weights
    vocabulary: int  # tokens of the tokenizer: every id is below it
    draws: int | None = None
    temperature: float = 1.0  # the logits were divided by it before the softmax
    kind: Kind = "sampled"
    k: int | None = None
    bits: int | None = None
    reference: str | None = None  # what the recipe called the teacher; told, not compared, for a model may move

    def __post_init__(self) -> None:
        sampled, top_k = (self.draws,), (self.k, self.bits)
        needed, foreign = (sampled, top_k) if self.kind == "sampled" else (top_k, sampled)
        if None in needed or any(one is not None for one in foreign):
            raise ValueError(f"a binding of kind {self.kind} takes {'draws' if needed is sampled else 'k and bits'}")


# The fields that two bindings must share, in the order in which a difference is looked for.
BOUND = ("kind", "tokenizer_sha256", "teacher", "vocabulary", "temperature", "draws", "k", "bits")


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 of a tokenizer's vocabulary with its ids: what makes token ids mean the same."""
    return content_hash(tokenizer.get_vocab())


def join_samples(parts: Sequence[Samples]) -> Samples:
    """Samples of several answers one after the other."""
    return Samples(
        torch.cat([one.ids for one in parts]),
        torch.cat([one.counts for one in parts]),
        torch.cat([one.lengths for one in parts]),
        torch.cat([one.entropy for one in parts]),
    )


def join_top_k(parts: Sequence[TopK]) -> TopK:
    """Top-K signals of several answers one after the other."""
    return TopK(
        torch.cat([one.ids for one in parts]),
        torch.cat([one.log_probabilities for one in parts]),
        torch.cat([one.tail for one in parts]),
    )
