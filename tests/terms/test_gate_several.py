"""The gate over several teachers: all their routes count, the strictest decides, and it is named."""

from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import TermsStopped
from potstill.terms import clear, decide, decide_each

FREE, STRICT = "hub:Qwen/Qwen2.5-7B-Instruct", "hub:meta-llama/Meta-Llama-3-8B-Instruct"
CONDITIONAL = "hub:meta-llama/Llama-3.1-8B-Instruct"
OTHER_STUDENT = {"kind": "model", "model": "hub:somebody/small"}


def make(*models: str, student: dict[str, Any] | None = None, name: str = "glossary", **use: Any) -> Recipe:
    first, *others = models
    data = {
        "name": name,
        "teacher": {"model": first},
        "more_teachers": [{"name": f"t{number}", "model": one} for number, one in enumerate(others, 2)],
        "use": use,
        "prompts": {"source": "prompts.jsonl"},
        "student": student or OTHER_STUDENT,
    }
    return recipe_from(data, Path("/nowhere"), "recipe.yaml")


@pytest.mark.parametrize("models", [(FREE, STRICT), (STRICT, FREE), (FREE, FREE, STRICT)])
def test_the_strictest_teacher_wins_and_is_named(models: tuple[str, ...]) -> None:
    decision = decide(make(*models))
    assert not decision.cleared
    assert (decision.verdict, decision.rule) == ("prohibited", "llama3")
    strict = "The first teacher" if models[0] == STRICT else f"Teacher t{len(models)}"
    assert decision.reason.startswith(f"{strict} ({STRICT}) decides. ")
    with pytest.raises(TermsStopped, match=f"{strict} "):
        clear(make(*models))


def test_a_clearance_names_all_and_carries_the_obligations_of_all() -> None:
    recipe = make(FREE, CONDITIONAL, name="Llama-glossary", distributed=True)
    clearance = clear(recipe)
    assert clearance.teacher == f"teacher: {FREE}; t2: {CONDITIONAL}"
    assert clearance.verdict == "conditional"
    each = decide_each(recipe)
    assert each["teacher"].verdict == "allowed"
    assert set(clearance.obligations) == set(each["teacher"].obligations) | set(each["t2"].obligations)
    assert "name_prefix:Llama" in clearance.obligations
    assert {name for name, _, _ in decide(recipe).layers} == {f"teacher: {FREE}", f"t2: {CONDITIONAL}"}


def test_one_teacher_alone_reads_as_it_did() -> None:
    decision = decide(make(FREE))
    assert decision.teacher == FREE
    assert "decides" not in decision.reason
    assert decision == decide_each(make(FREE))["teacher"]


def test_a_pruned_student_is_only_of_the_first_teachers_family() -> None:
    pruned = {"kind": "pruned", "keep_layers": 4}
    assert decide(make(STRICT, student=pruned)).cleared
    assert decide(make(STRICT, STRICT, student=pruned)).cleared
    assert not decide(make(FREE, STRICT, student=pruned)).cleared


def test_what_no_rule_knows_is_asked_for_where_it_belongs() -> None:
    message = decide(make(FREE, "hub:somebody/unheard-of")).message
    assert "give more_teachers.t2.license" in message
