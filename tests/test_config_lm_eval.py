"""The recipe's `evaluate.lm_eval:`, and conditions on its figures."""

from pathlib import Path
from typing import Any

import pytest

from potstill.config import recipe_from
from potstill.errors import RecipeError

SMALLEST: dict[str, Any] = {
    "name": "small", "teacher": {"model": "path:./t"}, "prompts": {"source": "p.jsonl"},
    "student": {"kind": "pruned", "keep_layers": 2},
}  # fmt: skip
TASKS = {"tasks": ["arc_easy"], "include_path": "tasks", "python": "bin/python"}


def test_paths_and_conditions() -> None:
    accept = {"retention.lm_eval.arc_easy.acc": ">= 0.9", "lm_eval.arc_easy.acc,none": ">= 0.2"}
    recipe = recipe_from({**SMALLEST, "evaluate": {"lm_eval": TASKS}, "accept": accept}, Path("/base"), "recipe.yaml")
    section = recipe.evaluate.lm_eval
    assert section is not None
    assert (section.include_path, section.python) == (Path("/base/tasks"), Path("/base/bin/python"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluate": {"lm_eval": {"tasks": []}}}, "evaluate.lm_eval.tasks"),
        ({"evaluate": {"lm_eval": {"tasks": ["a,b"]}}}, "'a,b' is no name of a task"),
        ({"evaluate": {"lm_eval": {"tasks": ["a", "a"]}}}, "one stands there twice"),
        ({"accept": {"lm_eval.arc_easy.acc": ">= 0.2"}}, "the recipe has no evaluate.lm_eval"),
        ({"accept": {"lm_evil.arc_easy.acc": ">= 0.2"}}, "no figure is called"),
    ],
)
def test_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from({**SMALLEST, **changes}, Path("/base"), "recipe.yaml")
    assert words in str(caught.value)
