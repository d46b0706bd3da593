"""All probes of a run folder with tiny models: held-out answers, refusals that were left out, own and made probes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.answers import Answer
from potstill.config import Recipe
from potstill.errors import RecipeError
from potstill.evaluate.probes import run as probing
from potstill.evaluate.probes.asking import Asked, answers_of, held_out_answers, left_out_refusals, trained_forms
from potstill.evaluate.probes.run import probe_run
from potstill.models.local import LocalModel
from potstill.progress import Silent
from potstill.records import Message
from potstill.rendering import Example
from potstill.store.screening import Screened, write_screening
from tiny import make_tiny_model

FIELDS = '{"name": "Ann Larsen", "city": "Bergen"}'
MAIL = "Give name and city as JSON, please, and nothing else. Ann Larsen wrote to us. She is from Bergen."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel.load(make_tiny_model(tmp_path_factory.mktemp("tiny"), layers=1, scale=0.3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    def row(key: str, split: str, answer: str, use: str = "ok", prompt: str = "what is a kettle") -> dict[str, Any]:
        messages = json.dumps([{"role": "user", "content": prompt}])
        return {"request_key": key, "prompt_hash": f"h{key}", "sample": 0, "split": split, "use": use,
                "messages": messages, "answer": answer}  # fmt: skip

    rows = [row(f"t{at}", "train", "- one\n- two" if at < 3 else "A sentence.") for at in range(6)]
    rows += [row(f"m{at}", "holdout", FIELDS, prompt=f"{MAIL} {at}") for at in range(6)]
    rows += [row(f"r{at}", "holdout", "", "refused") for at in range(5)]
    rows += [row("s0", "holdout", "I'm sorry, I can't help with that."), row("e0", "holdout", "", "empty")]
    rows += [row("gone", "train", "| a | b |\n|---|---|")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "answers.parquet")

    def screened(key: str, split: Any, reasons: list[str]) -> Screened:
        return Screened(key, f"h{key}", 0, split, not reasons, reasons, [""] * len(reasons))

    refused = [screened(f"r{at}", "holdout", ["refused"]) for at in range(5)]
    refused += [screened("s0", "holdout", ["refused"]), screened("e0", "holdout", ["empty"])]
    refused += [screened("gone", "train", ["exact_duplicate"])]
    write_screening([*refused, screened("m0", "holdout", [])], tmp_path / "screening.parquet")
    return tmp_path


def recipe_of(folder: Path, **probes: Any) -> Recipe:
    data = {
        "name": "a", "teacher": {"model": "path:/t"}, "student": {"kind": "model", "model": "path:/s"},
        "prompts": {"source": "p.jsonl"}, "collect": {"max_new_tokens": 4, "temperature": 0},
        "evaluate": {"resamples": 100, "probes": probes},
    }  # fmt: skip
    return Recipe.model_validate(data)


def test_what_a_run_folder_tells(folder: Path) -> None:
    assert trained_forms(folder, frozenset({"ok"})) == {"list": 3, "prose": 3}  # the table was not trained on
    assert [one.hash for one, _ in left_out_refusals(folder)] == ["hr0", "hr1", "hr2", "hr3", "hr4", "hs0"]
    assert [one.hash for one, _ in held_out_answers(folder)] == [f"hm{at}" for at in range(6)]
    assert trained_forms(folder / "nowhere", frozenset({"ok"})) == {}
    assert left_out_refusals(folder / "nowhere") == []


def test_answers_are_the_models_own_and_none_where_there_is_no_room(model: LocalModel, folder: Path) -> None:
    recipe = recipe_of(folder)
    asked = [Asked(str(at), (Message("user", text),)) for at, text in enumerate(("what is a kettle", "x " * 400))]
    first, second = answers_of(model, asked, recipe)
    assert first is not None
    assert second is None
    assert answers_of(model, asked[:1], recipe) == [first]


def test_all_probes_of_a_run(model: LocalModel, folder: Path) -> None:
    rows = [{"prompt": f"who is number {at}", "expect": "abstain"} for at in range(5)]
    (folder / "probes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = recipe_of(folder, file=str(folder / "probes.jsonl"), made_empty_fields=5)
    answers = [Answer(f"m{at}", f"hm{at}", 0, MAIL, FIELDS, Example((1, 2), 1)) for at in range(6)]
    found = probe_run(recipe, folder, answers, [FIELDS] * 6, model, model, Silent())
    facts = {one["name"]: one for one in found.facts}
    assert facts["empty_fields"]["cases"] == 12
    assert found.figures["probe.dropped_fields"].value == 0
    assert facts["abstention"]["teacher"]["count"] == 6  # those that were left out of training count
    assert found.figures["probe.lost_abstention"].n == 6
    assert found.figures["probe.lost_abstention"].value == 1  # a random model declines nothing
    assert found.figures["probe.own_abstain"].value == 1
    assert facts["own_abstain"]["teacher"]["count"] == 0
    assert facts["made_empty_fields"]["cases"] == 5
    assert "probe.made_empty_fields" not in found.figures  # this teacher leaves no field empty
    assert all(one["p_holm"] >= one["p_value"] for one in found.facts)
    json.dumps(found.facts, allow_nan=False)


def test_a_served_teacher_has_no_part_in_own_probes(model: LocalModel, folder: Path) -> None:
    (folder / "probes.jsonl").write_text('{"prompt": "who", "expect": "clarify"}\n', encoding="utf-8")
    recipe = recipe_of(folder, file=str(folder / "probes.jsonl"), made_empty_fields=5)
    found = probe_run(recipe, folder, [], [], model, None, Silent())
    facts = {one["name"]: one for one in found.facts}
    assert facts["own_clarify"]["teacher"] is None
    assert "made_empty_fields" not in facts


@pytest.mark.parametrize(("name", "lost"), [("null", 0.0), ('"Bob"', 1.0)])
def test_made_probes_are_set_against_the_teacher(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, lost: float
) -> None:
    student, teacher = object(), object()

    def said(who: object, asked: Sequence[Asked], _: Recipe) -> list[str]:
        return [f'{{"name": {name if who is student else "null"}, "city": "Bergen"}}'] * len(asked)

    monkeypatch.setattr(probing, "answers_of", said)
    found = probe_run(recipe_of(folder, made_empty_fields=6), folder, [], [], student, teacher, Silent())  # type: ignore[arg-type]
    assert found.figures["probe.made_empty_fields"].value == lost
    told = next(one for one in found.facts if one["name"] == "made_empty_fields")
    assert (told["teacher"]["count"], told["student"]["count"]) == (6, 6 - 6 * lost)


def test_a_probe_that_is_too_long_is_told(model: LocalModel, folder: Path) -> None:
    (folder / "probes.jsonl").write_text(json.dumps({"prompt": "x " * 400, "expect": "clarify"}), encoding="utf-8")
    recipe = recipe_of(folder, file=str(folder / "probes.jsonl"))
    with pytest.raises(RecipeError, match="leaves the student no room for an answer of 4 tokens"):
        probe_run(recipe, folder, [], [], model, model, Silent())
