"""Two vocabularies over one text: identity, the table's row, a true divergence, exact paths, the gradient of the KL."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from potstill.objectives import KINDS, chunked_sum, per_position
from potstill.objectives.cross_tokenizer import (
    Parts,
    Path,
    Vocabulary,
    class_log_probabilities,
    per_group,
    refine,
    sorted_l1,
    training_terms,
)
from potstill.objectives.head import differentiable

OPTIONS: dict[str, dict[str, Any]] = {
    "jsd": {"beta": 0.3},
    "skew_forward_kl": {"alpha": 0.2},
    "skew_reverse_kl": {"alpha": 0.2},
}
TRUE = [kind for kind in KINDS if kind != "cross_entropy"]


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def one_by_one(tokens: list[int]) -> Path:
    rows = torch.arange(len(tokens))
    return Path(torch.tensor(tokens, dtype=torch.long), rows, rows)


def vocabulary(named: list[int], class_of: list[int]) -> Vocabulary:
    return Vocabulary.of(torch.tensor(named, dtype=torch.long), torch.tensor(class_of))


def same(size: int) -> Vocabulary:
    return vocabulary(list(range(size)), list(range(size)))


NO_SPLIT = torch.zeros(1, dtype=torch.bool)

# A case with everything, in three classes (a, b, end):
#   teacher: 0 "a", 1 "b", 2 "ab" (begins with a), 3 end, 4 an unmatched special token
#   student: 0 end, 1 "a", 2 "b", 3 "bb" (begins with b)
TEACHER = vocabulary([0, 1, 3], [0, 1, 0, 2, 3])
STUDENT = vocabulary([1, 2, 0], [2, 0, 1, 1])


# The text "abbb": teacher ab | b b | end, student a b | bb | end.
OURS = Path(torch.tensor([1, 2, 3, 0]), torch.tensor([0, 0, 1, 2]), torch.tensor([0, 2, 3]))
THEIRS = Path(torch.tensor([2, 1, 1, 3]), torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 3]))
SPLIT = torch.tensor([True, True, False])


def everything(student: Tensor, teacher: Tensor, kind: str) -> Parts:
    return per_group(
        kind,
        refine(student, OURS, STUDENT, SPLIT),
        refine(teacher, THEIRS, TEACHER, SPLIT),
        **OPTIONS.get(kind, {}),
    )


def training_loss(student: Tensor, teacher: Tensor, path: Path = OURS) -> Tensor:
    """The summed training loss of the same text."""
    terms = training_terms(student, path, STUDENT, class_log_probabilities(teacher[THEIRS.first], TEACHER))
    return terms.divergence.sum() + terms.within.sum()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_one_vocabulary_gives_the_dense_objective(kind: str) -> None:
    student, teacher = normal(6, 9), normal(6, 9, seed=1)
    path, split = one_by_one([0, 3, 8, 8, 2, 1]), torch.zeros(6, dtype=torch.bool)
    ours, theirs = (refine(one, path, same(9), split) for one in (student, teacher))
    found = per_group(kind, ours, theirs, **OPTIONS.get(kind, {}))
    expected = per_position(kind, student, teacher, **OPTIONS.get(kind, {}))
    # cross_entropy is no divergence: the two bins of 1e-8 that both sides get add their own entropy to it.
    torch.testing.assert_close(found.matched, expected, rtol=0, atol=1e-5 if kind == "cross_entropy" else 1e-13)
    assert not found.unmatched.any()


def test_training_on_one_vocabulary_is_the_dense_forward_kl() -> None:
    teacher, path = normal(6, 9, seed=1), one_by_one([0, 3, 8, 8, 2, 1])
    results = []
    for dense in (True, False):
        student = normal(6, 9).requires_grad_()
        if dense:
            loss = per_position("forward_kl", student, teacher).sum()
        else:
            terms = training_terms(student, path, same(9), class_log_probabilities(teacher, same(9)))
            assert not terms.within.any()
            loss = terms.divergence.sum()
        results.append((loss.detach(), torch.autograd.grad(loss, student)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-13)


def test_the_tables_row_reports_both_parts() -> None:
    teacher, student = (torch.tensor([one], dtype=torch.float64).log() for one in ([0.7, 0.2, 0.1], [0.1, 0.2, 0.7]))
    path = one_by_one([0])
    apart, together = vocabulary([], [0, 0, 0]), same(3)
    parts = per_group("forward_kl", refine(student, path, apart, NO_SPLIT), refine(teacher, path, apart, NO_SPLIT))
    assert parts.unmatched.item() == pytest.approx(0, abs=1e-12)
    assert parts.matched.item() == pytest.approx(0, abs=1e-12)  # all in one bucket: nothing there can differ
    parts = per_group(
        "forward_kl", refine(student, path, together, NO_SPLIT), refine(teacher, path, together, NO_SPLIT)
    )
    assert parts.matched.item() == pytest.approx(1.1675, abs=5e-5)
    assert parts.unmatched.item() == 0


def test_sorted_l1_is_the_sum_over_sorted_entries_filled_with_zeros() -> None:
    for few, many in ((3, 3), (2, 7), (0, 4), (4, 0), (0, 0)):
        student, teacher = normal(5, few + 1).softmax(-1)[:, :few], normal(5, many + 1, seed=2).softmax(-1)[:, :many]
        width = max(few, many)
        filled = [
            torch.cat([one, one.new_zeros(5, width - one.shape[-1])], -1).sort(-1, descending=True).values
            for one in (student, teacher)
        ]
        expected = (filled[0] - filled[1]).abs().sum(-1)
        torch.testing.assert_close(sorted_l1(student, teacher), expected)
        torch.testing.assert_close(sorted_l1(teacher, student), expected)


def test_classes_and_paths_by_hand() -> None:
    teacher = torch.tensor([[0.3, 0.1, 0.4, 0.15, 0.05], [0.25, 0.6, 0.05, 0.05, 0.05], [0.2, 0.5, 0.1, 0.1, 0.1]])
    student = torch.tensor([[0.1, 0.6, 0.25, 0.05], [0.2, 0.1, 0.5, 0.2]])
    split = torch.tensor([True])
    ours = Path(torch.tensor([1, 2]), torch.tensor([0, 0]), torch.tensor([0]))  # a b
    theirs = Path(torch.tensor([2, 1, 0]), torch.tensor([0, -1, -1]), torch.tensor([0]))  # ab; other rows are not ours
    found = refine(teacher.log(), theirs, TEACHER, split)
    torch.testing.assert_close(found.path.exp(), torch.tensor([0.4]))
    # a (without the path), b, end, the rest, the path
    torch.testing.assert_close(found.log_probabilities.exp(), torch.tensor([[0.3, 0.1, 0.15, 0.05, 0.4]]))
    torch.testing.assert_close(found.unmatched, torch.tensor([[0.0, 0.05]]))
    found = refine(student.log(), ours, STUDENT, split)
    torch.testing.assert_close(found.path.exp(), torch.tensor([0.6 * 0.5]))
    expected = torch.tensor([[0.6 - 0.3, 0.25 + 0.05, 0.1, 0.0, 0.3]])
    torch.testing.assert_close(found.log_probabilities.exp(), expected, atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(found.unmatched, torch.tensor([[0.05]]))


@pytest.mark.parametrize("kind", TRUE)
@pytest.mark.parametrize("scale", [0.1, 1.0, 6.0])
def test_never_negative_and_finite(kind: str, scale: float) -> None:
    for seed in range(20):
        student = normal(4, 4, seed=seed, scale=scale).float().requires_grad_()
        parts = everything(student, normal(4, 5, seed=100 + seed, scale=scale).float(), kind)
        (parts.matched.sum() + parts.unmatched.sum()).backward()
        assert parts.matched.min() > -2e-6
        assert parts.unmatched.min() >= 0
        assert parts.matched.isfinite().all()
        assert student.grad is not None
        assert student.grad.isfinite().all()


def test_certain_models_stay_finite() -> None:
    """A path with all of the mass leaves nothing of its class, and a suppressed token has no probability at all."""
    student = torch.full((4, 4), -60.0).scatter(1, torch.tensor([[1], [2], [3], [0]]), 60.0).requires_grad_()
    teacher = torch.full((4, 5), -60.0).scatter(1, torch.tensor([[2], [1], [1], [3]]), 60.0)
    teacher[:, 4] = -math.inf
    for one, other in ((teacher, student), (torch.zeros(4, 5), student)):
        parts = everything(other, one, "forward_kl")
        (gradient,) = torch.autograd.grad(parts.matched.sum() + parts.unmatched.sum(), other)
        assert parts.matched.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"skew_reverse_kl"}))  # which holds its mixture constant
def test_gradients_match_finite_differences(kind: str) -> None:
    teacher = normal(4, 5, seed=7)

    def both(student: Tensor) -> tuple[Tensor, Tensor]:
        parts = everything(student, teacher, kind)
        return parts.matched, parts.unmatched

    assert torch.autograd.gradcheck(both, normal(4, 4, seed=8).requires_grad_())


def test_the_same_texts_in_other_tokens_are_at_no_distance() -> None:
    """Texts of a, b and end in which a teacher's "ab" is one token, so that no b follows its a.

    A student by the letter that writes them with the same probabilities differs in every token, and it does not matter.
    """
    a, b, ab, end = 0.3, 0.2, 0.35, 0.15
    b_after_a = ab / (a + ab)
    teacher = torch.tensor([[a, b, ab, end, 1e-30]], dtype=torch.float64).log()
    start = [end, a + ab, b, 1e-30]
    student = torch.tensor(
        [start, [(1 - b_after_a) / 2, (1 - b_after_a) / 2, b_after_a, 1e-30]], dtype=torch.float64
    ).log()
    split = torch.tensor([True])
    ours = refine(student, Path(torch.tensor([1, 2]), torch.tensor([0, 0]), torch.tensor([0])), STUDENT, split)
    theirs = refine(teacher, one_by_one([2]), TEACHER, split)
    assert per_group("forward_kl", ours, theirs).matched.item() == pytest.approx(0, abs=1e-9)
    # Where the next token is a plain b, a and ab count together.
    ours = refine(student[:1], one_by_one([2]), STUDENT, NO_SPLIT)
    theirs = refine(teacher, one_by_one([1]), TEACHER, NO_SPLIT)
    assert per_group("forward_kl", ours, theirs).matched.item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_is_at_no_distance_from_itself(dtype: torch.dtype) -> None:
    logits = normal(5, 40).to(dtype)
    path, split = one_by_one([1, 2, 3, 4, 5]), torch.zeros(5, dtype=torch.bool)
    found = refine(logits, path, same(40), split)
    assert per_group("forward_kl", found, found).matched.abs().max() < 1e-4


def test_no_group_gives_zero_with_a_gradient_path() -> None:
    none, split = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.bool)
    for rows in (0, 2):  # two rows without a group: tokens that only one side has
        student = torch.zeros(rows, 4, requires_grad=True)
        path = Path(torch.zeros(rows, dtype=torch.long), torch.full((rows,), -1), none)
        teacher = refine(torch.zeros(0, 5), Path(none, none, none), TEACHER, split)
        parts = per_group("forward_kl", refine(student, path, STUDENT, split), teacher)
        terms = training_terms(student, path, STUDENT, class_log_probabilities(torch.zeros(0, 5), TEACHER))
        for loss in (parts.matched.sum() + parts.unmatched.sum(), terms.divergence.sum() + terms.within.sum()):
            (gradient,) = torch.autograd.grad(loss, student)
            assert loss.item() == 0
            assert not gradient.any()


def test_training_gradients_match_finite_differences() -> None:
    teacher = normal(4, 5, seed=7)
    assert torch.autograd.gradcheck(
        lambda student: training_loss(student, teacher), normal(4, 4, seed=8).requires_grad_()
    )


def test_training_is_never_negative() -> None:
    for seed in range(20):
        terms = training_terms(
            normal(4, 4, seed=seed, scale=4.0).float(), OURS, STUDENT,
            class_log_probabilities(normal(3, 5, seed=100 + seed, scale=4.0).float(), TEACHER),
        )  # fmt: skip
        assert terms.divergence.min() > -2e-6
        # A group's tokens together: the class is given back at the first of them.
        assert torch.zeros(3).index_add(0, OURS.group, terms.within).min() > -2e-6


@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
def test_any_chunk_of_rows_gives_the_same(chunk: int) -> None:
    hidden, weight, teacher = normal(4, 3, seed=3), normal(4, 3, seed=4), normal(4, 5, seed=5)
    classes = class_log_probabilities(teacher[THEIRS.first], TEACHER)

    def loss(logits: Tensor, start: int, stop: int) -> Tensor:
        here = (OURS.first >= start) & (OURS.first < stop)
        part = Path(OURS.tokens[start:stop], OURS.group[start:stop], OURS.first[here] - start)
        terms = training_terms(logits, part, STUDENT, classes[here])
        return terms.divergence.sum() + terms.within.sum()

    results = []
    for chunked in (True, False):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        total = (
            chunked_sum(h, w, None, differentiable(loss), chunk=chunk, block=chunk)
            if chunked
            else training_loss(h @ w.T, teacher)
        )
        total.backward()
        results.append((total.detach(), h.grad, w.grad))
    torch.testing.assert_close(results[0], results[1])


def test_in_expectation_the_gradient_is_that_of_the_kl_between_texts() -> None:
    """All texts of one teacher token and the end, against a student by the letter: summed up, no draw is left out."""
    p = torch.tensor([0.3, 0.2, 0.35, 0.15], dtype=torch.float64)  # a, b, ab, nothing: then the end, for certain
    logits = {state: normal(1, 4, seed=seed) for seed, state in enumerate(("", "a", "b", "ab"))}
    texts = ("a", "b", "ab", "")
    letters = {"a": 1, "b": 2}
    start, end = torch.cat([p, p.new_tensor([1e-30])]).log(), p.new_tensor([1e-30, 1e-30, 1e-30, 1, 1e-30]).log()

    def log_q(state: str) -> Tensor:
        return logits[state].log_softmax(-1)[0]

    def written(text: str) -> Tensor:
        steps = [log_q(text[:at])[letters[letter]] for at, letter in enumerate(text)]
        return torch.stack([*steps, log_q(text)[0]]).sum()

    def loss(text: str) -> Tensor:
        rows = torch.cat([logits[text[:at]] for at in range(len(text) + 1)])
        groups = [0] * len(text) + [1 if text else 0]
        path = Path(
            torch.tensor([*(letters[letter] for letter in text), 0]), torch.tensor(groups),
            torch.tensor([0, len(text)] if text else [0]),
        )  # fmt: skip
        teacher = torch.stack([start, end] if text else [start])
        terms = training_terms(rows, path, STUDENT, class_log_probabilities(teacher, TEACHER))
        return terms.divergence.sum() + terms.within.sum()

    for one in logits.values():
        one.requires_grad_()
    between_texts = torch.stack([p[at] * (p[at].log() - written(text)) for at, text in enumerate(texts)]).sum()
    expected = torch.autograd.grad(between_texts, list(logits.values()))
    found = torch.autograd.grad(
        torch.stack([p[at] * loss(text) for at, text in enumerate(texts)]).sum(), list(logits.values())
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-8)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no objective is called"):
        everything(normal(4, 4), normal(4, 5), "kl")
