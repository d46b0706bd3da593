"""The terms stage: asks the gate, and records what it answered about which facts."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill import ledger
from potstill.config import Recipe
from potstill.progress import Reporter
from potstill.records import StageResult, content_hash
from potstill.run.markers import hash_or_absent
from potstill.run.record import note, plain

if TYPE_CHECKING:
    from potstill.terms import Decision

_FACTS = ("purpose", "competes_with_teacher_provider", "distributed", "commercial")


def pass_gate(recipe: Recipe) -> StageResult:
    """Ask for the Clearance. Raises TermsStopped where there is none, or where export would refuse later."""
    from potstill.export import check_before
    from potstill.terms import clear, clear_judge, clear_judges, decide, decide_each, kinship, own_rules

    decision = decide(recipe)
    facts: dict[str, Any] = {**asdict(clear(recipe)), "url": decision.url, **_for_readers(recipe, decision)}
    if recipe.more_teachers:
        kept = ("teacher", "verdict", "rule", "document", "section", "version_or_date", "url", "obligations", "reason")
        facts["teachers"] = {
            name: {key: value for key, value in asdict(one).items() if key in kept}
            for name, one in decide_each(recipe).items()
        }
    if own := own_rules(recipe.terms.rules):
        facts["own_rules"] = own
    if judge := clear_judge(recipe):  # before anything is paid for, not when the answers are there
        facts["judge"] = {"model": judge.teacher, "verdict": judge.verdict, "rule": judge.rule, "reason": judge.reason}
    if judges := clear_judges(recipe):
        kin = kinship(recipe)
        facts["evaluation_judges"] = [
            {"name": name, "model": one.teacher, "verdict": one.verdict, "rule": one.rule, "reason": one.reason,
             "kinship": kin.get(name)}
            for name, one in judges.items()
        ]  # fmt: skip
    # What export refuses for the terms' sake would otherwise stop the run after everything has been paid for.
    check_before(recipe, {**facts, "layers": layers(recipe)})
    recorded = [
        {**said, "sha256": hash_or_absent(one.file)}
        for said, one in zip(_each_permission(recipe), recipe.use.permissions.values(), strict=True)
    ]
    if recipe.use.permission is not None:
        facts["permission"] = recorded.pop(0)
    if recorded:
        facts["more_permissions"] = recorded
    return StageResult((), facts)


def record_decision(recipe: Recipe, folder: Path, reporter: Reporter) -> None:
    """Tell and record what the terms say, before the gate stops the run where they do not clear it."""
    from potstill.terms import decide, own_rules

    decision = decide(recipe)
    if decision.cleared:  # else the gate's own error says it
        reporter.say(f"terms: {decision.message}")
    for warning in decision.warnings:
        reporter.say(f"terms: warning: {warning}")
    own = own_rules(recipe.terms.rules)
    facts = plain({**asdict(decision), **({"own_rules": own} if own else {})})
    entries = [one for one in ledger.read(folder / "ledger.jsonl") if one.kind == "terms"]
    if not entries or content_hash(dict(entries[-1].facts)) != content_hash(facts):
        note(folder, "terms", facts)


def _for_readers(recipe: Recipe, decision: "Decision") -> dict[str, Any]:
    """What a person wants to see of the decision: every layer with its document, the facts given, duties in words."""
    from potstill.terms.obligations import meaning
    from potstill.terms.rules import in_force, rules

    with in_force(recipe.terms.rules):
        known = {rule.id: rule for rule in rules()}
    kept = ("document", "section", "version_or_date", "url", "checked")
    bound = [
        {"name": name, "rule": rule, "verdict": verdict}
        | (plain({key: getattr(known[rule], key) for key in kept}) if rule in known else {})
        for name, rule, verdict in decision.layers
    ]
    given = {key: value for key, value in use_facts(recipe).items() if key in _FACTS and value is not None}
    return {
        "bound_by": bound, "use": given, "warnings": list(decision.warnings),
        "obligations_mean": [meaning(one) for one in decision.obligations],
    }  # fmt: skip


def _each_permission(recipe: Recipe) -> list[dict[str, Any]]:
    use = use_facts(recipe)
    return [one for one in (use["permission"], *use.get("more_permissions", ())) if one is not None]


def use_facts(recipe: Recipe) -> dict[str, Any]:
    """The facts of the recipe; keys that came later count only where they say something."""
    data = recipe.use.model_dump(mode="json")
    for permission in (data["permission"], *data["more_permissions"]):
        for key in ("clears", "expires"):
            if permission is not None and not permission[key]:
                del permission[key]
    if not data["more_permissions"]:
        del data["more_permissions"]
    return data


def permission_files(recipe: Recipe) -> dict[str, Any]:
    """The hashes of the recorded permissions."""
    first, more = recipe.use.permission, recipe.use.more_permissions
    several = {"more_permission_files": [hash_or_absent(one.file) for one in more]} if more else {}
    return {"permission_file": hash_or_absent(first.file) if first else None, **several}


def layers(recipe: Recipe) -> list[dict[str, Any]]:
    """Every layer of terms of the teachers and the prompts, with its rule's document and obligations, for the papers.

    `teacher` is the teacher's name, or "prompts", whose layers are of the kind "data".
    """
    from potstill.terms import decide, decide_each
    from potstill.terms.rules import in_force, rules

    with in_force(recipe.terms.rules):
        known = {rule.id: rule for rule in rules()}
    kept = ("kind", "document", "version_or_date", "url", "obligations")

    def told(teacher: str, name: str, rule: str) -> dict[str, Any]:
        of_rule = plain({key: getattr(known[rule], key) for key in kept}) if rule in known else {}
        return {"teacher": teacher, "name": name, "rule": rule} | of_rule

    each = decide_each(recipe)
    of_teachers = [(teacher, name, rule) for teacher, one in each.items() for name, rule, _ in one.layers]
    several = len(each) > 1
    shown = {f"{teacher}: {name}" if several else name for teacher, name, _ in of_teachers}
    of_prompts = [(name, rule) for name, rule, _ in decide(recipe).layers if name not in shown]
    return [told(*one) for one in of_teachers] + [
        told("prompts", name, rule) | {"kind": "data"} for name, rule in of_prompts
    ]
