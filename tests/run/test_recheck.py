"""What verify says of a run under the rules of today."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rooms import Rooms

from potstill.cli import main
from potstill.config import Recipe
from potstill.run import run_recipe
from potstill.run.recheck import recheck
from potstill.terms import Decision, decide

Make = Callable[..., Recipe]


def test_a_run_that_would_still_be_cleared(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    found = recheck(run_recipe(recipe(), tmp_path / "run"))
    assert found.cleared is True
    assert found.lines[0].startswith("terms: the teacher's terms would still clear this run today: rule apache-2.0")


def stricter(recipe: Recipe, *given: Any) -> Decision:
    """The gate as it would be with a rule that has changed since."""
    from dataclasses import replace

    return replace(
        decide(recipe), cleared=False, rule="newer-terms", verdict="prohibited", reason="They forbid it now."
    )


def test_rules_that_became_stricter_are_told_and_fail_only_when_asked(
    rooms: Rooms, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    monkeypatch.setattr("potstill.run.recheck.decide", stricter)
    found = recheck(folder)
    assert found.cleared is False
    assert "WOULD STOP this run today: rule newer-terms, verdict prohibited" in found.lines[0]
    assert "They forbid it now." in found.lines[0]
    assert "it was rule apache-2.0, verdict allowed" in found.lines[1]
    for words, code in (((), 0), (("--terms",), 4)):
        with pytest.raises(SystemExit) as ended:
            main(["verify", str(folder), *words])
        assert ended.value.code == code
    assert "not cleared under today's rules" in capsys.readouterr().err


def test_a_teacher_whose_folder_is_gone_is_said(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "config.json").write_text("{}")
    made = recipe(teacher={"model": "path:teacher", "license": "apache-2.0"})
    folder = run_recipe(made, tmp_path / "run")
    assert recheck(folder).cleared is True
    (tmp_path / "teacher" / "config.json").unlink()
    (tmp_path / "teacher").rmdir()
    found = recheck(folder)
    assert found.cleared is None
    assert "cannot be told" in found.lines[0]
    assert str(tmp_path / "teacher") in found.lines[0]
