"""A tiny teacher, in a folder that a server can serve and loaded."""

from pathlib import Path

import pytest

from potstill.models.local import LocalModel
from tiny import make_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("teacher"), layers=2, scale=0.3)


@pytest.fixture(scope="module")
def teacher(folder: Path) -> LocalModel:
    return LocalModel.load(folder)
