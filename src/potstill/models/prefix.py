"""Final hidden states of a batch whose rows begin alike: the shared beginning goes through the layers once.

Prompts of one job mostly share a system prompt. Attention is causal, so the states of a shared beginning do not depend
on what follows: they are computed for one row and their keys and values handed to all, with gradients.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

# A beginning that saves a smaller share of all positions saves less than a second pass and the cache's copies cost.
_WORTH_SHARING = 0.25


def shared_prefix_length(sequences: Sequence[Sequence[int]], limits: Sequence[int]) -> int:
    """How many tokens all sequences begin with, below every limit (a row's first supervised position).

    0 where computing them once would save too little.
    """
    if len(sequences) < 2:
        return 0
    first = sequences[0]
    longest = min(*limits, *(len(one) for one in sequences))
    length = 0
    while length < longest and all(one[length] == first[length] for one in sequences):
        length += 1
    saved, padded = (len(sequences) - 1) * length, len(sequences) * max(len(one) for one in sequences)
    return length if saved >= _WORTH_SHARING * padded else 0


def right_pad(sequences: Sequence[Sequence[int]], pad: int) -> Tensor:
    """Token ids (B, T), padded on the right."""
    width = max(len(one) for one in sequences)
    tokens = torch.full((len(sequences), width), pad)
    for row, one in enumerate(sequences):
        tokens[row, : len(one)] = torch.tensor(one)
    return tokens


def left_pad(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask (B, T), padded on the left so that every row's next token stands at the end."""
    width = max(len(prompt) for prompt in prompts)
    tokens = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return tokens, mask


def hidden_states(network: Any, tokens: Tensor, prefix: int = 0, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
    """Final hidden states (B, T - prefix, D) of right-padded tokens (B, T) whose first `prefix` columns are one row.

    With prefix = 0 all T columns go through the layers. Equal to the plain forward pass up to rounding. After them
    come the states that leave each of `layers`, counted from 0 (the embedding's output), as transformers counts them.
    What comes out at padding means nothing.
    """
    # Attention is causal and padding stands behind every token, so no token sees it and the layers need no mask. With
    # one, attention would read a matrix of B x T x T and leave its causal kernel.
    body, wanted = network.base_model, {"output_hidden_states": True} if layers else {}
    if prefix == 0:
        return _chosen(body(input_ids=tokens, use_cache=False, **wanted), layers)
    # One look-up for both parts: an embedding's gradient is as large as the embedding, so two would cost twice.
    own = tokens[:, prefix:]
    embedded = network.get_input_embeddings()(torch.cat([tokens[0, :prefix], own.flatten()]))
    cache = DynamicCache(config=network.config)
    body(inputs_embeds=embedded[None, :prefix], cache=cache, use_cache=True)
    cache.batch_repeat_interleave(tokens.shape[0])
    positions = torch.arange(prefix, tokens.shape[1], device=tokens.device).expand(tokens.shape[0], -1)
    found = body(
        inputs_embeds=embedded[prefix:].view(*own.shape, -1),
        position_ids=positions,
        cache=cache,
        use_cache=True,
        **wanted,
    )
    return _chosen(found, layers)


def _chosen(found: Any, layers: Sequence[int]) -> tuple[Tensor, ...]:
    return (found.last_hidden_state, *(found.hidden_states[layer] for layer in layers))


def answer_states(network: Any, sequences: Sequence[Sequence[int]], prompt_lengths: Sequence[int], pad: int) -> Tensor:
    """Final hidden states (N, D) at the positions that predict the answers, one sequence after the other.

    `sequences` are prompt and answer; N is the number of answer tokens of all of them.
    """
    firsts = [length - 1 for length in prompt_lengths]  # the logits at a position predict the token after it
    prefix = shared_prefix_length(sequences, firsts)
    tokens = right_pad(sequences, pad)
    (states,) = hidden_states(network, tokens, prefix)
    return torch.cat(
        [
            states[row, first - prefix : len(one) - 1 - prefix]
            for row, (one, first) in enumerate(zip(sequences, firsts, strict=True))
        ]
    )


def prefix_cache(network: Any, prefix: Tensor, rows: int) -> Any:
    """Keys and values of a beginning (1, P), repeated for `rows` rows; empty where P is 0."""
    cache = DynamicCache(config=network.config)
    if prefix.shape[1] > 0:
        network.base_model(input_ids=prefix, cache=cache, use_cache=True)
        cache.batch_repeat_interleave(rows)
    return cache
