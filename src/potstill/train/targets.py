"""What a batch is trained towards: stored samples or lists, a live teacher's distributions, or the answers' tokens."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from potstill.answers import Answer
from potstill.models.local import LocalModel
from potstill.models.norms import use_fast_norms
from potstill.models.prefix import hidden_states
from potstill.objectives import packed
from potstill.objectives.gradients import Part
from potstill.objectives.head import ChunkLoss, head_outputs
from potstill.objectives.transform import logit_transform
from potstill.store.signals import SignalStore
from potstill.train.rollouts import Rollout


class Batch:
    """A micro-batch of answers as tensors, and where in it the supervised positions are."""

    def __init__(self, answers: Sequence[Answer], tokens: Tensor, prefix: int) -> None:
        """`tokens` (B, T), padded on the right; the first `prefix` columns are one and the same in every row."""
        self.answers, self.tokens, self.prefix = answers, tokens, prefix
        rows: list[int] = []
        columns: list[int] = []
        for row, answer in enumerate(answers):
            example = answer.example
            # The logits at a position predict the token after it.
            columns.extend(range(example.prompt_length - 1 - prefix, len(example.tokens) - 1 - prefix))
            rows.extend([row] * example.answer_length)
        self.rows = torch.tensor(rows, device=tokens.device)
        self.columns = torch.tensor(columns, device=tokens.device)

    @property
    def supervised(self) -> int:
        """N, the number of supervised positions."""
        return len(self.rows)


class Target(NamedTuple):
    """The loss of one batch at the head, and the teacher's hidden states (N, D) of each matched layer."""

    loss: ChunkLoss
    states: tuple[Tensor, ...] = ()


Targets = Callable[[Batch], Target]


def token_targets(batch: Batch) -> Target:
    """Cross-entropy on the answers' own tokens."""
    return Target(packed.token_loss(_own_tokens(batch)))


def _own_tokens(batch: Batch) -> Tensor:
    """The token (N,) that each supervised position is followed by."""
    ids = [token for one in batch.answers for token in one.example.tokens[one.example.prompt_length :]]
    return torch.tensor(ids, device=batch.tokens.device)


def scored_targets(batch: Batch, cap: float = math.inf) -> Target:
    """Reverse KL as a policy gradient on what the student wrote and the teacher scored; cross-entropy on other answers.

    A served teacher gives log p of single tokens only, so that is all there is to learn from its stored answers' text.
    Where a server sampled, importance weights are cut at `cap`.
    """
    ids: list[int] = []
    log_p: list[float] = []
    log_q: list[float] = []
    own: list[bool] = []
    drawn = False
    for one in batch.answers:
        nothing = (0.0,) * one.example.answer_length
        scores, sampled = (one.log_p, one.log_q) if isinstance(one, Rollout) else (None, None)
        drawn = drawn or sampled is not None
        ids += one.example.tokens[one.example.prompt_length :]
        log_p += scores or nothing
        log_q += sampled or nothing
        own += [scores is not None] * one.example.answer_length
    device = batch.tokens.device
    tokens, ours = torch.tensor(ids, device=device), torch.tensor(own, device=device)
    given, taken = (torch.tensor(one, dtype=torch.float32, device=device) for one in (log_p, log_q))
    return Target(packed.policy_gradient_loss(tokens, given, ours, taken if drawn else None, cap))


def sampled_targets(store: SignalStore, draws: int) -> Targets:
    """Forward KL from stored samples."""

    def bind(batch: Batch) -> Target:
        found, device = bound_samples(store, draws, [one.key for one in batch.answers]), batch.tokens.device
        return Target(
            packed.sampled_loss(
                packed.Samples(found.ids.to(device), found.weights.to(device), found.starts, found.entropy.to(device))
            )
        )

    return bind


def bound_samples(store: SignalStore, draws: int, keys: Sequence[str]) -> packed.Samples:
    """The stored samples of these answers, one after the other, as the loss takes them; on the CPU."""
    samples = store.samples_of(keys)
    starts = torch.cat([torch.zeros(1, dtype=torch.long), samples.lengths.cumsum(0)])
    return packed.Samples(samples.ids, samples.counts.to(torch.float32) / draws, starts, samples.entropy)


