"""The table of values, and what every objective must satisfy."""

import math
from typing import Any

import pytest
import torch

from potstill.errors import RecipeError
from potstill.objectives import KINDS, per_position
from potstill.objectives.dense import cut_padding

P, Q = [0.7, 0.2, 0.1], [0.2, 0.3, 0.5]
OPTIONS: dict[str, dict[str, Any]] = {
    "jsd": {"beta": 0.3},
    "skew_forward_kl": {"alpha": 0.2},
    "skew_reverse_kl": {"alpha": 0.2},
}


def logits(probabilities: list[float]) -> torch.Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log()


def value(kind: str, p: list[float], q: list[float], **options: Any) -> float:
    return per_position(kind, logits(q), logits(p), **options).item()


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("forward_kl", {}, 0.634897),
        ("reverse_kl", {}, 0.675806),
        ("jsd", {"beta": 0.1}, 0.055891),
        ("jsd", {"beta": 0.5}, 0.151358),
        ("total_variation", {}, 0.5),
    ],
)
def test_the_table_of_values(kind: str, options: dict[str, Any], expected: float) -> None:
    assert value(kind, P, Q, **options) == pytest.approx(expected, abs=1e-6)


def test_skews_are_kl_against_their_mixtures() -> None:
    mixture = [0.2 * p + 0.8 * q for p, q in zip(P, Q, strict=True)]
    assert value("skew_forward_kl", P, Q, alpha=0.2) == pytest.approx(value("forward_kl", P, mixture))
    mixture = [0.8 * p + 0.2 * q for p, q in zip(P, Q, strict=True)]
    assert value("skew_reverse_kl", P, Q, alpha=0.2) == pytest.approx(value("forward_kl", Q, mixture))


def test_cross_entropy_is_forward_kl_plus_entropy() -> None:
    entropy = -sum(p * math.log(p) for p in P)
    assert value("cross_entropy", P, Q) == pytest.approx(value("forward_kl", P, Q) + entropy)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cross_entropy"])
def test_a_model_is_at_no_distance_from_itself(kind: str, dtype: torch.dtype) -> None:
    same = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert per_position(kind, same, same, **OPTIONS.get(kind, {})).abs().max() < 1e-4


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_gradients_match_finite_differences(kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    student = torch.randn(3, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    teacher = torch.randn(3, 6, dtype=torch.float64, generator=generator)
    options = OPTIONS.get(kind, {})
    if kind == "skew_reverse_kl":  # the mixture holds the student constant: compare with it held by hand
        held = student.detach().log_softmax(-1)
        log_m = torch.logaddexp(teacher.log_softmax(-1) + math.log(0.8), held + math.log(0.2))

        def by_hand(x: torch.Tensor) -> torch.Tensor:
            log_q = x.log_softmax(-1)
            return (log_q.exp() * (log_q - log_m)).sum(-1)

        assert torch.autograd.gradcheck(by_hand, student)
        expected = torch.autograd.grad(by_hand(student).sum(), student)[0]
        found = torch.autograd.grad(per_position(kind, student, teacher, **options).sum(), student)[0]
        torch.testing.assert_close(found, expected)
    else:
        assert torch.autograd.gradcheck(lambda x: per_position(kind, x, teacher, **options), student)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_position_gives_zero_with_a_gradient_path(kind: str) -> None:
    student = torch.zeros(0, 7, requires_grad=True)
    loss = per_position(kind, student, torch.zeros(0, 7), **OPTIONS.get(kind, {})).sum()
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["reverse_kl", "jsd"])
def test_extreme_logits_stay_finite(kind: str, dtype: torch.dtype) -> None:
    student = torch.tensor([[0.0, -100.0]], dtype=dtype, requires_grad=True)
    loss = per_position(kind, student, torch.zeros(1, 2, dtype=dtype), temperature=0.05).sum()
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_a_suppressed_token_gives_no_nan() -> None:
    student = torch.tensor([[0.0, 1.0, -math.inf]], requires_grad=True)
    loss = per_position("forward_kl", student, torch.tensor([[0.0, 2.0, -math.inf]])).sum()
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_padding_rows_are_cut() -> None:
    student, teacher = cut_padding(torch.tensor([[-10.0, -11.0]]), torch.tensor([[-10.0, -11.0, -30.0]]), 2)
    assert per_position("forward_kl", student, teacher).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(RecipeError, match="2 output rows but the tokenizer 3"):
        cut_padding(torch.zeros(1, 2), torch.zeros(1, 3), 3)


def test_temperature_divides_logits_and_multiplies_the_loss() -> None:
    plain = value("forward_kl", [0.5**0.5, 0.2**0.5, 0.3**0.5], [0.1**0.5, 0.3**0.5, 0.6**0.5])
    assert value("forward_kl", [0.5, 0.2, 0.3], [0.1, 0.3, 0.6], temperature=2.0) == pytest.approx(4 * plain)


def test_wrong_calls_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="forward_kl or reverse_kl"):
        value("jsd", P, Q, beta=0.0)
    with pytest.raises(ValueError, match="alpha"):
        value("skew_forward_kl", P, Q, alpha=1.0)
    with pytest.raises(ValueError, match="no objective is called"):
        value("kl", P, Q)
    with pytest.raises(ValueError, match="one vocabulary"):
        per_position("forward_kl", torch.zeros(1, 2), torch.zeros(1, 3))
