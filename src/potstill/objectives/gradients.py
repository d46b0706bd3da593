"""Every objective with its gradient in closed form: what the chunked head computes instead of asking autograd.

All gradients follow one rule. With log q = z - logsumexp(z) and a divergence D written in the log q_i as if they were
free, g_i = ∂D/∂log q_i, the gradient by the logits is g - q Σg. The derivations stand in docs/objectives.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from potstill.objectives.dense import KINDS, check_options

# A suppressed token's logit (-inf) becomes this: its probability is 0 all the same, and 0 times it is 0, not NaN.
_SUPPRESSED = -1e30


class Part(NamedTuple):
    """One term of a weighted sum: an objective's kind, its weight, and its options (beta or alpha)."""

    kind: str
    weight: float = 1.0
    options: Mapping[str, float] = {}  # never written to


def values_and_gradient(
    parts: Sequence[Part], student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The weighted sum of `parts` at every position, and its gradient by the student's logits.

    Logits n×V of both models in, fp32 or fp64, both overwritten; n values in nats and the gradient n×V out. Temperature
    divides both logits, and values and gradient are those of the loss multiplied by its square.
    Raises ValueError for an unknown kind or an option out of its range.
    """
    for part in parts:
        check_options(part.kind, part.options)
    z, t = (_tempered(one, temperature) for one in (student_logits, teacher_logits))
    if len(parts) == 1 and parts[0].kind == "forward_kl":
        values, gradient = _forward_kl(z, t)
        weight = parts[0].weight
    else:
        log_q, log_p = torch.log_softmax(z, -1), torch.log_softmax(t, -1)
        values, by_log_q = weighted_partials(parts, log_q, log_p)
        total = by_log_q.sum(-1, keepdim=True)
        gradient = by_log_q.sub_(log_q.exp_().mul_(total))
        weight = 1.0
    if weight * temperature != 1.0:  # ∂/∂logits = ∂/∂(logits/T) / T, and the loss carries T²
        values, gradient = values * (weight * temperature**2), gradient.mul_(weight * temperature)
    elif weight * temperature**2 != 1.0:
        values = values * (weight * temperature**2)
    return values, gradient


def weighted_partials(parts: Sequence[Part], log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    """Σ weight·D (n,) and Σ weight·∂D/∂log q (n, K), for distributions over any K outcomes, buckets included."""
    values, gradient = log_q.new_zeros(log_q.shape[0]), torch.zeros_like(log_q)
    for part in parts:
        value, by_log_q = _PARTIALS[part.kind](log_q, log_p, **part.options)
        values += part.weight * value
        gradient.add_(by_log_q, alpha=part.weight)
    return values, gradient


def _tempered(logits: Tensor, temperature: float) -> Tensor:
    scaled = logits if temperature == 1.0 else logits.div_(temperature)
    return scaled.clamp_(min=_SUPPRESSED)


def _forward_kl(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The default objective in few passes: KL = Σ p (t - z) - log Z_p + log Z_q, gradient q - p."""
    q, p = torch.softmax(z, -1), torch.softmax(t, -1)
    normaliser_q, normaliser_p = _log_normaliser(z, q), _log_normaliser(t, p)
    values = torch.linalg.vecdot(p, t.sub_(z)) + normaliser_q - normaliser_p
    return values, q.sub_(p)


def _log_normaliser(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Log Z from the likeliest token, whose probability is at least 1/V: no second pass of exponentials."""
    return logits.amax(-1) - probabilities.amax(-1).log()


# Each: value (n,) and ∂value/∂log q (n, K). log p = -inf or very low counts 0·log 0 = 0 where its weight is 0.


def _forward(log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    p = log_p.exp()
    return (p * _difference(log_p, log_q, p)).sum(-1), p.neg_()


def _reverse(log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    q = log_q.exp()
    ratio = _difference(log_q, log_p, q)
    return (q * ratio).sum(-1), q * (ratio + 1)


def _jsd(log_q: Tensor, log_p: Tensor, beta: float = 0.5) -> tuple[Tensor, Tensor]:
    p, q = log_p.exp(), log_q.exp()
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
    above = _difference(log_q, log_m, q)
    value = beta * (p * _difference(log_p, log_m, p)).sum(-1) + (1 - beta) * (q * above).sum(-1)
    return value, (1 - beta) * q * above


def _skew_forward(log_q: Tensor, log_p: Tensor, alpha: float = 0.1) -> tuple[Tensor, Tensor]:
    if alpha == 0:
        return _forward(log_q, log_p)
    p = log_p.exp()
    log_m = torch.logaddexp(log_p + math.log(alpha), log_q + math.log1p(-alpha))
    # p q / m is at most q / alpha: finite however small m is.
    share = (_difference(log_q, log_m, p)).exp_().mul_(p).mul_(alpha - 1)
    return (p * _difference(log_p, log_m, p)).sum(-1), share


def _skew_reverse(log_q: Tensor, log_p: Tensor, alpha: float = 0.1) -> tuple[Tensor, Tensor]:
    q = log_q.exp()
    mixed = torch.logaddexp(log_p + math.log1p(-alpha), log_q + math.log(alpha)) if alpha else log_p
    ratio = _difference(log_q, mixed, q)
    return (q * ratio).sum(-1), q * (ratio + 1)


def _total_variation(log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    q = log_q.exp()
    apart = q - log_p.exp()
    return 0.5 * apart.abs().sum(-1), 0.5 * apart.sign() * q


def _cross_entropy(log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    p = log_p.exp()
    return -(p * log_q.masked_fill(p == 0, 0)).sum(-1), -p


def _difference(log_a: Tensor, log_b: Tensor, weight: Tensor) -> Tensor:
    """Log a - log b, and 0 where the weight is 0."""
    return (log_a - log_b).masked_fill_(weight == 0, 0)


_PARTIALS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "forward_kl": _forward,
    "reverse_kl": _reverse,
    "jsd": _jsd,
    "skew_forward_kl": _skew_forward,
    "skew_reverse_kl": _skew_reverse,
    "total_variation": _total_variation,
    "cross_entropy": _cross_entropy,
}
assert _PARTIALS.keys() == KINDS.keys()


def options_of(kind: str, beta: float | None, alpha: float | None) -> dict[str, Any]:
    """The options that a kind takes, those that were given. Raises ValueError for one that it does not take."""
    given = {name: value for name, value in (("beta", beta), ("alpha", alpha)) if value is not None}
    check_options(kind, given)
    return given