def top_k_targets(store: SignalStore, parts: Sequence[Part]) -> Targets:
    """Any objectives over stored lists and a bucket for all other tokens: a lower bound of the values over all."""

    def bind(batch: Batch) -> Target:
        lists = bound_top_k(store, [one.key for one in batch.answers], batch.tokens.device)
        return Target(packed.top_k_loss(parts, lists))

    return bind


def listed_targets(store: SignalStore, parts: Sequence[Part]) -> Targets:
    """Any objectives over a server's stored lists; cross-entropy on the answer's own token where it gave none."""

    def bind(batch: Batch) -> Target:
        device = batch.tokens.device
        lists = bound_top_k(store, [one.key for one in batch.answers], device)
        return Target(packed.listed_loss(parts, lists, _own_tokens(batch)))

    return bind


def bound_top_k(store: SignalStore, keys: Sequence[str], device: Any) -> packed.TopK:
    """The stored lists of these answers, one after the other, as the loss takes them."""
    found = store.top_k_of(keys)
    return packed.TopK(found.ids.to(device), found.log_probabilities.to(device), found.tail.to(device))


def live_targets(teacher: LocalModel, parts: Sequence[Part], temperature: float, layers: Sequence[int] = ()) -> Targets:
    """Any objectives against a teacher that runs beside the student; its head too works a chunk at a time.

    `layers` are the teacher's layers whose states are wanted beside it, counted from 0 (the embedding's output).
    """
    use_fast_norms(teacher.network)
    head = FrozenHead(teacher.network.get_output_embeddings())
    transform = logit_transform(teacher.network.config)

    def bind(batch: Batch) -> Target:
        with torch.no_grad():
            found = hidden_states(teacher.network.to(batch.tokens.device), batch.tokens, batch.prefix, layers)
            states, *others = (one[batch.rows, batch.columns] for one in found)

        def outputs(start: int, stop: int) -> Tensor:
            with torch.no_grad():
                return head(states[start:stop])

        return Target(packed.dense_loss(parts, outputs, temperature, transform), tuple(others))

    return bind


class FrozenHead:
    """The teacher's head, its weight kept in the dtype that products are taken in instead of cast for every chunk.

    The outputs of one call are overwritten by the next.
    """

    def __init__(self, head: Any) -> None:
        self._head = head
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None
        self._buffer: Tensor | None = None

    @torch.no_grad()
    def __call__(self, states: Tensor) -> Tensor:
        """Head outputs n×V of final hidden states n×D."""
        device, dtype = states.device, self._head.weight.dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        if self._weight is None or self._weight.dtype != dtype or self._weight.device != device:
            bias = getattr(self._head, "bias", None)
            self._weight = self._head.weight.detach().to(device, dtype)
            self._bias = bias.detach().to(device, dtype) if bias is not None else None
            self._buffer = None
        if self._buffer is None or len(self._buffer) < len(states):
            self._buffer = self._weight.new_empty(len(states), len(self._weight))
        return head_outputs(states.to(dtype), self._weight, self._bias, self._buffer)


def narrow_linears(network: Any, dtype: torch.dtype) -> None:
    """Keep the weights of a frozen model's linear layers, the head apart, in `dtype`, in place.

    Under autocast they would be cast to it for every batch; embeddings, norms and the residual stream stay as they are.
    """
    head = network.get_output_embeddings()
    for module in network.modules():
        if isinstance(module, nn.Linear) and module is not head:
            module.to(dtype)


def summed_targets(weighted: Sequence[tuple[float, Targets]]) -> Targets:
    """Several kinds of targets for the same positions, their losses added with weights."""

    def bind(batch: Batch) -> Target:
        bound = [(weight, targets(batch)) for weight, targets in weighted]
        states = next((one.states for _, one in bound if one.states), ())
        return Target(packed.weighted_sum([(weight, one.loss) for weight, one in bound]), states)

    return bind
