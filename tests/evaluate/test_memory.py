"""Peak memory of models, each in a process of its own that another has imported for."""

from pathlib import Path

import pytest

from potstill.errors import PotstillError
from potstill.evaluate.speed import peak_memory_bytes
from tiny import make_tiny_model

LEAST = 100e6  # torch alone takes more


def test_each_model_has_a_peak_of_its_own(tmp_path: Path) -> None:
    folders = {
        "teacher": make_tiny_model(tmp_path / "large", layers=4, width=1024),
        "student": make_tiny_model(tmp_path / "small", layers=2, width=16),
    }
    prompts = {name: [[1, 2, 3, 4]] for name in folders}
    peaks = peak_memory_bytes(folders, prompts, 2)
    weights = [(folders[name] / "model.safetensors").stat().st_size for name in ("teacher", "student")]
    # What one model took is not in the other's figure, whichever came first.
    assert peaks["teacher"] - peaks["student"] > (weights[0] - weights[1]) / 2
    assert min(peaks.values()) > LEAST
    again = peak_memory_bytes(dict(reversed(folders.items())), prompts, 2)
    assert again["student"] == pytest.approx(peaks["student"], rel=0.1)


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    folders = {"teacher": make_tiny_model(tmp_path / "tiny", layers=2), "student": tmp_path / "none"}
    with pytest.raises(PotstillError, match=r"memory of the student failed: .*cannot be opened"):
        peak_memory_bytes(folders, {name: [[1, 2, 3, 4]] for name in folders}, 2)
