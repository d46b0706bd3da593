"""A written permission clears what it names, on the days on which it holds, and nothing else."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError
from potstill.ledger import file_hash
from potstill.run.stages import STAGES, stage_inputs
from potstill.terms import decide

TODAY = date(2026, 11, 26)
BEDROCK = {
    "endpoint": {"base_url": "https://bedrock-runtime.us-east-1.amazonaws.com/v1", "model": "anthropic.claude-x"}
}
CLAUDE = {"endpoint": {"base_url": "https://api.anthropic.com/v1", "model": "claude-opus-4"}}
COMPETES = {"competes_with_teacher_provider": True}


def letter(base: Path, name: str = "letter.pdf", **said: Any) -> dict[str, Any]:
    (base / name).write_bytes(f"you may, says {name}".encode())
    return {"file": name, "granted_by": "Anthropic", "date": "2026-11-01", **said}


def make(base: Path, teacher: dict[str, Any], *permissions: dict[str, Any], license_id: str | None = None,
         use: dict[str, Any] | None = None) -> Recipe:  # fmt: skip
    first, *more = permissions or (None,)
    data = {
        "name": "s",
        "teacher": teacher,
        "use": {"permission": first, "more_permissions": more, **(use or {})},
        "prompts": {"source": "prompts.jsonl", "license": license_id},
        "student": {"kind": "model", "model": "hub:somebody/small"},
    }
    return recipe_from(data, base, "recipe.yaml")


# --- whom it speaks for


def test_two_owners_need_two_permissions(tmp_path: Path) -> None:
    theirs = letter(tmp_path)
    other = letter(tmp_path, "aws.pdf", granted_by="AWS EMEA SARL")
    alone = decide(make(tmp_path, BEDROCK, theirs, use=COMPETES), TODAY)
    assert (alone.cleared, alone.rule) == (False, "aws-service-terms-bedrock")
    both = decide(make(tmp_path, BEDROCK, theirs, other, use=COMPETES), TODAY)
    assert both.cleared
    hashes = [file_hash(tmp_path / "letter.pdf"), file_hash(tmp_path / "aws.pdf")]
    assert both.permission_sha256 == " ".join(hashes)
    assert all(one in both.reason for one in (*hashes, "Anthropic", "AWS EMEA SARL"))


def test_a_permission_of_another_provider_clears_nothing(tmp_path: Path) -> None:
    decision = decide(make(tmp_path, CLAUDE, letter(tmp_path, granted_by="OpenAI")), TODAY)
    assert (decision.cleared, decision.rule) == (False, "anthropic-usage-policy")
    assert decide(make(tmp_path, CLAUDE, letter(tmp_path, granted_by="J. Doe")), TODAY).cleared  # with a warning


def test_a_list_clears_what_it_lists_and_nothing_else(tmp_path: Path) -> None:
    rule = letter(tmp_path, granted_by="J. Doe", clears="anthropic-usage-policy")
    decision = decide(make(tmp_path, CLAUDE, rule, use=COMPETES), TODAY)
    assert (decision.cleared, decision.rule) == (False, "anthropic-commercial-terms")
    owner = letter(tmp_path, granted_by="J. Doe", clears=["Anthropic"])
    whole = decide(make(tmp_path, CLAUDE, owner, use=COMPETES), TODAY)
    assert whole.cleared
    assert not any("granted_by" in warning for warning in whole.warnings)  # it says whom it speaks for
    named = letter(tmp_path, granted_by="Anthropic", clears=["openai-services-agreement"])
    stopped = decide(make(tmp_path, CLAUDE, named, use=COMPETES), TODAY)
    assert not stopped.cleared
    assert any("openai-services-agreement is no rule" in warning for warning in stopped.warnings)


def test_a_model_may_be_listed(tmp_path: Path) -> None:
    teacher = {"model": "hub:meta-llama/Llama-2-7b-hf"}
    assert decide(make(tmp_path, teacher, letter(tmp_path, clears="meta-llama/Llama-2-7b-hf")), TODAY).cleared
    assert not decide(make(tmp_path, teacher, letter(tmp_path, clears="meta-llama/Llama-2-13b-hf")), TODAY).cleared


def test_a_data_sets_owner_speaks_for_the_data_set_alone(tmp_path: Path) -> None:
    folder = tmp_path / "datasets--acme--questions" / "snapshots" / "01"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    source, use = str(folder), {"commercial": True}

    def ask(teacher: str, *permissions: dict[str, Any]) -> Any:
        data = make(tmp_path, {"model": teacher}, *permissions, use=use).model_dump(mode="json")
        data["prompts"]["source"] = source
        return decide(recipe_from(data, tmp_path, "recipe.yaml"), TODAY)

    assert not ask("hub:Qwen/Qwen3-8B").cleared
    acme = letter(tmp_path, granted_by="Acme Ltd.")
    assert ask("hub:Qwen/Qwen3-8B", acme).cleared
    # Creative Commons wrote the licence and owns nothing that is under it.
    commons = letter(tmp_path, "cc.pdf", granted_by="Creative Commons")
    assert not ask("hub:Qwen/Qwen3-8B", commons).cleared
    doe = letter(tmp_path, "doe.pdf", granted_by="J. Doe")
    assert any("does not name acme/questions" in warning for warning in ask("hub:Qwen/Qwen3-8B", doe).warnings)
    # Cohere's own non-commercial weights are another owner's.
    assert not ask("hub:CohereLabs/c4ai-command-r-v01", acme).cleared
    cohere = letter(tmp_path, "cohere.pdf", granted_by="Cohere")
    assert ask("hub:CohereLabs/c4ai-command-r-v01", acme, cohere).cleared


# --- when


def test_a_permission_of_tomorrow_is_refused(tmp_path: Path) -> None:
    recipe = make(tmp_path, CLAUDE, letter(tmp_path, date="2026-11-27"))
    with pytest.raises(RecipeError, match=r"use\.permission\.date: 2026-11-27 is in the future"):
        decide(recipe, TODAY)
    assert decide(recipe, date(2026, 11, 27)).cleared


def test_a_permission_that_ran_out_clears_nothing_and_says_so(tmp_path: Path) -> None:
    recipe = make(tmp_path, CLAUDE, letter(tmp_path, expires="2026-11-26"))
    assert decide(recipe, TODAY).cleared  # on its last day
    late = decide(recipe, date(2026, 11, 27))
    assert not late.cleared
    assert any("use.permission ran out on 2026-11-26" in warning for warning in late.warnings)
    with pytest.raises(RecipeError, match=r"use\.permission\.expires: 2026-10-01 is before its date"):
        decide(make(tmp_path, CLAUDE, letter(tmp_path, expires="2026-10-01")), TODAY)


def test_the_faults_of_a_further_permission_are_told_with_its_place(tmp_path: Path) -> None:
    further = letter(tmp_path, "second.pdf")
    recipe = make(tmp_path, CLAUDE, letter(tmp_path), further)
    (tmp_path / "second.pdf").unlink()
    with pytest.raises(RecipeError, match=r"use\.more_permissions\.0\.file: .*second\.pdf does not exist"):
        decide(recipe, TODAY)


# --- what the stage remembers

TERMS = next(stage for stage in STAGES if stage.name == "terms")


def test_a_permission_file_that_changes_does_the_stage_again(tmp_path: Path) -> None:
    recipe = make(tmp_path, BEDROCK, letter(tmp_path), letter(tmp_path, "aws.pdf", granted_by="AWS"), use=COMPETES)
    before = stage_inputs(TERMS, recipe, tmp_path)
    assert stage_inputs(TERMS, recipe, tmp_path) == before
    (tmp_path / "aws.pdf").write_bytes(b"you may not")
    after = stage_inputs(TERMS, recipe, tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"more_permission_files", "decision"}


def test_a_recipe_without_the_later_keys_reads_what_it_did(tmp_path: Path) -> None:
    """Names of what the stages read before there were these keys: a run that was finished then stays finished."""
    recipe = make(tmp_path, {"model": "hub:Qwen/Qwen3-8B"}, letter(tmp_path))
    read = TERMS.reads(recipe)
    assert set(read) == {"teacher", "use", "permission_file", "decision"}
    facts = {"purpose", "competes_with_teacher_provider", "distributed", "commercial", "permission"}
    assert set(read["use"]) == facts
    assert set(read["use"]["permission"]) == {"file", "granted_by", "date"}
    assert set(read["decision"]) == {
        "verdict", "cleared", "rule", "document", "section", "version_or_date", "url", "layers", "obligations",
        "missing_facts", "reason", "remedy", "teacher", "permission_sha256",
    }  # fmt: skip
    export = next(stage for stage in STAGES if stage.name == "export")
    filled = export.reads(recipe)["recipe"]
    assert set(filled["use"]) == facts
    assert "license" not in filled["prompts"]


@pytest.mark.parametrize("license_id", ["mit", "cc-by-4.0"])
def test_the_prompts_licence_does_the_terms_again_and_the_prompts_not(tmp_path: Path, license_id: str) -> None:
    without, given = (make(tmp_path, {"model": "hub:Qwen/Qwen3-8B"}, license_id=one) for one in (None, license_id))
    assert TERMS.reads(without) != TERMS.reads(given)
    prompts = next(stage for stage in STAGES if stage.name == "prompts")
    assert prompts.reads(without) == prompts.reads(given)
