"""Pruning keeps the layers that matter, and what is left is an ordinary smaller model."""

import copy
from pathlib import Path

import pytest
import torch

from potstill.models.local import LocalModel
from potstill.models.prefix import hidden_states, right_pad
from potstill.objectives import per_position
from potstill.rendering import Example
from potstill.students.build import save_student
from potstill.students.layers import decoder_layers, keep_layers
from potstill.students.prune import calibration_set, choose_layers
from tiny import make_tiny_model

PREFIX = tuple(range(20, 36))
EXAMPLES = [
    Example((*PREFIX, 60, 61, 62, 63), 18),
    Example((*PREFIX, 64, 65, 66), 17),
    Example((*PREFIX, 70, 71, 72, 73, 74), 18),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel.load(make_tiny_model(tmp_path_factory.mktemp("deep"), layers=5, scale=0.3))


def dense_kl(model: LocalModel, kept: list[int]) -> float:
    """KL by plain forward passes, one padded batch, without any of the shortcuts."""
    student = copy.deepcopy(model.network)
    keep_layers(student, kept)
    tokens = right_pad([one.tokens for one in EXAMPLES], 1)
    total, positions = 0.0, 0
    with torch.inference_mode():
        p = model.network.lm_head(hidden_states(model.network, tokens)[0])
        q = student.lm_head(hidden_states(student, tokens)[0])
        for row, one in enumerate(EXAMPLES):
            span = slice(one.prompt_length - 1, len(one.tokens) - 1)
            total += float(per_position("forward_kl", q[row, span], p[row, span]).sum())
            positions += one.answer_length
    return total / positions


def test_greedy_choice_is_the_one_that_plain_passes_make(model: LocalModel) -> None:
    kept, history = choose_layers(model.network, EXAMPLES, 3, candidates=None)
    expected = list(range(5))
    for found in history:
        trials = {layer: dense_kl(model, [one for one in expected if one != layer]) for layer in expected}
        cheapest = min(trials, key=trials.__getitem__)
        assert found == pytest.approx(trials[cheapest], abs=1e-4)
        expected.remove(cheapest)
    assert kept == expected


def test_a_useless_layer_goes_first(model: LocalModel) -> None:
    spoilt = copy.deepcopy(model.network)
    layer = decoder_layers(spoilt)[2]
    with torch.no_grad():
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    kept, history = choose_layers(spoilt, EXAMPLES, 4)
    assert kept == [0, 1, 3, 4]
    assert history == [pytest.approx(0, abs=1e-5)]


def test_few_candidates_still_give_the_asked_number(model: LocalModel) -> None:
    kept, history = choose_layers(model.network, EXAMPLES, 2, candidates=2)
    assert len(kept) == 2
    assert len(history) == 3


def test_the_student_opens_again_and_generates_the_same(model: LocalModel, tmp_path: Path) -> None:
    network = copy.deepcopy(model.network)
    keep_layers(network, [0, 2, 4])
    student = LocalModel(network, model.tokenizer, model.identity)
    save_student(student, tmp_path / "student")
    opened = LocalModel.load(tmp_path / "student")
    assert opened.network.config.num_hidden_layers == 3
    prompt = list(EXAMPLES[0].tokens)
    assert opened.generate([prompt], max_new_tokens=8, temperature=0, seeds=[0]) == student.generate(
        [prompt], max_new_tokens=8, temperature=0, seeds=[0]
    )


def test_calibration_takes_about_the_asked_number_of_answer_tokens() -> None:
    many = EXAMPLES * 40
    chosen = calibration_set(many, 60)
    assert 40 <= sum(one.answer_length for one in chosen) <= 80
    assert calibration_set(EXAMPLES, 1) == EXAMPLES[:1]
