"""Collecting and training from a served teacher as stages: one clearance, one budget, and what the ledger learns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import serving

from potstill.collect.endpoint import collect_endpoint
from potstill.config import Recipe, recipe_from
from potstill.errors import PotstillError, RecipeError, TermsStopped
from potstill.models.local import LocalModel
from potstill.progress import Silent
from potstill.records import Clearance, Message, Prompt, content_hash
from potstill.run.stages import STAGES, stage_inputs
from potstill.store.prompts import write_prompts
from potstill.store.scores import SCORES, Scores
from potstill.train import train
from tiny import make_tiny_model

CLEARANCE = Clearance("allowed", "rule", "document", "1", "2025", "teacher")
PRICES = {"input": 100.0, "output": 1000.0}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"), layers=2, scale=0.3)


@pytest.fixture(scope="module")
def url(tiny: Path) -> Iterator[str]:
    with serving(tiny, "tiny") as base_url:
        yield base_url


def recipe(url: str, tiny: Path, *, budget: float | None = None, student: Any = None, **on_policy: Any) -> Recipe:
    data = {
        "name": "served",
        "teacher": {"endpoint": {"base_url": url, "model": "tiny", "concurrency": 4, "price_per_million": PRICES}},
        "prompts": {"source": "unused.jsonl"},
        "collect": {"max_new_tokens": 6, "train_on_truncated": True, "budget_usd": budget, "temperature": 1.0},
        "student": student or {"kind": "model", "model": f"path:{tiny}"},
        "train": {
            "objective": {"kind": "reverse_kl"}, "on_policy": {"fraction": 0.7, "max_new_tokens": 4, **on_policy},
            "epochs": 2, "tokens_per_batch": 100, "checkpoint_every_s": 0,
        },
    }  # fmt: skip
    return recipe_from(data, Path("/"), "test")


def collected(asked: Recipe, folder: Path, words: str = "abcdef") -> Path:
    folder.mkdir(exist_ok=True)
    turns = [{"role": "user", "content": f"what is {letter}"} for letter in words]
    prompts = [Prompt((Message(**turn),), "train", "test", content_hash([turn])) for turn in turns]
    write_prompts(prompts, folder / "prompts.parquet")
    collect_endpoint(asked, CLEARANCE, prompts, folder, Silent())
    return folder


def test_training_takes_the_clearance_and_tells_what_it_asked(url: str, tiny: Path, tmp_path: Path) -> None:
    asked = recipe(url, tiny)
    folder = collected(asked, tmp_path / "run")
    with pytest.raises(TermsStopped, match="no clearance"):
        train(asked, folder, Silent())
    assert not (folder / SCORES).exists()
    done = train(asked, folder, Silent(), CLEARANCE)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert done.facts["scoring_requests"] == sum(line["scoring_requests"] for line in lines) > 0
    assert done.facts["scoring_input_tokens"] == sum(line["scoring_input_tokens"] for line in lines)
    assert done.facts["scoring_cost_usd"] == pytest.approx(sum(line["scoring_cost_usd"] for line in lines))
    assert SCORES in done.outputs
    assert train(asked, folder, Silent(), CLEARANCE).facts == done.facts  # found trained, and nothing is asked again


def test_one_budget_holds_for_answers_and_scores(url: str, tiny: Path, tmp_path: Path) -> None:
    """Whatever asks the teacher counts: what collecting left is what scoring has, and the other way round."""
    folder = collected(recipe(url, tiny), tmp_path / "run")
    spent = collect_cost(folder)
    with pytest.raises(PotstillError, match=r"^collect\.budget_usd: .* scoring the next answer may cost"):
        train(recipe(url, tiny, budget=spent + 0.01), folder, Silent(), CLEARANCE)
    scores = Scores(folder / SCORES).spending
    assert scores.requests > 0
    assert scores.cost_usd is not None
    assert scores.cost_usd <= 0.01
    train(recipe(url, tiny, budget=spent + 10.0), folder, Silent(), CLEARANCE)
    everything = spent + (Scores(folder / SCORES).spending.cost_usd or 0.0)
    with pytest.raises(PotstillError, match=r"collect\.budget_usd") as caught:
        collected(recipe(url, tiny, budget=everything), folder, "abcdefg")
    assert f"{everything:.6g} USD" in str(caught.value)


def collect_cost(folder: Path) -> float:
    from potstill.store.journal import Journal

    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        return journal.spent_usd()


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_a_server_may_sample_what_another_scores(url: str, tiny: Path, tmp_path: Path, lora: Any) -> None:
    with serving(tiny, "student") as student_url:
        server = {"base_url": student_url, "model": "student", "refresh_steps": 2}
        asked = recipe(
            url, tiny, student={"kind": "model", "model": f"path:{tiny}", "lora": lora}, endpoint=server
        )  # fmt: skip
        done = train(asked, collected(asked, tmp_path / "run"), Silent(), CLEARANCE)
    assert done.facts["scoring_requests"] > 0
    assert not (tmp_path / "run" / "checkpoints" / "served").exists()
    LocalModel.load(tmp_path / "run" / "student")


def test_a_student_with_other_tokens_is_refused_at_the_first_score(url: str, tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in tiny.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    spelled = tokenizer["model"]["vocab"]
    ids = {text: at for at, text in enumerate(reversed([text for text in spelled if len(text) == 1]))}
    tokenizer["model"]["vocab"] = {text: ids.get(text, 0) + 2 if len(text) == 1 else at for text, at in spelled.items()}
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    asked = recipe(url, other)
    with pytest.raises(PotstillError, match=r"in the student's tokenizer; a served teacher can only score"):
        train(asked, collected(asked, tmp_path / "run"), Silent(), CLEARANCE)


def test_where_the_sampler_stands_is_no_reason_to_train_again(url: str, tiny: Path, tmp_path: Path) -> None:
    stage = next(one for one in STAGES if one.name == "train")

    def inputs(**endpoint: Any) -> Any:
        server = {"base_url": "http://a/v1", "model": "student", **endpoint}
        return stage_inputs(stage, recipe(url, tiny, endpoint=server), tmp_path)

    assert inputs() == inputs(base_url="http://b/v1", concurrency=3)
    assert inputs() != inputs(refresh_steps=4)
    assert stage_inputs(stage, recipe(url, tiny), tmp_path) != stage_inputs(
        stage, recipe("http://a/v1", tiny), tmp_path
    )  # fmt: skip


def test_a_samplers_key_that_is_not_set_is_named(url: str, tiny: Path, tmp_path: Path) -> None:
    asked = recipe(url, tiny, endpoint={"base_url": "http://a/v1", "model": "student", "api_key_env": "NO_SUCH_KEY"})
    folder = collected(asked, tmp_path / "run")
    with pytest.raises(RecipeError, match=r"train\.on_policy\.endpoint\.api_key_env: .* NO_SUCH_KEY is not set"):
        train(asked, folder, Silent(), CLEARANCE)
