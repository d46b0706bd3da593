"""The teacher's distributions on their way to the disk, whether it answers or scores answers that are there."""

from collections.abc import Sequence

import torch
from torch import Tensor

from potstill.config import SampledSignals, TopKSignals
from potstill.errors import RecipeError
from potstill.models.local import LocalModel
from potstill.store.signals import (
    Binding,
    Samples,
    Signals,
    TopK,
    encode_sampled,
    encode_top_k,
    join_samples,
    join_top_k,
    tokenizer_hash,
)

StoredSignals = SampledSignals | TopKSignals
# Another stream than the one that picks an answer's tokens: the sample must not depend on the token taken.
_OWN_STREAM = 0x5EED_0F51


def bind(signals: StoredSignals, teacher: LocalModel, temperature: float = 1.0) -> Binding:
    """What a store of this teacher's signals holds for. Raises RecipeError where K is over its vocabulary."""
    tokenizer, revision, name = teacher.tokenizer, teacher.identity.revision, teacher.identity.reference
    vocabulary, hashed = len(tokenizer), tokenizer_hash(tokenizer)
    if isinstance(signals, SampledSignals):
        return Binding(hashed, revision, vocabulary, signals.draws, temperature, reference=name)
    if signals.k > vocabulary:
        raise RecipeError(f"collect.signals.k: {signals.k:,}, but the teacher's vocabulary has {vocabulary:,} tokens")
    return Binding(hashed, revision, vocabulary, None, temperature, "top_k", signals.k, signals.stored_bits, name)


def stream(seed: int) -> torch.Generator:
    """The random numbers behind one answer's systematic samples, one a position."""
    return torch.Generator().manual_seed(seed ^ _OWN_STREAM)


def encode(logits: Tensor, uniform: Tensor, binding: Binding) -> Signals:
    """Signals of logits (n, V or more): what a model's head has beyond the tokenizer is padding, and is cut."""
    own = logits[:, : binding.vocabulary]
    if binding.temperature != 1:
        own = own / binding.temperature
    if binding.draws is not None:
        return encode_sampled(own, uniform, binding.draws)
    if binding.k is None:
        raise ValueError("a binding has draws or k")
    return encode_top_k(own, binding.k)


def join(parts: Sequence[Signals]) -> Signals:
    """Signals of one kind, one after the other."""
    samples = [one for one in parts if isinstance(one, Samples)]
    if samples:
        return join_samples(samples)
    return join_top_k([one for one in parts if isinstance(one, TopK)])


class Recorder:
    """Takes the teacher's distribution at every step of generation, with random numbers of each row's own."""

    def __init__(self, seeds: Sequence[int], binding: Binding) -> None:
        self._streams = [stream(seed) for seed in seeds]
        self._binding = binding
        self._steps: list[Signals] = []
        self._rows: list[Tensor] = []

    def __call__(self, logits: Tensor, rows: Tensor, taken: Tensor) -> None:
        """Record one step of the rows that are still going."""
        uniform = torch.stack(
            [torch.rand((), generator=self._streams[row], dtype=torch.float64) for row in rows.tolist()]
        )
        self._steps.append(encode(logits, uniform, self._binding))
        self._rows.append(rows)

    def answers(self) -> list[Signals]:
        """All positions of each answer."""
        rows = torch.cat(self._rows)
        by_answer = rows.argsort(stable=True)  # a row's steps stay in their order
        lengths = torch.bincount(rows, minlength=len(self._streams)).tolist()
        joined = join(self._steps)
        return [joined.select(positions) for positions in torch.split(by_answer, lengths)]
