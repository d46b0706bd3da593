"""A causal language model on this machine: answers batches of token prompts and shows its hidden states and head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from potstill.errors import RecipeError
from potstill.models.folder import weights_revision
from potstill.models.prefix import left_pad, prefix_cache, shared_prefix_length
from potstill.records import ModelIdentity

# Called with the raw logits (B, V) of each step, the rows they belong to (B,), and which token was taken (B,).
OnStep = Callable[[Tensor, Tensor, Tensor], None]


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer: its tokens, the end token included where the model ended by itself."""

    tokens: tuple[int, ...]
    finish_reason: str  # "stop" or "length"


class LocalModel:
    """Weights, tokenizer and identity of one model. The network is an ordinary transformers model."""

    def __init__(self, network: Any, tokenizer: Any, identity: ModelIdentity) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.identity = identity

    @classmethod
    def load(cls, folder: Path, reference: str | None = None, dtype: torch.dtype = torch.float32) -> "LocalModel":
        """Open a model folder. Raises RecipeError where transformers cannot."""
        logging.disable_progress_bar()
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            network = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        except (OSError, ValueError, KeyError) as error:
            raise RecipeError(f"{folder}: cannot be opened as a causal language model ({error})") from None
        identity = ModelIdentity(reference or f"path:{folder}", "local", weights_revision(folder))
        return cls(network, tokenizer, identity)

    @property
    def context_tokens(self) -> int | None:
        """The longest prompt with its answer, in tokens, where the config says."""
        limit: int | None = getattr(self.network.config, "max_position_embeddings", None)
        return limit

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones counted once."""
        return sum(weight.numel() for weight in self.network.parameters())

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        temperature: float,
        top_p: float = 1.0,
        seeds: Sequence[int],
        on_step: OnStep | None = None,
    ) -> list[Generation]:
        """Answer a batch of prompts together; each row samples from its own generator, seeded by `seeds`.

        Rows that have ended leave the batch, so a long answer does not make the others pay. Temperature 0 is greedy.
        """
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        end = self.tokenizer.eos_token_id
        answers: list[list[int]] = [[] for _ in prompts]
        device = self.network.device
        rows = torch.arange(len(prompts), device=device)
        shared = shared_prefix_length(prompts, [len(prompt) - 1 for prompt in prompts])
        tokens, mask = left_pad([prompt[shared:] for prompt in prompts], end if end is not None else 0)
        mask = torch.cat([mask.new_ones(len(prompts), shared), mask], 1).to(device)
        tokens = tokens.to(device)
        cache = prefix_cache(self.network, torch.tensor([prompts[0][:shared]], device=device), len(prompts))
        for _ in range(max_new_tokens):
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
            logits = self.network(
                input_ids=tokens, attention_mask=mask, position_ids=positions, cache=cache,
                use_cache=True, logits_to_keep=1,
            ).logits[:, -1].float()  # fmt: skip
            taken = _sample(logits, temperature, top_p, [generators[row] for row in rows.tolist()])
            if on_step is not None:
                on_step(logits, rows, taken)
            for row, token in zip(rows.tolist(), taken.tolist(), strict=True):
                answers[row].append(token)
            going = taken != end
            if not bool(going.any()):
                break
            if not bool(going.all()):
                kept = going.nonzero().flatten()
                cache.batch_select_indices(kept)
                rows, taken, mask = rows[kept], taken[kept], mask[kept]
            tokens = taken[:, None]
            mask = torch.cat([mask, mask.new_ones(len(taken), 1)], 1)
        return [Generation(tuple(one), "stop" if one and one[-1] == end else "length") for one in answers]


def _sample(logits: Tensor, temperature: float, top_p: float, generators: Sequence[torch.Generator]) -> Tensor:
    """One token a row (B,) from logits (B, V): inverse of the cumulative distribution at one uniform number a row."""
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits / temperature, -1)
    if top_p < 1:
        ordered, order = probabilities.sort(-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= top_p
        probabilities = probabilities.scatter(-1, order, ordered.masked_fill(outside, 0))
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    uniform = torch.stack([torch.rand((), generator=generator, dtype=torch.float64) for generator in generators])
    drawn = torch.searchsorted(cumulative, uniform.to(cumulative.device)[:, None] * cumulative[:, -1:], right=True)
    return drawn.squeeze(-1).clamp(max=logits.shape[-1] - 1)
