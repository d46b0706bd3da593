"""Attention for training on a CPU under autocast: in fp32 on short sequences, where torch's kernels are faster so.

Autocast narrows queries, keys and values to bf16, and torch's backward kernel for CPUs pays for that on short
sequences; `make benchmark-scaling` prints both.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_fp32_on_short"
_SHORT_TOKENS = 512


def use_fast_attention(network: Any) -> None:
    """Have a network that takes torch's attention take this one, in place; one that takes another keeps it."""
    if network.config._attn_implementation == "sdpa":
        network.set_attn_implementation(NAME)


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """What transformers calls in every layer: query (B, H, T, E) in, (B, T, H, E) out."""
    with_gradient = query.requires_grad and torch.is_grad_enabled()
    if query.device.type == "cpu" and with_gradient and key.shape[2] <= _SHORT_TOKENS:
        with torch.autocast("cpu", enabled=False):
            wide = (one.float() if one.dtype == torch.bfloat16 else one for one in (query, key, value))
            found, _ = sdpa_attention_forward(module, *wide, attention_mask, **kwargs)
    else:
        found, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return found, None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
