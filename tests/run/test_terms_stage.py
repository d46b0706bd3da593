"""What the terms stage records for readers, and every layer for the papers."""

from pathlib import Path
from typing import Any

from potstill.config import Recipe, recipe_from
from potstill.run.terms_stage import layers, pass_gate

LLAMA = "hub:meta-llama/Llama-3.1-8B-Instruct"
APACHE = "hub:Qwen/Qwen2.5-7B-Instruct"


def make(base: Path, **sections: Any) -> Recipe:
    data = {
        "name": "Llama-glossary",
        "teacher": {"model": LLAMA},
        "use": {"purpose": "a glossary", "distributed": False, "commercial": False},
        "prompts": {"source": "prompts.jsonl"},
        "student": {"kind": "model", "model": "hub:somebody/small"},
    }
    return recipe_from(data | sections, base, "recipe.yaml")


def test_readers_get_every_layer_the_facts_and_the_duties_in_words(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("You may.")
    permission = {"file": "letter.txt", "granted_by": "Meta", "date": "2026-01-02"}
    recipe = make(tmp_path, use={"distributed": False, "permission": permission})
    facts = pass_gate(recipe).facts
    (bound,) = facts["bound_by"]
    assert (bound["rule"], bound["verdict"]) == ("llama3.1", "conditional")
    assert bound["document"] == facts["document"]
    assert bound["url"].startswith("https://")
    assert facts["use"] == {"distributed": False}
    assert "The name of a distributed student begins with this. (Llama)" in facts["obligations_mean"]
    assert "Above so many monthly active users another licence is needed. (700,000,000)" in facts["obligations_mean"]
    assert any("monthly users" in one for one in facts["warnings"])
    assert facts["permission"]["granted_by"] == "Meta"
    assert len(facts["permission"]["sha256"]) == 64


def test_the_prompts_own_terms_are_a_layer_of_the_papers(tmp_path: Path) -> None:
    more = [{"name": "second", "model": APACHE}]
    for teachers, names in (({}, {"teacher"}), ({"more_teachers": more}, {"teacher", "second"})):
        recipe = make(tmp_path, prompts={"source": "prompts.jsonl", "license": "cc-by-nc-4.0"}, **teachers)
        found = layers(recipe)
        assert {one["teacher"] for one in found if one.get("kind") != "data"} == names
        (data,) = [one for one in found if one.get("kind") == "data"]
        assert data["teacher"] == "prompts"
        assert "noncommercial_only" in data["obligations"]
        without = layers(make(tmp_path, **teachers))
        assert without == [one for one in found if one.get("kind") != "data"]
