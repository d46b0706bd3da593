from pathlib import Path
from typing import Any

import pytest
import yaml
from exported import APACHE, LLAMA, SERVER, WHEEL, make, run_folder

from potstill.errors import RecipeError, TermsStopped
from potstill.export import check_before, export
from potstill.export.lineage import layers_of
from potstill.export.obligations import KINDS, sentence
from potstill.terms import rules
from potstill.terms.obligations import OBLIGATIONS

pytest.importorskip("huggingface_hub")

MIT = APACHE | {"rule": "mit", "document": "MIT", "version_or_date": "1", "url": "https://opensource.org/license/mit"}
# What a kind looks like with a value, where it has one.
VALUES = {"name_prefix": "Llama", "display": "Built with Llama", "inherits": "llama3.1"}


def carrying(*obligations: str, **facts: Any) -> dict[str, Any]:
    return LLAMA | {"obligations": list(obligations)} | facts


def exported(folder: Path) -> tuple[str, str, dict[str, Any]]:
    """The card, the notice ("" where there is none) and the card's front matter."""
    model = folder / "export" / "safetensors"
    card = (model / "README.md").read_text()
    notice = (model / "NOTICE.txt").read_text() if (model / "NOTICE.txt").is_file() else ""
    return card, notice, yaml.safe_load(card.split("---\n")[1])


def test_no_obligation_of_the_rules_is_unknown_to_export() -> None:
    assert set(OBLIGATIONS) <= set(KINDS)
    for rule in rules():
        for obligation in rule.obligations:
            words = sentence(obligation)
            assert "{" not in words
            assert "_" not in words, obligation
    assert sentence("display:Built with Qwen|Improved using Qwen").count("“") == 2


@pytest.mark.parametrize(("kind", "does"), [(name, one.does) for name, one in KINDS.items() if one.does is not None])
def test_what_export_says_it_does_it_does(kind: str, does: str, tmp_path: Path) -> None:
    """Each enforced kind stops a student that breaks it, or is to be seen in what leaves."""
    facts = carrying(f"{kind}:{VALUES[kind]}" if kind in VALUES else kind)
    broken = make(tmp_path, SERVER["endpoint"]["model"], teacher=SERVER, student={"kind": "model", "model": "hub:a/b"},
                  use={"distributed": True, "commercial": True})  # fmt: skip
    folder = run_folder(tmp_path, recipe=broken)
    if does.startswith(("stops", "copies")):
        with pytest.raises(TermsStopped) as caught:
            export(broken, facts, folder)
        assert caught.value.exit_code == 4
        assert "Potstill gives no legal advice." in str(caught.value)
        assert not (folder / "export" / "safetensors").exists()
        return
    export(broken, facts, folder)
    card, notice, front = exported(folder)
    assert sentence(facts["obligations"][0]) in card
    if kind == "student_is_derivative":
        assert front["license"] == "llama3.1"
    if "NOTICE" in does or kind == "inherits":
        assert "Llama 3.1 Community License Agreement" in notice


