"""Every recipe in recipes/ runs whole, with tiny models in the place of its own."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from commands import finish
from serving import serving
from test_run import WORDS

from potstill.config import load_recipe
from potstill.run import verify
from tiny import HALF_CHARACTERS, make_tiny_model
from tokenizing import byte_level, model_folder

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
LAYERS = 4


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("teacher"), layers=LAYERS, scale=0.2)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("second"), layers=2, scale=0.2, width=16)


@pytest.fixture(scope="module")
def bytewise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("bytewise"), byte_level(258))


def shrunk(recipe: dict[str, Any], teacher: Path, base_url: str | None, second: Path, bytewise: Path) -> dict[str, Any]:
    """The recipe as it is written, but for the models and what would take long; what it is an example of stays."""
    recipe["prompts"] |= {"source": "prompts.jsonl", "holdout": 0.2}
    recipe["collect"] |= {"max_new_tokens": 10, "batch_size": 4, "train_on_truncated": True}
    recipe["train"] |= {"tokens_per_batch": 200, "epochs": 1, "checkpoint_every_s": 0}
    judge = recipe.get("evaluate", {}).get("judge")
    recipe["evaluate"] = {"resamples": 200, "speed_prompts": 2, "speed_new_tokens": 4}
    recipe["accept"] = {}
    if judge is not None:
        judges = [one | {"model": f"path:{second}", "license": "apache-2.0"} for one in judge["judges"]]
        recipe["evaluate"]["judge"] = judge | {"judges": judges, "max_new_tokens": 3}
    if base_url is None:
        recipe["teacher"] |= {"model": f"path:{teacher}", "license": "apache-2.0"}
    else:
        recipe["teacher"]["endpoint"] |= {"base_url": base_url, "model": "tiny"}
        if "signals" in recipe["collect"]:  # random bytes are no text, and lists belong to text
            biases = {str(token): -100 for token in HALF_CHARACTERS}
            recipe["teacher"]["endpoint"]["extra_body"]["logit_bias"] = biases
    recipe.get("screen", {}).pop("languages", None)  # a tiny model writes none
    for one in recipe.get("more_teachers", ()):
        one |= {"model": f"path:{second}", "license": "apache-2.0"}
    if recipe["student"]["kind"] == "pruned":
        recipe["student"]["keep_layers"] = 2
    elif recipe["student"]["kind"] == "model":
        across = recipe["train"].get("cross_tokenizer", False)
        recipe["student"]["model"] = f"path:{bytewise if across else teacher}"
    if (matching := recipe["train"].get("hidden_states")) and "pairs" in matching:
        matching["pairs"] = [[2, LAYERS]]
    if on_policy := recipe["train"].get("on_policy"):
        on_policy["max_new_tokens"] = 5
    return recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(path: Path, teacher: Path, second: Path, bytewise: Path, tmp_path: Path) -> None:
    assert load_recipe(path).prompts.source.is_file()
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    (tmp_path / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": f"{one}{two}"}) + "\n" for one in WORDS for two in ("", " stand"))
    )
    with ExitStack() as stack:
        served = "endpoint" in recipe["teacher"]
        base_url = stack.enter_context(serving(teacher, "tiny")) if served else None
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(shrunk(recipe, teacher, base_url, second, bytewise)))
        finish(tmp_path / "recipe.yaml", tmp_path / "run")
    assert verify(tmp_path / "run") == []
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines
    if "on_policy" in recipe["train"]:
        assert sum(line["rollouts"] for line in lines) > 0
        if served:
            facts = json.loads((tmp_path / "run" / "stages" / "train.json").read_text())["facts"]
            assert facts["scoring_requests"] == sum(line["scoring_requests"] for line in lines) > 0
            assert facts["scoring_cost_usd"] == 0
    elif served and "signals" in recipe["collect"]:
        facts = json.loads((tmp_path / "run" / "stages" / "train.json").read_text())["facts"]
        assert facts["lists"]["with_list"] > 0.9 * facts["lists"]["positions"] > 0
        assert facts["lists"]["tokens_shared"] > 0.95
        assert list((tmp_path / "run" / "signals").glob("*.signals"))
    if "screen" in recipe:
        rows = pq.read_table(tmp_path / "run" / "screening.parquet").num_rows
        assert rows == recipe["collect"]["answers_per_prompt"] * 2 * len(WORDS)
    if "more_teachers" in recipe:
        names = {"teacher", *(one["name"] for one in recipe["more_teachers"])}
        assert {one.parent.name for one in (tmp_path / "run" / "signals").rglob("*.signals")} == names
    if "judge" in recipe.get("evaluate", {}):
        evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
        assert evaluation["figures"]["judge.unusable"]["value"] == 1  # a tiny model talks nonsense, and it is counted
        assert evaluation["judge"]["judges"][0]["replies"] > 0
        assert "Replies without a verdict" in (tmp_path / "run" / "report.html").read_text()
    if "cross_tokenizer" in recipe["train"]:
        evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
        assert evaluation["comparison"]["unit"] == "group"


def test_there_is_a_recipe_for_each_way_of_working() -> None:
    assert {path.stem for path in RECIPES} >= {
        "offline", "live_teacher", "on_policy", "on_policy_served", "lora", "endpoint", "multi_teacher",
        "cross_tokenizer", "top_k", "top_k_served", "screened", "judged",
    }  # fmt: skip
