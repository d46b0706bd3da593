"""Training towards several teachers: the plain mixture, by weight and by tag, live and stored."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_loop import ANSWERS
from torch import Tensor

from potstill.answers import Answer
from potstill.collect.score import score_answers
from potstill.config import SampledSignals, TopKSignals
from potstill.models.local import LocalModel
from potstill.objectives.gradients import Part
from potstill.objectives.mixture import places
from potstill.progress import Silent
from potstill.records import Clearance
from potstill.store.signals import SignalStore
from potstill.train.loop import make_batch
from potstill.train.mixture import (
    live_mixture_targets,
    sampled_mixture_targets,
    top_k_mixture_targets,
)
from potstill.train.module import StudentWithLoss
from potstill.train.targets import Targets, live_targets
from tiny import make_tiny_model

CLEARANCE = Clearance("allowed", "rule", "document", "1", "2025", "teachers")
TAGS = ("sums", "words", None)
TAGGED = [replace(one, tag=TAGS[number % 3]) for number, one in enumerate(ANSWERS)]


def shares(answer: Answer) -> Mapping[str, float]:
    """The first takes part everywhere, each of the others in the answers of its tag."""
    return {"sums": {"a": 0.3, "b": 0.7}, "words": {"c": 1.0}, None: {"a": 0.25, "b": 0.25, "c": 0.5}}[answer.tag]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalModel]:
    shapes: dict[str, dict[str, Any]] = {
        "a": {"layers": 2, "scale": 0.3}, "b": {"layers": 3, "scale": 0.25},
        "c": {"layers": 1, "width": 16, "scale": 0.5},
        "student": {"layers": 1, "scale": 0.2},
    }  # fmt: skip
    return {
        name: LocalModel.load(make_tiny_model(tmp_path_factory.mktemp(name), **one)) for name, one in shapes.items()
    }


def teachers(models: Mapping[str, LocalModel]) -> dict[str, LocalModel]:
    return {name: models[name] for name in "abc"}


def loss_and_gradient(student: LocalModel, targets: Targets, answers: list[Answer]) -> tuple[Tensor, Tensor]:
    module = StudentWithLoss(student.network)
    batch = make_batch(answers, 0, torch.device("cpu"))
    module.zero_grad()
    loss = module(batch, targets(batch))
    loss.backward()
    weight = student.network.get_output_embeddings().weight
    return loss.detach(), weight.grad.clone()


def plain(models: Mapping[str, LocalModel], answers: list[Answer], temperature: float) -> tuple[Tensor, Tensor]:
    """KL from the mixture, answer by answer, with autograd."""
    student = models["student"].network
    student.zero_grad()
    total = torch.zeros(())
    for answer in answers:
        tokens, first = torch.tensor([answer.example.tokens]), answer.example.prompt_length - 1
        with torch.no_grad():
            mixed = sum(
                weight * (models[name].network(tokens).logits[0, first:-1].double() / temperature).softmax(-1)
                for name, weight in shares(answer).items()
            )
        log_q = (student(tokens).logits[0, first:-1].double() / temperature).log_softmax(-1)
        total = total + (mixed * (mixed.log() - log_q)).sum() * temperature**2
    total.backward()
    return total.detach(), student.get_output_embeddings().weight.grad.clone()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_live_mixture_by_weight_and_tag_is_the_plain_one(models: dict[str, LocalModel], temperature: float) -> None:
    width = models["student"].network.config.vocab_size
    targets = live_mixture_targets(teachers(models), shares, [Part("forward_kl")], temperature, width)
    found = loss_and_gradient(models["student"], targets, TAGGED)
    expected = plain(models, TAGGED, temperature)
    torch.testing.assert_close(found[0].double(), expected[0].double(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-3, atol=1e-4)


def test_one_teacher_of_weight_one_is_a_live_teacher(models: dict[str, LocalModel]) -> None:
    width, parts = models["student"].network.config.vocab_size, [Part("jsd", 1.0, {"beta": 0.4})]
    alone = live_mixture_targets({"a": models["a"]}, lambda answer: {"a": 1.0}, parts, 1.5, width)
    found = loss_and_gradient(models["student"], alone, TAGGED)
    expected = loss_and_gradient(models["student"], live_targets(models["a"], parts, 1.5), TAGGED)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_places_follow_the_answers() -> None:
    lengths = [one.example.answer_length for one in TAGGED]
    found = places(lengths, [shares(one) for one in TAGGED])
    assert found["c"][0] == [number for number in range(len(TAGGED)) if number % 3 != 0]
    total = torch.zeros(sum(lengths), dtype=torch.float64)
    for _, place in found.values():
        assert (place.positions.diff() > 0).all()
        total.index_add_(0, place.positions, place.weights)
    torch.testing.assert_close(total, torch.ones(sum(lengths), dtype=torch.float64))


def stores(
    models: Mapping[str, LocalModel], signals: SampledSignals | TopKSignals, folder: Path, seed: int = 0
) -> dict[str, SignalStore]:
    found = {}
    for number, name in enumerate("abc"):
        mine = [one for one in TAGGED if name in shares(one)]
        examples = {one.key: one.example for one in mine}
        binding = score_answers(
            models[name], CLEARANCE, examples, signals, folder / name, Silent(), seed=3 * seed + number
        )
        found[name] = SignalStore(folder / name, binding, {one.key: one.tokens_hash for one in mine})
    return found


def test_stored_samples_equal_the_live_mixture(models: dict[str, LocalModel], tmp_path: Path) -> None:
    width = models["student"].network.config.vocab_size
    live = live_mixture_targets(teachers(models), shares, [Part("forward_kl")], 1.0, width)
    exact, gradient = loss_and_gradient(models["student"], live, TAGGED)
    distances = {}
    for draws in (100, 10000):
        signals = SampledSignals(kind="sampled", draws=draws)
        few = {name: (one, draws) for name, one in stores(models, signals, tmp_path / str(draws)).items()}
        value, found = loss_and_gradient(models["student"], sampled_mixture_targets(few, shares), TAGGED)
        distances[draws] = float((found - gradient).norm() / gradient.norm())
        # Σ w_k KL(P_k‖Q) is the mixture's KL plus what the teachers differ among themselves.
        assert value > exact
    assert distances[100] < 0.2
    assert distances[10000] < 0.005


def test_whole_lists_give_the_gradient_of_the_live_mixture(models: dict[str, LocalModel], tmp_path: Path) -> None:
    width = models["student"].network.config.vocab_size
    live = live_mixture_targets(teachers(models), shares, [Part("forward_kl")], 1.0, width)
    _, gradient = loss_and_gradient(models["student"], live, TAGGED)
    signals = TopKSignals(kind="top_k", k=len(models["a"].tokenizer), bits=16)
    targets = top_k_mixture_targets(stores(models, signals, tmp_path), shares, [Part("forward_kl")])
    _, found = loss_and_gradient(models["student"], targets, TAGGED)
    assert (found - gradient).norm() < 0.01 * gradient.norm()
