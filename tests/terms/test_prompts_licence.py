"""The prompts' licence is a layer of the decision: what it asks for, what it stops, and what a person is told."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import TermsStopped
from potstill.terms import Decision, clear, clear_judge, decide, decide_each

APACHE = "hub:Qwen/Qwen2.5-7B-Instruct"


def make(base: Path = Path("/nowhere"), teacher: str = APACHE, use: dict[str, Any] | None = None,
         **prompts: Any) -> Recipe:  # fmt: skip
    data = {
        "name": "s",
        "teacher": {"model": teacher},
        "use": use or {},
        "prompts": {"source": "prompts.jsonl", **prompts},
        "student": {"kind": "model", "model": "hub:somebody/small"},
    }
    return recipe_from(data, base, "recipe.yaml")


def data_set(place: Path, front: str = "", **files: str) -> Path:
    place.mkdir(parents=True)
    (place / "README.md").write_text(f"---\n{front}\n---\n", encoding="utf-8")
    (place / "train.jsonl").write_text('{"prompt": "a"}\n')
    for name, text in files.items():
        (place / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return place


def rules_of(decision: Decision) -> list[str]:
    return [rule for _, rule, _ in decision.layers]


# --- what each licence does


@pytest.mark.parametrize(
    ("license_id", "use", "cleared", "missing"),
    [
        ("cc0-1.0", {}, True, ()),
        ("apache-2.0", {}, True, ()),
        ("cc-by-4.0", {}, True, ()),
        ("cc-by-sa-4.0", {}, True, ()),
        ("cc-by-nc-4.0", {}, False, ("use.commercial",)),
        ("cc-by-nc-4.0", {"commercial": True}, False, ()),
        ("cc-by-nc-4.0", {"commercial": False}, True, ()),
        ("CC-BY-NC-SA-4.0", {"commercial": True}, False, ()),
        ("cc-by-nd-4.0", {"distributed": True}, False, ()),
        ("cc-by-nd-4.0", {"distributed": False}, True, ()),
        ("research-only", {"commercial": False, "distributed": False}, False, ()),
        ("llama3", {}, False, ()),  # answers of Llama 3, say: they may not make another model better
        ("a-licence-of-our-own", {}, True, ()),
    ],
)
def test_a_data_sets_licence_binds(
    license_id: str, use: dict[str, Any], cleared: bool, missing: tuple[str, ...]
) -> None:
    decision = decide(make(use=use, license=license_id))
    assert (decision.cleared, decision.missing_facts) == (cleared, missing)
    assert any(f"prompts under {license_id} (prompts.license)" == name for name, _, _ in decision.layers)
    if not cleared:
        assert decision.about == "prompts"
        with pytest.raises(TermsStopped, match=r"^The prompts' terms stop this run"):
            clear(make(use=use, license=license_id))
        assert missing or "other prompts" in decision.remedy


def test_without_a_word_prompts_are_the_users_own() -> None:
    decision = decide(make())
    assert rules_of(decision) == ["qwen-apache"]
    assert "What binds" not in decision.message


def test_a_clearance_stays_the_teachers_and_carries_what_the_prompts_ask() -> None:
    recipe = make(license="cc-by-sa-4.0")
    clearance = clear(recipe)
    assert (clearance.rule, clearance.verdict) == ("qwen-apache", "conditional")
    assert "The prompts are bound more strictly: Creative Commons" in clearance.reason
    assert clearance.obligations == (
        "include_license_copy",  # the teacher's
        "data_attribution:prompts under cc-by-sa-4.0 (prompts.license)",
        "data_share_alike:prompts under cc-by-sa-4.0 (prompts.license)",
    )
    assert any("passed on under it" in warning for warning in decide(recipe).warnings)


def test_the_data_sets_own_licence_text_does_not_have_to_go_with_the_student() -> None:
    teacher = "hub:meta-llama/Llama-3.1-8B"
    assert "include_license_copy" not in decide(make(teacher=teacher, license="mit")).obligations


def test_a_licence_that_no_rule_knows_warns_and_does_not_stop() -> None:
    decision = decide(make(license="a-licence-of-our-own"))
    assert decision.cleared
    assert ("prompts under a-licence-of-our-own (prompts.license)", "none", "unknown") in decision.layers
    assert any("no rule says whether such prompts may be trained on" in warning for warning in decision.warnings)


# --- a data set's folder


@pytest.mark.parametrize(
    ("front", "files", "rules"),
    [
        ("license: cc-by-nc-4.0", {}, ["cc-by-nc-4.0"]),
        ("license: [cc-by-4.0, mit]", {}, ["cc-by-4.0", "mit"]),
        ("license: other\nlicense_name: research-only", {}, ["research-only"]),
        ("", {"dataset_info__json": json.dumps({"license": "odc-by"})}, ["odc-by-1.0"]),
        ("", {"dataset_info__json": "{"}, []),
        ("license: mit", {"LICENSE": "Attribution-NonCommercial 4.0 International … Licensor … Adapted Material"},
         ["mit", "cc-by-nc-4.0"]),
        ("license: other", {"LICENSE": "Attribution 4.0 International … Licensor … Adapted Material"}, ["cc-by-4.0"]),
    ],
)  # fmt: skip
def test_a_folder_says_its_licence(tmp_path: Path, front: str, files: dict[str, str], rules: list[str]) -> None:
    data_set(tmp_path / "asked", front, **files)
    assert rules_of(decide(make(tmp_path, source="asked"))) == ["qwen-apache", *rules]


def test_the_recipe_adds_to_what_the_card_says_and_never_loosens_it(tmp_path: Path) -> None:
    data_set(tmp_path / "asked", "license: cc-by-nc-4.0")
    both = decide(make(tmp_path, source="asked", license="mit", use={"commercial": True}))
    assert rules_of(both) == ["qwen-apache", "cc-by-nc-4.0", "mit"]
    assert not both.cleared
    data_set(tmp_path / "other", "license: other")
    assert rules_of(decide(make(tmp_path, source="other", license="mit"))) == ["qwen-apache", "mit"]


def test_a_card_without_a_licence_and_a_synthetic_data_set_are_told(tmp_path: Path) -> None:
    data_set(tmp_path / "asked", "tags: [synthetic]")
    warnings = decide(make(tmp_path, source="asked")).warnings
    assert any("names no licence" in warning for warning in warnings)
    assert any("calls itself synthetic" in warning for warning in warnings)
    assert not any("data set" in warning for warning in decide(make(tmp_path, source="asked", license="mit")).warnings)


def test_a_snapshot_is_known_by_its_name(tmp_path: Path) -> None:
    place = "datasets--nvidia--Nemotron-Pretraining-Dataset-sample/snapshots/0123"
    data_set(tmp_path / place, "license: other")
    decision = decide(make(tmp_path, source=place))
    assert rules_of(decision) == ["qwen-apache", "nvidia-data-training-2025"]
    assert decision.missing_facts == ("use.distributed",)


def test_a_folder_of_plain_files_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_text('{"prompt": "a"}\n')
    decision = decide(make(tmp_path, source="logs"))
    assert rules_of(decision) == ["qwen-apache"]
    assert not any("prompts" in warning for warning in decision.warnings)


# --- logs


@pytest.mark.parametrize("said", [{"format": "chat_log"}, {"format": "litellm"}, {"job": "glossary"}])
def test_the_answers_in_a_log_are_somebodys(said: dict[str, Any]) -> None:
    warnings = decide(make(**said)).warnings
    assert any("the answers in it are somebody's outputs" in warning for warning in warnings)
    assert not any("somebody's" in warning for warning in decide(make(license="mit", **said)).warnings)
    assert not any("somebody's" in warning for warning in decide(make()).warnings)


# --- beside the teachers


def test_prompts_are_a_layer_of_the_whole_and_not_of_a_teacher() -> None:
    data = make(license="cc-by-nc-4.0").model_dump(mode="json")
    data["more_teachers"] = [{"name": "second", "model": "hub:Qwen/Qwen3-8B"}]
    recipe = recipe_from(data, Path("/nowhere"), "recipe.yaml")
    decision = decide(recipe)
    assert [name for name, _, _ in decision.layers] == [
        f"teacher: {APACHE}", "second: hub:Qwen/Qwen3-8B", "prompts under cc-by-nc-4.0 (prompts.license)"
    ]  # fmt: skip
    assert decision.missing_facts == ("use.commercial",)
    assert all(one.cleared for one in decide_each(recipe).values())


def test_a_judges_terms_are_asked_without_the_prompts() -> None:
    data = make(license="cc-by-nc-4.0").model_dump(mode="json")
    data["screen"] = {
        "judge": {
            "rubric": "Is it true?",
            "endpoint": {"base_url": "http://127.0.0.1/v1", "model": "j"},
            "license": "mit",
        }
    }
    recipe = recipe_from(data, Path("/nowhere"), "recipe.yaml")
    assert not decide(recipe).cleared
    cleared = clear_judge(recipe)
    assert cleared is not None
    assert cleared.rule == "mit"


def test_what_is_said_about_is_among_the_facts_only_where_prompts_decide() -> None:
    assert asdict(decide(make()))["about"] == "teacher"
    assert asdict(decide(make(license="research-only")))["about"] == "prompts"
