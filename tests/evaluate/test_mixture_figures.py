"""Fidelity against several teachers: each answer's own mixture, the same figures by the plain definition."""

from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.evaluate.fidelity import measure
from potstill.evaluate.mixture import Mixture
from potstill.evaluate.reporting.sections import comparison_note
from potstill.models.local import LocalModel
from potstill.rendering import Example
from tiny import make_tiny_model

EXAMPLES = [Example((*range(20, 32), *range(40, 44 + 3 * number), 1), 12) for number in range(20)]  # over one round
SHARES = [({"teacher": 0.25, "b": 0.75}, {"b": 1.0}, {"teacher": 1.0})[number % 3] for number in range(len(EXAMPLES))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalModel]:
    def make(name: str, layers: int, scale: float) -> LocalModel:
        folder: Path = make_tiny_model(tmp_path_factory.mktemp(name), layers=layers, scale=scale)
        return LocalModel.load(folder)

    return {"teacher": make("a", 2, 0.3), "b": make("b", 3, 0.25), "student": make("s", 1, 0.2)}


def test_every_answer_is_measured_against_its_own_mixture(models: dict[str, LocalModel]) -> None:
    teachers = {name: models[name] for name in ("teacher", "b")}
    found = measure(models["student"], Mixture(teachers, SHARES), EXAMPLES)
    kl, apart, log_p = [], [], []
    for example, shares in zip(EXAMPLES, SHARES, strict=True):
        tokens, first = torch.tensor([example.tokens]), example.prompt_length - 1
        with torch.inference_mode():
            p, q = (
                sum(
                    weight * models[name].network(tokens).logits[0, first:-1].double().softmax(-1)
                    for name, weight in who.items()
                )
                for who in (shares, {"student": 1.0})
            )
        assert isinstance(p, torch.Tensor)
        assert isinstance(q, torch.Tensor)
        kl.append((p * (p.log() - q.log())).sum(-1))
        apart.append(0.5 * (p - q).abs().sum(-1))
        log_p.append(p.log().gather(-1, tokens[0, first + 1 :, None]).squeeze(-1))
    for values, expected in ((found.kl, kl), (found.total_variation, apart), (found.log_p, log_p)):
        assert values is not None
        np.testing.assert_allclose(values, torch.cat(expected).numpy(), atol=2e-5)


def test_one_teacher_of_weight_one_is_that_teacher(models: dict[str, LocalModel]) -> None:
    teachers = {"teacher": models["teacher"]}
    mixed = measure(models["student"], Mixture(teachers, [{"teacher": 1.0}] * len(EXAMPLES)), EXAMPLES)
    alone = measure(models["student"], models["teacher"], EXAMPLES)
    assert mixed.kl is not None
    assert alone.kl is not None
    np.testing.assert_allclose(mixed.kl, alone.kl, atol=1e-5)


def test_the_report_says_what_the_figures_are_against() -> None:
    teachers = {
        "teacher": {"reference": "path:a", "weight": 1.0, "tags": []},
        "code": {"reference": "path:b", "weight": 2.5, "tags": ["code", "tests"]},
    }
    note = comparison_note({"tokenizers": "same", "unit": "token", "teachers": teachers})
    assert note is not None
    for words in (
        "the first teacher (path:a), weight 1, in every prompt",
        "teacher code (path:b), weight 2.5, in prompts tagged code or tests",
        "the mixture of each prompt's teachers",
        "relative to the first one",
    ):
        assert words in note