@pytest.mark.parametrize("kind", [name for name, one in KINDS.items() if one.does is None])
def test_the_others_are_told_in_the_card(kind: str, tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    given = f"{kind}:7"
    export(make(tmp_path, use={"distributed": True}), carrying(given), folder)
    card, notice, _ = exported(folder)
    assert sentence(given) in card
    assert notice == ""


def test_an_unknown_obligation_stops_what_is_passed_on(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    with pytest.raises(TermsStopped, match="does not know how to meet"):
        export(make(tmp_path), carrying("tattoo"), folder)
    export(make(tmp_path, use={"distributed": False}), carrying("tattoo"), folder)
    assert "- tattoo" in exported(folder)[0]


def test_what_is_to_be_shown_heads_card_and_notice(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    result = export(make(tmp_path), carrying("display:Built with Qwen|Improved using Qwen"), folder)
    card, notice, _ = exported(folder)
    assert "# glossary\n\n**Built with Qwen**\n\n## What this is" in card
    assert notice.startswith("glossary\n\nBuilt with Qwen\n\n")
    assert result.facts["licence_files"] == ["NOTICE.txt"]


def test_what_is_shown_under_a_condition_is_for_a_person(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    given = ("display:Built with Llama (if materials contained)", "display:Built on NVIDIA Cosmos (Cosmos only)")
    export(make(tmp_path), carrying(*given), folder)
    card, notice, _ = exported(folder)
    assert "# glossary\n\n**Built with Llama**\n\n## What this is" in card
    assert notice.startswith("glossary\n\nBuilt with Llama\n\n")
    assert "Show “Built on NVIDIA Cosmos” where this holds: Cosmos only." in notice
    assert "show “Built on NVIDIA Cosmos (Cosmos only)” where the terms ask for it" in card


def test_limits_are_in_card_tags_licence_name_and_notice(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    recipe = make(tmp_path, teacher=SERVER, student={"kind": "model", "model": "hub:a/b"},
                  use={"distributed": False, "commercial": False})  # fmt: skip
    export(recipe, carrying("internal_only", "noncommercial_only"), folder)
    card, notice, front = exported(folder)
    assert "**Not to be distributed.**\n\n**Non-commercial use only.**\n\n## What this is" in card
    assert front["tags"] == ["distillation", "potstill", "not-to-be-distributed", "non-commercial-use-only"]
    assert front["license"] == "other"
    assert front["license_name"] == "not-to-be-distributed-non-commercial-use-only-see-terms-below"
    assert "Not to be distributed.\n\nNon-commercial use only." in notice


def test_a_permission_lifts_a_limit_of_use_and_not_a_name(tmp_path: Path) -> None:
    (tmp_path / "letter.pdf").write_text("you may")
    use = {"distributed": True, "permission": {"file": "letter.pdf", "granted_by": "Meta", "date": "2026-11-01"}}
    folder = run_folder(tmp_path)
    export(make(tmp_path, use=use), carrying("internal_only"), folder)
    with pytest.raises(TermsStopped, match="must begin with"):
        export(make(tmp_path, use=use), carrying("name_prefix:Llama"), folder)


def test_a_licence_text_is_given_by_its_rule(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    with pytest.raises(TermsStopped, match=r"export\.licence_files: \{mit: FILE\}, or say use.distributed: false"):
        export(make(tmp_path), MIT, folder)
    with pytest.raises(RecipeError, match=r"export\.licence_files\.mit: .*LICENCE\.md does not exist"):
        export(make(tmp_path, export={"licence_files": {"mit": "LICENCE.md"}}), MIT, folder)
    (tmp_path / "LICENCE.md").write_text("Permission is hereby granted")
    result = export(make(tmp_path, export={"licence_files": {"mit": "LICENCE.md"}}), MIT, folder)
    assert result.facts["licence_files"] == ["LICENSE.md"]
    assert (folder / "export" / "safetensors" / "LICENSE.md").read_text() == "Permission is hereby granted"


def test_a_notice_text_is_given_by_its_rule_and_a_teachers_own_makes_room(tmp_path: Path) -> None:
    facts = carrying("notice_file", "display:Built with Llama")
    (tmp_path / "notice").write_text("the notice")
    folder = run_folder(tmp_path)
    result = export(make(tmp_path, export={"notice_files": {"llama3.1": "notice"}}), facts, folder)
    assert result.facts["licence_files"] == ["NOTICE-TEACHER.txt", "NOTICE.txt"]
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    (teacher / "NOTICE.txt").write_text("the teacher's own")
    export(make(tmp_path, "path:teacher"), facts, folder)
    model = folder / "export" / "safetensors"
    assert (model / "NOTICE-TEACHER.txt").read_text() == "the teacher's own"
    assert "Built with Llama" in (model / "NOTICE.txt").read_text()


def test_an_ancestors_terms_are_met_and_listed_too(tmp_path: Path) -> None:
    layers = [
        {**MIT, "teacher": "teacher", "name": "somebody/student-of-gemma", "kind": "licence"},
        {**carrying("include_license_copy", "student_is_derivative"), "teacher": "teacher", "name": "google/gemma-2-2b",
         "rule": "gemma-terms", "document": "Gemma Terms of Use", "kind": "licence"},
    ]  # fmt: skip
    facts = MIT | {"layers": layers, "obligations": ["include_license_copy", "student_is_derivative"]}
    (tmp_path / "mit").write_text("MIT text")
    folder = run_folder(tmp_path)
    with pytest.raises(TermsStopped, match=r"google/gemma-2-2b.*\{gemma-terms: FILE\}"):
        export(make(tmp_path, export={"licence_files": {"mit": "mit"}}), facts, folder)
    (tmp_path / "gemma").write_text("Gemma text")
    given = {"licence_files": {"mit": "mit", "gemma-terms": "gemma"}}
    export(make(tmp_path, export=given), facts, folder)
    card, notice, front = exported(folder)
    assert (folder / "export" / "safetensors" / "LICENSE-gemma-terms.txt").read_text() == "Gemma text"
    assert (front["license"], front["license_name"]) == ("other", "mit-and-gemma-terms")
    for text in (card, notice):
        assert "- somebody/student-of-gemma: MIT (1)" in text
        assert "- google/gemma-2-2b: Gemma Terms of Use" in text


def test_what_would_be_refused_is_refused_before_anything_is_paid_for(tmp_path: Path) -> None:
    with pytest.raises(TermsStopped, match=r"export\.licence_files"):
        check_before(make(tmp_path), MIT)
    with pytest.raises(TermsStopped, match="do not let this student be passed on"):
        check_before(make(tmp_path, use={"distributed": True}), carrying("internal_only"))
    check_before(make(tmp_path), APACHE)
    check_before(make(tmp_path, use={"distributed": False}), MIT)
    # The hub's folder may hold its licence once it is fetched.
    check_before(make(tmp_path, "hub:nobody/has-fetched-this"), MIT)


def test_layers_without_a_list_are_the_deciding_rule_of_each_teacher() -> None:
    only = layers_of(APACHE)
    assert [(one.teacher, one.rule, one.spdx_id) for one in only] == [("teacher", "apache-2.0", "Apache-2.0")]
    several = layers_of(LLAMA | {"teachers": {"teacher": APACHE, "code": LLAMA}})
    assert [(one.teacher, one.name, one.rule) for one in several] == [
        ("teacher", WHEEL, "apache-2.0"), ("code", LLAMA["teacher"], "llama3.1"),
    ]  # fmt: skip
