"""Root-mean-square norms for training on a CPU: one pass each way, where the model's own code takes a dozen."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

_ROWS_AT_ONCE = 512  # some rows of the input and of its gradient stay in the cache
# Decoder layers, by class, in which nothing but linear layers reads these norms.
_BEFORE_LINEARS = ("input_layernorm", "post_attention_layernorm")
_SUCH_LAYERS = {"LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer", "Qwen3DecoderLayer"}


def use_fast_norms(network: nn.Module) -> None:
    """Have the norms of a network that are weight·x/√(mean x² + ε) computed by `fast_norm`, in place.

    What a class computes is tried rather than read from its name: some scale by 1 + weight, or centre first. Where only
    linear layers read a norm, autocast would narrow what it gives for each of them; it is narrowed once.
    """
    narrowed = {
        getattr(layer, name)
        for layer in network.modules()
        if type(layer).__name__ in _SUCH_LAYERS
        for name in _BEFORE_LINEARS
    }
    for module in network.modules():
        eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        if isinstance(eps, float) and list(dict(module.named_parameters())) == ["weight"] and _is_plain(module, eps):
            module.forward = partial(_normalise, module, module.forward, eps, module in narrowed)


def fast_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """weight·x/√(mean x² + eps) over the last dimension of x (…, D), weight (D,), both fp32; the result in `dtype`.

    Zhang & Sennrich 2019, equation 4. With r = 1/√(mean x² + eps) and g the incoming gradient, that by x is
    r·w·g - r³·x·mean(w·g·x), and that by the weight Σ r·g·x.
    """
    result: Tensor = _Norm.apply(x, weight, eps, dtype)  # type: ignore[no-untyped-call]  # untyped in torch
    return result


def _normalise(module: Any, own: Callable[[Tensor], Tensor], eps: float, narrowed: bool, x: Tensor) -> Tensor:
    if x.device.type != "cpu" or not x.dtype == module.weight.dtype == torch.float32:
        return own(x)
    narrow = narrowed and torch.is_autocast_enabled("cpu")
    return fast_norm(x, module.weight, eps, torch.get_autocast_dtype("cpu") if narrow else x.dtype)


@torch.no_grad()
def _is_plain(module: Any, eps: float) -> bool:
    weight = module.weight
    if weight.ndim != 1 or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return False
    x = torch.randn(4, len(weight), generator=torch.Generator().manual_seed(0))
    try:
        found = module(x)
    except (TypeError, RuntimeError):  # takes something else than one tensor of this width
        return False
    return isinstance(found, Tensor) and torch.allclose(found, rms_norm(x, weight.shape, weight, eps), 1e-5, 1e-6)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        """Torch's fused kernel; nothing is kept but what came in."""
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return rms_norm(x, weight.shape, weight, eps).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Both gradients, some rows at a time."""
        x, weight = ctx.saved_tensors
        width = len(weight)
        by_x, by_weight = torch.empty(x.shape), torch.zeros_like(weight)
        flat = (torch.split(one.reshape(-1, width), _ROWS_AT_ONCE) for one in (x, gradients[0], by_x))
        for rows, gradient, out in zip(*flat, strict=True):
            mean_square = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).square_().div_(width)
            r = mean_square.add_(ctx.eps).rsqrt_()
            wide = gradient.float()
            product = rows * wide
            by_weight.add_(torch.mv(product.T, r.squeeze(-1)))
            along = torch.mv(product, weight).unsqueeze_(-1).mul_(r.pow(3)).div_(-width)
            torch.mul(wide, weight, out=out).mul_(r).addcmul_(rows, along)
        return by_x, by_weight, None, None
