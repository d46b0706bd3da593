"""Closed forms are what autograd finds, for every objective, for weighted sums, and at the edges of the numbers."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from potstill.objectives import KINDS, per_position
from potstill.objectives.gradients import Part, values_and_gradient

OPTIONS: dict[str, dict[str, Any]] = {
    "jsd": {"beta": 0.3},
    "skew_forward_kl": {"alpha": 0.2},
    "skew_reverse_kl": {"alpha": 0.2},
}


def part(kind: str, weight: float = 1.0) -> Part:
    return Part(kind, weight, OPTIONS.get(kind, {}))


def by_autograd(
    parts: list[Part], student: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = student.clone().requires_grad_()
    values = sum(
        (one.weight * per_position(one.kind, leaf, teacher, temperature=temperature, **one.options) for one in parts),
        leaf.new_zeros(()),
    )
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), gradient


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(
    seed=st.integers(0, 2**31), scale=st.sampled_from([0.1, 1.0, 30.0]), temperature=st.sampled_from([0.5, 1.0, 3.0])
)
def test_value_and_gradient_are_autograds(kind: str, seed: int, scale: float, temperature: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (scale * torch.randn(3, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    values, gradient = by_autograd([part(kind)], student, teacher, temperature)
    found = values_and_gradient([part(kind)], student.clone(), teacher.clone(), temperature)
    torch.testing.assert_close(found[0], values)
    torch.testing.assert_close(found[1], gradient)


def test_a_weighted_sum_is_the_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(4, 9, dtype=torch.float64, generator=generator) for _ in range(2))
    parts = [part(kind, 0.1 + number) for number, kind in enumerate(sorted(KINDS))]
    values, gradient = by_autograd(parts, student, teacher, 1.0)
    found = values_and_gradient(parts, student.clone(), teacher.clone())
    torch.testing.assert_close(found[0], values)
    torch.testing.assert_close(found[1], gradient)


@pytest.mark.parametrize("weight", [0.25, 4.0])
def test_weight_and_temperature_do_not_cancel_each_other(weight: float) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(4, 9, dtype=torch.float64, generator=generator) for _ in range(2))
    values, gradient = by_autograd([part("forward_kl", weight)], student, teacher, 1 / weight)
    found = values_and_gradient([part("forward_kl", weight)], student.clone(), teacher.clone(), 1 / weight)
    torch.testing.assert_close(found[0], values)
    torch.testing.assert_close(found[1], gradient)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_extreme_logits_stay_finite(kind: str) -> None:
    values, gradient = values_and_gradient([part(kind)], torch.tensor([[0.0, -100.0]]), torch.zeros(1, 2), 0.05)
    assert values.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_token_that_both_suppress_gives_no_nan(kind: str) -> None:
    student, teacher = torch.tensor([[0.0, 1.0, -math.inf]]), torch.tensor([[0.0, 2.0, -math.inf]])
    values, gradient = values_and_gradient([part(kind)], student.clone(), teacher.clone())
    kept = values_and_gradient([part(kind)], student[:, :2].clone(), teacher[:, :2].clone())
    torch.testing.assert_close(values, kept[0])
    torch.testing.assert_close(gradient[:, :2], kept[1])
    assert gradient[0, 2] == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cross_entropy"])
def test_a_model_is_at_no_distance_from_itself_and_stays(kind: str) -> None:
    same = torch.randn(5, 400, generator=torch.Generator().manual_seed(0))
    values, gradient = values_and_gradient([part(kind)], same.clone(), same.clone())
    assert values.abs().max() < 1e-5
    assert gradient.abs().max() < 1e-6


def test_an_option_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="reverse_kl takes no beta"):
        values_and_gradient([Part("reverse_kl", 1.0, {"beta": 0.5})], torch.zeros(1, 2), torch.zeros(1, 2))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bf16_logits_are_reduced_in_fp32(kind: str) -> None:
    """Rounded once, as logits, and never again: the value is that of the rounded logits in fp64."""
    generator = torch.Generator().manual_seed(2)
    student, teacher = ((3 * torch.randn(6, 300, generator=generator)).bfloat16() for _ in range(2))
    values, gradient = values_and_gradient([part(kind)], student.float(), teacher.float())
    exact, by_logits = by_autograd([part(kind)], student.double(), teacher.double(), 1.0)
    torch.testing.assert_close(values.double(), exact, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradient.double(), by_logits, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(per_position(kind, student, teacher, **OPTIONS.get(kind, {})).double(), exact,
                               atol=1e-5, rtol=1e-4)  # fmt: skip


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_position_gives_nothing(kind: str) -> None:
    values, gradient = values_and_gradient([part(kind)], torch.zeros(0, 7), torch.zeros(0, 7))
    assert values.shape == (0,)
    assert gradient.shape == (0, 7)
