"""Calibration error: against a calculation by hand, and on models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.evaluate.calibration import calibration_error, error_of
from potstill.evaluate.fidelity import answer_logits, answer_states, fidelity_figures, measure
from potstill.models.local import LocalModel
from potstill.rendering import Example
from tiny import make_tiny_model


def test_by_hand() -> None:
    # Two bins of 15: three positions near 0.9, of which two hit, and one at 0.5 that does not.
    confidence, hit = np.array([0.9, 0.92, 0.88, 0.5]), np.array([1.0, 1.0, 0.0, 0.0])
    expected = 3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * 0.5
    assert error_of(confidence, hit) == pytest.approx(expected)
    assert error_of(np.ones(3), np.ones(3)) == 0


def test_the_interval_resamples_prompts() -> None:
    rng = np.random.default_rng(0)
    prompts, each = 200, 20
    confidence = rng.uniform(0.2, 1, prompts * each)
    place = np.repeat(np.arange(prompts), each)
    for off, low, high in ((0.0, 0.0, 0.03), (0.15, 0.12, 0.18)):
        hit = (rng.uniform(size=len(confidence)) < confidence - off).astype(float)
        found = calibration_error(confidence, hit, place, resamples=300, seed=0)
        assert found.n == prompts
        assert low <= found.value <= high
        assert found.low < found.value + 1e-9
        assert found.high > off
    whole = calibration_error(confidence, hit, np.zeros_like(place), resamples=300, seed=0)
    assert (whole.value, whole.low, whole.high) == (pytest.approx(found.value), None, None)


def test_positions_of_two_models(tmp_path: Path) -> None:
    student = LocalModel.load(make_tiny_model(tmp_path / "student", layers=1, scale=0.3))
    teacher = LocalModel.load(make_tiny_model(tmp_path / "teacher", layers=2, scale=0.3))
    examples = [Example((5, 6, 7, 8, 9, 10), 2), Example((11, 12, 13, 14), 3)]
    found = measure(student, teacher, examples)
    written = torch.tensor([7, 8, 9, 10, 14])
    for model, confidence, hit in (
        (student, found.confidence, found.hit), (teacher, found.teacher_confidence, found.teacher_hit),
    ):  # fmt: skip
        with torch.no_grad():
            p = torch.softmax(answer_logits(model, answer_states(model, examples)), -1)
        assert torch.allclose(torch.from_numpy(confidence).float(), p.max(-1).values, atol=1e-6)
        assert hit.tolist() == (p.argmax(-1) == written).double().tolist()
    figure = fidelity_figures(found, ["a", "b"], 200, 0)["calibration_error"]
    assert figure.value == pytest.approx(error_of(found.confidence, found.hit))
    assert figure.n == 2
    alone = measure(student, None, examples)
    assert alone.teacher_hit is None
    assert fidelity_figures(alone, ["a", "b"], 200, 0)["calibration_error"].value == pytest.approx(figure.value)
