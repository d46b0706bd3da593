"""lm-eval in plans and runs: what is missing is said before anything is asked, and what redoes the evaluation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval_stand_in import interpreter
from rooms import Lines

from potstill.config import Recipe
from potstill.errors import RecipeError
from potstill.run import plan, run_recipe
from potstill.run.stages import STAGES, perform

Make = Callable[..., Recipe]


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return interpreter(tmp_path)


def asking(recipe: Make, python: Path | str, *tasks: str, **more: Any) -> Recipe:
    return recipe(evaluate={"lm_eval": {"tasks": list(tasks), "python": str(python), **more}})


def test_what_is_missing_stops_plan_and_run(recipe: Make, python: Path, tmp_path: Path) -> None:
    without = asking(recipe, "/bin/false", "odd")
    with pytest.raises(RecipeError, match="has no lm-eval; install it"):
        plan(without, tmp_path / "run")
    for wrong, words in ((without, "has no lm-eval"), (asking(recipe, python, "even"), "has no task even")):
        with pytest.raises(RecipeError, match=words):
            run_recipe(wrong, tmp_path / "run")
        assert not (tmp_path / "run" / "answers.sqlite").exists()
    with pytest.raises(RecipeError, match="has no lm-eval"):  # where it was added after the prompts
        perform("train", without, tmp_path / "run", Lines())
    lines = Lines()
    run_recipe(asking(recipe, python, "odd"), tmp_path / "run", "prompts", lines)
    assert "lm-eval 0.4.13 knows odd" in lines.said


def test_other_tasks_redo_the_evaluation_alone(recipe: Make, python: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "odd.yaml").write_text("task: odd")

    def reads(one: Recipe) -> dict[str, Any]:
        found = {stage.name: stage.reads(one) for stage in STAGES}
        del found["export"]  # which tells of the whole recipe
        return found

    first = asking(recipe, python, "odd", include_path="tasks")
    before, none = reads(first), reads(recipe())
    assert reads(asking(recipe, "/elsewhere", "odd", include_path="tasks", batch_size=2)) == before
    (tasks / "odd.yaml").write_text("task: even")
    for after in (reads(first), none, reads(asking(recipe, python, "odd", "say_it", include_path="tasks"))):
        assert [name for name in before if after[name] != before[name]] == ["evaluate"]
    assert "lm_eval" not in none["evaluate"]
    assert "lm_eval" not in none["evaluate"]["evaluate"]
