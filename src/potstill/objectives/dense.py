"""Objectives on whole distributions: P is the teacher, Q the student, logits N×V in, N values in nats out."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from potstill.errors import RecipeError


def forward_kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(P‖Q) = Σ p (log p - log q); Hinton et al. 2015, eq. 1 with the teacher's entropy kept, so KL(P‖P) is 0."""
    return _kl(log_p, log_q)


def reverse_kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(Q‖P) = Σ q (log q - log p); Gu et al. 2024 (MiniLLM), eq. 1."""
    return _kl(log_q, log_p)


def jsd(log_q: Tensor, log_p: Tensor, beta: float = 0.5) -> Tensor:
    """β·KL(P‖M) + (1-β)·KL(Q‖M) with M = βP + (1-β)Q, 0 < β < 1; Agarwal et al. 2024 (GKD), eq. 1.

    Raises ValueError at 0 and 1, where the value tends to 0 whatever P and Q are.
    """
    check_options("jsd", {"beta": beta})
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
    return beta * _kl(log_p, log_m) + (1 - beta) * _kl(log_q, log_m)


def skew_forward_kl(log_q: Tensor, log_p: Tensor, alpha: float = 0.1) -> Tensor:
    """KL(P‖αP + (1-α)Q), 0 ≤ α < 1; Ko et al. 2024 (DistiLLM), eq. 4."""
    check_options("skew_forward_kl", {"alpha": alpha})
    log_m = log_q if alpha == 0 else torch.logaddexp(log_p + math.log(alpha), log_q + math.log1p(-alpha))
    return _kl(log_p, log_m)


def skew_reverse_kl(log_q: Tensor, log_p: Tensor, alpha: float = 0.1) -> Tensor:
    """KL(Q‖(1-α)P + αQ), 0 ≤ α < 1, the Q inside the mixture held constant; Ko et al. 2024 (DistiLLM), eq. 5."""
    check_options("skew_reverse_kl", {"alpha": alpha})
    held = log_q.detach()
    log_m = log_p if alpha == 0 else torch.logaddexp(log_p + math.log1p(-alpha), held + math.log(alpha))
    return _kl(log_q, log_m)


def total_variation(log_q: Tensor, log_p: Tensor) -> Tensor:
    """½ Σ |p - q|, between 0 and 1; 1 minus it is the acceptance rate of speculative sampling."""
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)


def cross_entropy(log_q: Tensor, log_p: Tensor) -> Tensor:
    """-Σ p log q: forward KL plus the teacher's entropy, so not 0 at P = Q."""
    return -(log_p.exp() * _finite(log_q, log_p)).sum(-1)


KINDS: dict[str, Callable[..., Tensor]] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jsd": jsd,
    "skew_forward_kl": skew_forward_kl,
    "skew_reverse_kl": skew_reverse_kl,
    "total_variation": total_variation,
    "cross_entropy": cross_entropy,
}


_OPTIONS = {"jsd": "beta", "skew_forward_kl": "alpha", "skew_reverse_kl": "alpha"}


def check_options(kind: str, options: Mapping[str, float]) -> None:
    """Raise ValueError for a kind that is none, an option that it does not take, or a value out of its range."""
    if kind not in KINDS:
        raise ValueError(f"no objective is called {kind!r}; there are {', '.join(KINDS)}")
    for name, value in options.items():
        if _OPTIONS.get(kind) != name:
            raise ValueError(f"{kind} takes no {name}")
        if name == "beta" and not 0 < value < 1:
            raise ValueError(
                f"{kind}: beta must lie between 0 and 1, not {value}; at the ends use forward_kl or reverse_kl"
            )
        if name == "alpha" and not 0 <= value < 1:
            raise ValueError(f"{kind}: alpha must be at least 0 and below 1, not {value}")


def per_position(
    kind: str, student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 1.0, **options: Any
) -> Tensor:
    """The objective at every position: logits N×V of both models in, N values in nats out, reduced in fp32 or wider.

    Where the vocabularies differ only by embedding padding, cut both to the tokenizer's length first (`cut_padding`).
    Temperature divides both logits, and the values are multiplied by its square (Hinton et al. 2015, section 2).
    Raises ValueError for an unknown kind, differing widths, or an option out of its range.
    """
    check_options(kind, options)
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student logits {tuple(student_logits.shape)} and teacher logits {tuple(teacher_logits.shape)} differ; "
            "one vocabulary is needed"
        )
    if student_logits.shape[0] == 0:
        return student_logits.sum(-1).float()  # keeps the gradient path of an empty batch
    log_q = torch.log_softmax(_wide(student_logits) / temperature, -1)
    log_p = torch.log_softmax(_wide(teacher_logits) / temperature, -1)
    return KINDS[kind](log_q, log_p, **options) * temperature**2


def cut_padding(student_logits: Tensor, teacher_logits: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Drop embedding rows past the tokenizer's length. Raises RecipeError where a model has fewer rows than that."""
    for role, logits in (("student", student_logits), ("teacher", teacher_logits)):
        if logits.shape[-1] < vocabulary:
            raise RecipeError(
                f"the {role} has {logits.shape[-1]} output rows but the tokenizer {vocabulary} tokens; "
                "they do not belong together"
            )
    return student_logits[..., :vocabulary], teacher_logits[..., :vocabulary]


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _finite(log_values: Tensor, log_weights: Tensor) -> Tensor:
    """0 where the weight's probability is 0: there 0·log 0 counts as 0, with a gradient of 0 rather than NaN."""
    return torch.where(log_weights.isneginf(), torch.zeros_like(log_values), log_values)


def _kl(log_a: Tensor, log_b: Tensor) -> Tensor:
    return (log_a.exp() * (_finite(log_a, log_a) - _finite(log_b, log_a))).sum(-1)
