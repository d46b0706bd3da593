"""Fixtures of stages that run in rooms that do next to nothing."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rooms import RECIPE, WORDS, Rooms

from potstill.config import Recipe, recipe_from


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fsync guards against, a power cut, no test can see; without it the tests take a third of the time."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Rooms:
    made = Rooms()
    for name in ("collect", "train", "evaluate"):
        module = ModuleType(f"potstill.{name}")
        setattr(module, name, getattr(made, name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    screening = ModuleType("potstill.collect.screening")
    screening.screen = made.screen
    monkeypatch.setitem(sys.modules, screening.__name__, screening)
    monkeypatch.setattr("potstill.export.export", made.export)
    return made


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """Makes the small recipe, with sections replaced."""
    lines = [json.dumps({"prompt": word}) for word in WORDS]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def make(**sections: Any) -> Recipe:
        return recipe_from({**RECIPE, **sections}, tmp_path, "recipe.yaml")

    return make
