"""A mixture of teachers against dense autograd in fp64: weights, positions of each, temperatures, stored signals."""

import pytest
import torch
from torch import Tensor

from potstill.objectives import KINDS, per_position
from potstill.objectives.gradients import Part
from potstill.objectives.head import chunked_sum
from potstill.objectives.mixture import Member, Place, mixed_samples, mixed_top_k_loss, mixture_logits
from potstill.objectives.packed import Samples, TopK, dense_loss, sampled_loss, top_k_loss
from potstill.objectives.transform import IDENTITY, LogitTransform
from potstill.store.signals import encode_sampled, encode_top_k

N, D, V = 7, 5, 11
# Which of N positions each of three teachers takes part in, with what weight: everywhere, by "tag", and mixed with one.
WEIGHTS = torch.tensor(
    [[0.5, 0.5, 0], [0.5, 0.5, 0], [1, 0, 0], [0.2, 0.3, 0.5], [0, 0, 1], [0, 0.9, 0.1], [0.25, 0, 0.75]],
    dtype=torch.float64,
)  # fmt: skip
OPTIONS = {"jsd": {"beta": 0.3}, "skew_forward_kl": {"alpha": 0.2}, "skew_reverse_kl": {"alpha": 0.2}}


def tensors() -> tuple[Tensor, Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64) * scale

    return draw(N, D), draw(V, D), [draw(N, V, scale=2.0) for _ in range(3)]


def place(number: int) -> Place:
    positions = WEIGHTS[:, number].nonzero().flatten()
    return Place(positions, WEIGHTS[positions, number])


def members(teachers: list[Tensor], transform: LogitTransform = IDENTITY) -> list[Member]:
    def member(number: int) -> Member:
        mine = place(number)
        outputs = teachers[number][mine.positions]
        return Member(mine, lambda low, high: outputs[low:high], transform)

    return [member(number) for number in range(3)]


def mixed(teachers: list[Tensor], temperature: float = 1.0) -> Tensor:
    """Σ w_k softmax(z_k / T), the plain way."""
    return sum(WEIGHTS[:, k, None] * (one / temperature).softmax(-1) for k, one in enumerate(teachers))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("temperature", [1.0, 2.5, 0.7])
