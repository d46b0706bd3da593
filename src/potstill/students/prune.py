"""Depth pruning by calibration: removes, one at a time, the layer whose removal raises KL to the teacher least."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from potstill.models.prefix import shared_prefix_length
from potstill.progress import Reporter, Silent
from potstill.rendering import Example
from potstill.students.layers import decoder_layers, final_norm

# Each round tries only so many of the layers that looked cheapest when last tried, because removing one layer seldom
# reorders the rest. What it chooses differs in a layer or two from trying every one, and is as good:
# benchmarks/pruning.py prints both choices with their KL on held-out answers.
_CANDIDATES = 4


def calibration_set(examples: Sequence[Example], answer_tokens: int) -> list[Example]:
    """Every k-th example, so many that their answers hold about `answer_tokens` tokens; spread over the whole set."""
    total = sum(one.answer_length for one in examples)
    step = max(1, total // max(answer_tokens, 1))
    return list(examples[::step]) or list(examples[:1])


@torch.inference_mode()
def choose_layers(
    network: Any,
    examples: Sequence[Example],
    keep: int,
    candidates: int | None = _CANDIDATES,
    reporter: Reporter | None = None,
) -> tuple[list[int], list[float]]:
    """Indices of the `keep` layers to keep, and the KL (nats a position) after each removal.

    States before every remaining layer are kept, so a trial runs only the layers after the one it leaves out.
    `candidates=None` tries every layer in every round.
    """
    trial = _Trial(network, examples)
    kept = list(range(len(trial.layers)))
    scores = dict.fromkeys(kept, 0.0)
    history: list[float] = []
    rounds = len(kept) - keep
    with (reporter or Silent()).meter("choosing layers", max(rounds, 0), "layers") as meter:
        states = trial.states(kept)
        for number in range(rounds):
            few = kept if number == 0 or candidates is None else sorted(kept, key=scores.__getitem__)[:candidates]
            for layer in few:
                place = kept.index(layer)
                scores[layer] = trial.kl(states[place], kept[place + 1 :])
            removed = min(few, key=scores.__getitem__)
            history.append(scores[removed])
            place = kept.index(removed)
            kept.remove(removed)
            # What stands before the removed layer has not changed.
            states = states[:place] + trial.states(kept[place:], states[place])
            meter.advance(1, f"KL {scores[removed]:.2f}")
    return kept, history


class _Trial:
    """One forward pass of the teacher with everything that its layers were called with, to call them again by hand."""

    def __init__(self, network: Any, examples: Sequence[Example]) -> None:
        self.layers = list(decoder_layers(network))
        self._norm = final_norm(network)
        self._head = network.get_output_embeddings()
        self._calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        device = next(network.parameters()).device
        packed = _pack(examples)
        hooks = [layer.register_forward_pre_hook(self._note, with_kwargs=True) for layer in self.layers]
        try:
            final = network.base_model(
                input_ids=packed.tokens.to(device),
                position_ids=packed.positions.to(device),
                attention_mask=packed.visible.to(device),
                use_cache=False,
            ).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        self._columns = packed.supervised.to(device)
        log_p = torch.log_softmax(self._head(final[0, self._columns]).float(), -1)
        self._p = log_p.exp()
        self._negative_entropy = torch.linalg.vecdot(self._p, log_p)

    def _note(self, _layer: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._calls.append((arguments, keywords))

    def _run(self, layer: int, states: Tensor) -> Tensor:
        arguments, keywords = self._calls[layer]
        if arguments:
            out = self.layers[layer](states, *arguments[1:], **keywords)
        else:
            out = self.layers[layer](**{**keywords, "hidden_states": states})
        result: Tensor = out[0] if isinstance(out, tuple) else out
        return result

    def states(self, kept: Sequence[int], start: Tensor | None = None) -> list[Tensor]:
        """The states before each of the kept layers, when only those run, from `start` or the embeddings."""
        arguments, keywords = self._calls[0]
        current = start if start is not None else arguments[0] if arguments else keywords["hidden_states"]
        before: list[Tensor] = []
        for layer in kept:
            before.append(current)
            current = self._run(layer, current)
        return before

    def kl(self, states: Tensor, rest: Sequence[int]) -> float:
        """Mean forward KL at the answers' positions when `rest` runs on `states`."""
        for layer in rest:
            states = self._run(layer, states)
        logits = self._head(self._norm(states[0, self._columns])).float()
        # Σ p log p - Σ p log q with log q = logit - logsumexp: one pass over the vocabulary instead of four, and of the
        # divergences only their order and their size in print matter here.
        cross_entropy = logits.logsumexp(-1) - torch.linalg.vecdot(self._p, logits)
        return float((self._negative_entropy + cross_entropy).mean())


@dataclass(frozen=True, slots=True)
class _Packed:
    """All examples in one row (1, T): their shared beginning once, then what is each one's own."""

    tokens: Tensor
    positions: Tensor
    visible: Tensor  # (1, 1, T, T), additive: an example sees the shared beginning and itself, up to here
    supervised: Tensor  # columns whose logits predict an answer token


def _pack(examples: Sequence[Example]) -> _Packed:
    sequences = [one.tokens for one in examples]
    shared = shared_prefix_length(sequences, [one.prompt_length - 1 for one in examples])
    tokens, positions, owners = list(sequences[0][:shared]), list(range(shared)), [-1] * shared
    supervised: list[int] = []
    for number, one in enumerate(examples):
        start = len(tokens) - shared  # add this to a place in the sequence to get its column
        supervised.extend(range(start + one.prompt_length - 1, start + len(one.tokens) - 1))
        tokens.extend(one.tokens[shared:])
        positions.extend(range(shared, len(one.tokens)))
        owners.extend([number] * (len(one.tokens) - shared))
    owner = torch.tensor(owners)
    place = torch.arange(len(tokens))
    allowed = (place[:, None] >= place) & ((owner[:, None] == owner) | (owner == -1))
    visible = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    return _Packed(torch.tensor([tokens]), torch.tensor([positions]), visible[None, None], torch.tensor(supervised))
