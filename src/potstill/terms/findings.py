"""One layer of terms against the facts in `use:`: cleared, stopped, or waiting for a fact that the recipe must give."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from potstill.config import FIRST, ModelStudent, PrunedStudent, Recipe
from potstill.records import Verdict
from potstill.terms.layers import Layer
from potstill.terms.rules import Rule
from potstill.terms.weights import weights_rules

_PERMIT = "record the owner's written permission as use.permission: {file, granted_by, date}"
_COMPETES = "use.competes_with_teacher_provider"
PROMPTS = "prompts"  # in place of a teacher's name, where the prompts' own licence binds

# Obligations that a fact of the recipe must meet: the key in `use:`, the value that fits, and what the value means.
_FACTS = {
    "noncommercial_only": ("commercial", False, "not commercial"),
    "internal_only": ("distributed", False, "not distributed"),
    "block_distribution": ("distributed", False, "not distributed"),
    "block_distribution_of_generative_student": ("distributed", False, "not distributed"),
}

# Obligations that no fact in the recipe shows; a person has to look.
_FOR_A_PERSON = {
    "region_excluded": "grants nothing in {value}",
    "mau_max": "needs another licence above {value} monthly users",
    "revenue_max": "needs another licence above {value} US dollars of yearly revenue",
    "maas_revenue_threshold": "has a further condition for hosting services with revenue above {value}",
    "registration": "asks for a registration before commercial use",
    "manual_review": "has parts that nobody has read for Potstill: read it before you rely on this",
    "share_alike": "asks that what is adapted from it is passed on under it: ask whether a student is",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one layer says to this recipe. `missing` names recipe keys; with any, the layer is not cleared."""

    layer: Layer
    verdict: Verdict
    reason: str
    remedy: str = ""
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    by_permission: str | None = None  # the field of the recipe that holds it
    teacher: str = FIRST  # the name of the teacher that the layer binds; PROMPTS for a layer of the prompts

    @property
    def cleared(self) -> bool:
        """Whether the layer lets the run go on."""
        return not self.remedy and not self.missing

    def permitted(self, field: str) -> "Finding":
        """The same layer, cleared by a written permission; what it says of itself stays in the reason."""
        return replace(self, remedy="", missing=(), by_permission=field)


def judge(layer: Layer, recipe: Recipe, teacher: str = FIRST) -> Finding:
    """Set one layer of a teacher against the recipe's facts and student; a permission is not looked at here."""
    rule = layer.rule
    if layer.kind == "prompts" and (rule is None or rule.output_training == "unknown"):
        return _unknown_prompts(layer)
    if rule is None:
        return _no_rule(layer, teacher)
    says = f"{rule.provider}: {_sentence('; '.join(rule.conditions[:2]))}"
    warnings = tuple(_for_a_person(rule, recipe))
    finding = Finding(layer, rule.output_training, says, warnings=warnings, teacher=teacher)
    competes = recipe.use.competes_with_teacher_provider
    match rule.output_training:
        case "unknown":
            return replace(finding, remedy=f"Read {rule.url} and correct the rule (docs/terms.md), or {_PERMIT}.")
        case "prohibited" if not _of_the_family(rule, recipe, teacher):
            return replace(finding, remedy=_instead(rule, teacher))
        case "prohibited_if_competing" if competes is True:
            remedy = f"The recipe says {_COMPETES}: true. Choose {_other(teacher)}, or {_PERMIT}."
            return replace(finding, remedy=remedy)
        case "prohibited":
            finding = replace(
                finding, reason=f"{says} The student is made from the teacher's own weights, which it excepts."
            )
    finding = _with_facts(finding, rule, recipe)
    if rule.output_training == "prohibited_if_competing" and competes is None and not finding.remedy:
        return replace(finding, missing=(_COMPETES, *finding.missing))
    return finding


def _no_rule(layer: Layer, teacher: str) -> Finding:
    where = "teacher" if teacher == FIRST else f"more_teachers.{teacher}"
    known = layer.settled_by_license
    settle = f"give {where}.license (an id such as apache-2.0) where you know it, " if known else ""
    return Finding(
        layer,
        "unknown",
        f"No rule says what the outputs of {layer.name} may be used for.",
        f"Read its terms, then {settle}add a rule (docs/terms.md), or {_PERMIT}.",
        teacher=teacher,
    )


def _unknown_prompts(layer: Layer) -> Finding:
    """Prompts under terms that nobody has read: for a person to look at, since most that are passed on may be used."""
    warning = f"{layer.name}: no rule says whether such prompts may be trained on; read it before you rely on this"
    reason = f"No rule says what {layer.name} permits."
    return Finding(layer, "conditional", reason, warnings=(warning,), teacher=PROMPTS)


def _with_facts(finding: Finding, rule: Rule, recipe: Recipe) -> Finding:
    """Stop where a fact does not fit an obligation; ask where it is not given."""
    for fact, meaning in _unfit_facts(rule, recipe, given=True):
        reason = f"{finding.reason} The use must be {meaning}, and the recipe says {fact}: true."
        remedy = f"Change the use, choose {_other(finding.teacher)}, or {_PERMIT}."
        return replace(finding, reason=reason, remedy=remedy)
    missing = tuple(fact for fact, _ in _unfit_facts(rule, recipe, given=False))
    return replace(finding, missing=missing)


def _unfit_facts(rule: Rule, recipe: Recipe, given: bool) -> Iterator[tuple[str, str]]:
    """Facts that an obligation needs and that are given but do not fit (or, with given=False, are not given)."""
    for obligation, (key, fitting, meaning) in _FACTS.items():
        value = getattr(recipe.use, key)
        if rule.has(obligation) and ((value is not None and value != fitting) if given else value is None):
            yield f"use.{key}", meaning


def _of_the_family(rule: Rule, recipe: Recipe, teacher: str) -> bool:
    """Whether the rule's ban excepts the teacher's own family and the student is made from weights of it.

    A pruned student is cut from the first teacher, so for another one that has to be of the same rule.
    """
    if not rule.has("same_family_student_only"):
        return False
    student = recipe.student
    if isinstance(student, PrunedStudent):
        return teacher == FIRST or rule.id in weights_rules(recipe.teacher.model or "")
    return isinstance(student, ModelStudent) and rule.id in weights_rules(student.model)


def _instead(rule: Rule, teacher: str) -> str:
    family = rule.values("same_family_student_only")
    student = f"take a student made from {family[0]} weights (pruned, or a model of it), " if family else ""
    return f"Choose {_other(teacher)}, {student}or {_PERMIT}."


def _other(teacher: str) -> str:
    return "other prompts" if teacher == PROMPTS else "another teacher"


def _for_a_person(rule: Rule, recipe: Recipe) -> Iterator[str]:
    for obligation in rule.obligations:
        name, _, value = obligation.partition(":")
        if name in _FOR_A_PERSON:
            yield f"{rule.document} {_FOR_A_PERSON[name].format(value=_readable(value))} ({rule.url})"
    for prefix in rule.values("name_prefix"):
        if recipe.use.distributed is not False and not recipe.name_begins_with(prefix):
            yield f"{rule.document} wants a distributed student's name to begin with {prefix!r}: export will ask for it"


def _readable(value: str) -> str:
    return f"{int(value):,}" if value.isdigit() else value.replace("|", ", ").replace(":", " for ")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."