@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_a_live_mixture_equals_dense_autograd(kind: str, temperature: float, chunk: int) -> None:
    hidden, weight, teachers = tensors()
    options = OPTIONS.get(kind, {})
    results = []
    for chunked in (True, False):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        if chunked:
            logits = mixture_logits(members(teachers), V, temperature)
            loss = dense_loss([Part(kind, 1.0, options)], logits, temperature)
            total = chunked_sum(h, w, None, loss, chunk=chunk, block=2)
        else:
            # softmax(T·log P / T) is P: logits of the mixture at this temperature, for the plain definition.
            logits_of_mixture = mixed(teachers, temperature).log() * temperature
            total = per_position(kind, h @ w.T, logits_of_mixture, temperature=temperature, **options).sum()
        total.backward()
        results.append((total.detach(), h.grad, w.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_each_teachers_logits_are_divided_before_they_are_mixed() -> None:
    _, _, teachers = tensors()
    found = mixture_logits(members(teachers), V, 3.0)(0, N)
    torch.testing.assert_close((found / 3.0).softmax(-1), mixed(teachers, 3.0))
    assert not torch.allclose((found / 3.0).softmax(-1), (mixed(teachers).log() / 3.0).softmax(-1))


def test_padding_is_cut_before_anything_is_normalised() -> None:
    _, _, teachers = tensors()
    padded = [torch.nn.functional.pad(one, (0, 2 * k), value=9.0) for k, one in enumerate(teachers)]
    torch.testing.assert_close(mixture_logits(members(padded), V)(0, N).exp(), mixed(teachers))


def test_scales_and_caps_come_first() -> None:
    _, _, teachers = tensors()
    shape = LogitTransform(1.5, 2.0)
    found = mixture_logits(members(teachers, shape), V)(2, 6)
    torch.testing.assert_close(found.exp(), mixed([shape(one) for one in teachers])[2:6])


def test_a_token_that_no_teacher_can_take_stays_impossible() -> None:
    _, _, teachers = tensors()
    for one in teachers:
        one[:, 4] = -torch.inf
    found = mixture_logits(members(teachers), V)(0, N)
    assert found[:, 4].isneginf().all()
    assert not found.isnan().any()


def test_a_position_without_a_teacher_is_an_error_not_a_number() -> None:
    _, _, teachers = tensors()
    with pytest.raises(ValueError, match="have no teacher"):
        mixture_logits(members(teachers)[2:], V)(0, 2)


def stored(teachers: list[Tensor], draws: int, generator: torch.Generator) -> Samples:
    parts = []
    for number, one in enumerate(teachers):
        mine = place(number)
        uniform = torch.rand(len(mine.positions), generator=generator, dtype=torch.float64)
        found = encode_sampled(one[mine.positions], uniform, draws)
        starts = torch.cat([torch.zeros(1, dtype=torch.long), found.lengths.cumsum(0)])
        parts.append((mine, Samples(found.ids, found.counts.double() / draws, starts, found.entropy.double())))
    return mixed_samples(parts, N)


def test_samples_of_several_teachers_are_unbiased_over_repeats() -> None:
    hidden, weight, teachers = tensors()
    values, gradients = [], []
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        h = hidden.clone().requires_grad_()
        total = chunked_sum(h, weight, None, sampled_loss(stored(teachers, 7, generator)), chunk=3, block=2)
        total.backward()
        values.append(total.detach())
        assert h.grad is not None
        gradients.append(h.grad)
    h = hidden.clone().requires_grad_()
    log_q = (h @ weight.T).log_softmax(-1)
    by_teacher = sum(
        (WEIGHTS[:, k] * per_position("forward_kl", h @ weight.T, one)).sum() for k, one in enumerate(teachers)
    )
    exact = -(mixed(teachers) * log_q).sum()  # the mixture's cross-entropy: its KL but for a constant
    (gradient,) = torch.autograd.grad(exact, h)
    mean, spread = torch.stack(gradients).mean(0), torch.stack(gradients).std(0) / 400**0.5
    assert ((mean - gradient).abs() < 5 * spread + 1e-6).all()
    value, error = torch.stack(values).mean(), torch.stack(values).std() / 400**0.5
    assert abs(value - by_teacher.detach()) < 5 * error + 1e-3


def test_samples_say_that_each_positions_weights_sum_to_one() -> None:
    _, _, teachers = tensors()
    found = stored(teachers, 50, torch.Generator().manual_seed(1))
    sums = torch.zeros(N, dtype=torch.float64).index_add_(
        0, torch.repeat_interleave(torch.arange(N), found.starts.diff()), found.weights
    )
    torch.testing.assert_close(sums, torch.ones(N, dtype=torch.float64))


@pytest.mark.parametrize("k", [3, V])
def test_lists_of_several_teachers_add_their_divergences(k: int) -> None:
    hidden, weight, teachers = tensors()
    lists, expected = [], torch.zeros((), dtype=torch.float64)
    h = hidden.clone().requires_grad_()
    for number, one in enumerate(teachers):
        mine = place(number)
        found = encode_top_k(one[mine.positions], k)
        top = TopK(found.ids, found.log_probabilities.double(), found.tail.double())
        lists.append((mine, top))
        for at, position in enumerate(mine.positions.tolist()):
            alone = TopK(*(column[at : at + 1] for column in top))
            value = chunked_sum(h[position : position + 1], weight, None, top_k_loss([Part("forward_kl")], alone))
            expected = expected + mine.weights[at] * value
    expected.backward()
    again = hidden.clone().requires_grad_()
    total = chunked_sum(again, weight, None, mixed_top_k_loss([Part("forward_kl")], lists), chunk=3, block=2)
    total.backward()
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(again.grad, h.grad)
    if k == V:  # whole distributions: the gradient is that of KL from the mixture
        dense = hidden.clone().requires_grad_()
        per_position("forward_kl", dense @ weight.T, mixed(teachers).log()).sum().backward()
        torch.testing.assert_close(again.grad, dense.grad, atol=1e-5, rtol=1e-5)
