"""Rules that a recipe brings along: they go before the package's, say so, and name their file where they are wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from test_gate import make
from test_rules import GOOD

from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError
from potstill.terms import decide, decide_each, decide_judge, own_rules
from potstill.terms.rules import in_force, matching, rules

OPENAI = ("https://api.openai.com/v1", "gpt-4o")
CONTRACT = GOOD | {
    "id": "our-contract", "provider": "OpenAI", "kind": "terms", "applies_to": ["openai:gpt-4o*"],
    "output_training": "allowed", "document": "Contract 17", "section": "4", "conditions": ["training is allowed"],
}  # fmt: skip


def write(path: Path, *entries: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"rules": list(entries)}, sort_keys=False), encoding="utf-8")
    return path


def ruled(given: Any, recipe: Recipe, base: Path) -> Recipe:
    data = recipe.model_dump(mode="json") | {"terms": {"rules": given}}
    return recipe_from(data, base, "recipe.yaml")


def test_an_own_rule_decides_before_the_packages_where_both_fit(tmp_path: Path) -> None:
    write(tmp_path / "ours.yaml", CONTRACT)
    decision = decide(ruled("ours.yaml", make(endpoint=OPENAI), tmp_path))
    assert (decision.verdict, decision.cleared, decision.rule) == ("allowed", True, "our-contract")
    assert decision.layers == (("openai:gpt-4o (own rule, ours.yaml)", "our-contract", "allowed"),)
    assert decision.reason == "Rule our-contract is the recipe's own (ours.yaml). OpenAI: Training is allowed."
    assert decision.warnings[0] == (
        "rules of your own took part (ours.yaml); without them: stopped, verdict prohibited_if_competing, "
        "rule openai-services-agreement"
    )
    assert decision.obligations == ()  # those of the package's rule went with it


def test_an_own_rule_decides_in_whichever_spelling_it_fits(tmp_path: Path) -> None:
    """OpenRouter's rule fits the model's name with and without its maker; the contract only the whole one."""
    router = ("https://openrouter.ai/api/v1", "openai/gpt-4o")
    write(tmp_path / "ours.yaml", CONTRACT | {"applies_to": ["openrouter:openai/gpt-4o*"]})
    decision = decide(ruled("ours.yaml", make(endpoint=router), tmp_path))
    assert [rule for _, rule, _ in decision.layers] == ["our-contract"]
    write(tmp_path / "ours.yaml", CONTRACT | {"applies_to": ["openrouter:*"], "obligations": ["inherits_model_terms"]})
    layers = decide(ruled("ours.yaml", make(endpoint=router), tmp_path)).layers
    assert {rule for _, rule, _ in layers} == {"our-contract", "openai-services-agreement"}  # only the router's part


def test_a_name_that_no_own_rule_fits_is_the_packages(tmp_path: Path) -> None:
    write(tmp_path / "ours.yaml", CONTRACT)
    plain = make(endpoint=(OPENAI[0], "gpt-5"))
    assert decide(ruled("ours.yaml", plain, tmp_path)) == decide(plain)


def test_the_same_id_replaces_a_rule_also_where_others_inherit_it(tmp_path: Path) -> None:
    stricter = GOOD | {"id": "llama3.1", "applies_to": ["meta-llama/Llama-3.1-*"], "output_training": "prohibited"}
    write(tmp_path / "ours.yaml", stricter)
    distilled = make("hub:deepseek-ai/DeepSeek-R1-Distill-Llama-8B")
    decision = decide(ruled("ours.yaml", distilled, tmp_path))
    assert (decision.rule, decision.cleared) == ("llama3.1", False)
    assert any("(own rule, ours.yaml)" in name and "inherits llama3.1" in name for name, _, _ in decision.layers)
    # A pattern that the package's rule had and the own one has not: nothing fits any more, and the gate stops.
    assert decide(ruled("ours.yaml", make("hub:a/b", license_id="llama3.1"), tmp_path)).verdict == "unknown"


def test_an_own_rule_may_inherit_the_packages(tmp_path: Path) -> None:
    write(tmp_path / "ours.yaml", GOOD | {"applies_to": ["us/tuned*"], "obligations": ["inherits:llama3.1"]})
    decision = decide(ruled("ours.yaml", make("hub:us/tuned-8b"), tmp_path))
    assert [rule for _, rule, _ in decision.layers] == ["one", "llama3.1"]
    assert "name_prefix:Llama" in decision.obligations


def test_files_and_folders_are_read_together(tmp_path: Path) -> None:
    write(tmp_path / "many" / "a.yaml", CONTRACT)
    write(tmp_path / "many" / "b.yml", GOOD | {"id": "two"})
    (tmp_path / "many" / "notes.txt").write_text("not a rule")
    write(tmp_path / "one.json", GOOD | {"id": "three"})
    recipe = ruled(["many", "one.json"], make("hub:a/b"), tmp_path)
    assert recipe.terms.rules == (tmp_path / "many", tmp_path / "one.json")
    assert [one["file"] for one in own_rules(recipe.terms.rules)] == ["a.yaml", "b.yml", "one.json"]
    with in_force(recipe.terms.rules):
        assert [(rule.id, rule.origin) for rule in rules() if rule.own] == [
            ("our-contract", "a.yaml"), ("two", "b.yml"), ("three", "one.json"),
        ]  # fmt: skip
        assert [rule.id for rule in matching("openai:gpt-4o", rules())] == ["our-contract"]
    assert not any(rule.own for rule in rules())  # only inside


def test_a_judge_is_asked_under_the_same_rules(tmp_path: Path) -> None:
    write(tmp_path / "ours.yaml", CONTRACT)
    judge = {"endpoint": {"base_url": OPENAI[0], "model": OPENAI[1]}, "rubric": "good"}
    recipe = make("hub:a/b", license_id="mit").model_dump(mode="json") | {"screen": {"judge": judge}}
    asked = decide_judge(recipe_from(recipe | {"terms": {"rules": "ours.yaml"}}, tmp_path, "recipe.yaml"))
    assert asked is not None
    assert asked.rule == "our-contract"


def test_each_of_several_teachers_is_decided_under_them(tmp_path: Path) -> None:
    write(tmp_path / "ours.yaml", GOOD | {"applies_to": ["a/b"], "output_training": "prohibited"})
    assert decide_each(ruled("ours.yaml", make("hub:a/b", license_id="mit"), tmp_path))["teacher"].rule == "one"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("none.yaml", None, r"none\.yaml: no such file or folder of rules"),
        ("empty", {}, r"empty: has no file of rules; they end in \.yaml, \.yml, \.json"),
        ("bad.yaml", "rules: [{id: x}]", r"bad\.yaml:1: rule 1 \(x\): missing: applies_to"),
        ("latin.yaml", b"rules: [\xe9]", r"latin\.yaml: cannot be read"),
        ("loop.yaml", {"obligations": ["inherits:nowhere"]}, r"loop\.yaml: one: obligations: inherits nowhere, which"),
    ],
)
def test_what_is_wrong_with_them_is_one_line_about_the_recipe(
    tmp_path: Path, name: str, text: str | bytes | dict[str, Any] | None, says: str
) -> None:
    if text == {}:
        (tmp_path / name).mkdir()
    elif isinstance(text, dict):
        write(tmp_path / name, GOOD | text)
    elif text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RecipeError, match=rf"^terms\.rules: \S*{says}") as caught:
        decide(ruled(name, make("hub:a/b"), tmp_path))
    assert caught.value.exit_code == 2
    assert len(str(caught.value).splitlines()) == 1


def test_a_recipe_names_one_several_or_none() -> None:
    for none in (None, [], ()):
        assert ruled(none, make("hub:a/b"), Path("/")).terms.rules == ()
    with pytest.raises(RecipeError, match=r"terms\.rules"):
        ruled({"ours": 1}, make("hub:a/b"), Path("/"))
    data = make("hub:a/b").model_dump(mode="json") | {"terms": {"rule": "x"}}
    with pytest.raises(RecipeError, match=r"terms\.rule: no such key"):
        recipe_from(data, Path("/"), "recipe.yaml")
