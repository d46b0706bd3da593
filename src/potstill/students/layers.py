"""Finds and replaces the decoder layers of a transformers model, whatever its architecture calls them."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from potstill.errors import RecipeError


def decoder_layers(network: Any) -> nn.ModuleList:
    """The list of decoder layers. Raises RecipeError for an architecture that keeps no such list."""
    body = network.base_model
    for name in ("layers", "h", "blocks"):
        found = getattr(body, name, None)
        if isinstance(found, nn.ModuleList):
            return found
    raise RecipeError(f"{type(network).__name__} has no list of decoder layers to prune; take student kind model")


def final_norm(network: Any) -> nn.Module:
    """The normalisation between the last layer and the head."""
    body = network.base_model
    for name in ("norm", "ln_f", "final_layer_norm", "norm_f"):
        found = getattr(body, name, None)
        if isinstance(found, nn.Module):
            return found
    raise RecipeError(f"{type(network).__name__} has no final norm that pruning knows; take student kind model")


def keep_layers(network: Any, kept: Sequence[int]) -> None:
    """Cut a model down, in place, to the layers with these indices, and make its config say so."""
    layers = decoder_layers(network)
    body = network.base_model
    name = next(name for name, module in body.named_children() if module is layers)
    remaining = nn.ModuleList(layers[index] for index in kept)
    for position, layer in enumerate(remaining):
        # The cache is addressed by this number, so it has to count the layers that are left.
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = position  # type: ignore[assignment]  # torch types every attribute as a tensor
    setattr(body, name, remaining)
    config = network.config
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[index] for index in kept]
    config.num_hidden_layers = len(kept)
