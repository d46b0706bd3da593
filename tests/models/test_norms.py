import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from potstill.models.norms import fast_norm, use_fast_norms

NORMS = ("input_layernorm", "post_attention_layernorm")


def _gradients(norm: nn.Module, x: Tensor, incoming: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    out = norm(leaf)
    by_x, by_weight = torch.autograd.grad(out, (leaf, norm.weight), incoming)
    return out, by_x, by_weight


@pytest.mark.parametrize("kind", [LlamaRMSNorm, Qwen3RMSNorm])
def test_value_and_gradients_are_those_of_the_models_own_code(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    norm = kind(48, 1e-5)
    norm.weight.data.normal_()
    x, incoming = torch.randn(3, 400, 48), torch.randn(3, 400, 48)
    before = _gradients(norm, x, incoming)
    holder = nn.ModuleList([norm])
    use_fast_norms(holder)
    assert "forward" in norm.__dict__
    for ours, theirs in zip(_gradients(norm, x, incoming), before, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(1)
    x, weight = torch.randn(5, 7, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    wide, incoming = torch.randn(2, 5, 7, dtype=torch.float64)
    step = 1e-6

    def value(moved: Tensor) -> float:
        r = (moved.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
        return float((moved * r * weight * incoming).sum())

    slope = (value(x + step * wide) - value(x - step * wide)) / (2 * step)
    leaf = x.float().requires_grad_()
    (by_x,) = torch.autograd.grad(fast_norm(leaf, weight.float(), 1e-5), leaf, incoming.float())
    assert float((by_x.double() * wide).sum()) == pytest.approx(slope, rel=1e-5)


def test_norms_that_compute_something_else_keep_their_own_code() -> None:
    others = nn.ModuleList([GemmaRMSNorm(8, 1e-6), nn.LayerNorm(8), nn.Linear(8, 8)])
    use_fast_norms(others)
    assert not any("forward" in one.__dict__ for one in others)


def test_narrow_input_takes_the_models_own_code() -> None:
    norm = LlamaRMSNorm(8, 1e-5)
    x = torch.randn(2, 8).bfloat16()
    before = norm(x)
    use_fast_norms(nn.ModuleList([norm]))
    assert torch.equal(norm(x), before)


def test_before_linear_layers_a_norm_is_narrowed_once_under_autocast_and_nowhere_else() -> None:
    torch.manual_seed(2)
    model = LlamaModel(LlamaConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
                                   num_attention_heads=4, num_key_value_heads=2))  # fmt: skip
    tokens = torch.randint(50, (2, 9))
    with torch.autocast("cpu", torch.bfloat16):
        before = model(tokens).last_hidden_state
        use_fast_norms(model)
        given = {name: model.layers[0].get_submodule(name)(torch.randn(3, 32)).dtype for name in NORMS}
        assert given == dict.fromkeys(NORMS, torch.bfloat16)
        assert model.norm(torch.randn(3, 32)).dtype == torch.float32
        torch.testing.assert_close(model(tokens).last_hidden_state, before, rtol=1e-2, atol=1e-2)
    assert model.layers[0].input_layernorm(torch.randn(3, 32)).dtype == torch.float32
