"""The gate: sets the strictest layer's verdict against the facts in `use:`, and alone gives out the Clearance.

With several teachers every layer of each counts: the strictest of all decides, and obligations add up.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from potstill.config import Recipe, Terms, called
from potstill.errors import RecipeError, TermsStopped
from potstill.ledger import file_hash
from potstill.models.reference import without_place
from potstill.records import Clearance, Verdict
from potstill.terms.findings import Finding, judge
from potstill.terms.route import Layer, Route, route
from potstill.terms.rules import STRICTNESS, in_force

NO_ADVICE = "Potstill gives no legal advice."
NO_RULE = "none"
_WORD = re.compile(r"\w+")
_COMMON_WORDS = {"ai", "cloud", "labs", "research", "singapore"}


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer for one recipe. `rule` is the one that decided, "none" where no rule fits the teacher."""

    verdict: Verdict
    cleared: bool
    rule: str
    document: str
    section: str
    version_or_date: str
    url: str
    layers: tuple[tuple[str, str, Verdict], ...]  # name of the layer, behind that of its teacher; its rule; its verdict
    obligations: tuple[str, ...]
    missing_facts: tuple[str, ...]  # keys of the recipe that must be given, such as use.commercial
    reason: str
    remedy: str  # what would change the answer; empty where cleared
    warnings: tuple[str, ...]
    teacher: str
    permission_sha256: str | None = None

    @property
    def message(self) -> str:
        """The decision as one line that a person can act on."""
        where = f"{self.document} ({self.version_or_date}), section {self.section}"
        state = "clear" if self.cleared else "stop"
        head = f"The teacher's terms {state} this run: verdict {self.verdict}, rule {self.rule}: {where}."
        parts = (head, self.reason, self.remedy)
        return " ".join(part for part in (*parts, NO_ADVICE) if part)


def decide(recipe: Recipe, today: date | None = None) -> Decision:
    """Judge a recipe without asking anybody anything; `today` (default: now) is what a rule's age is counted from.

    Raises RecipeError where the teacher's reference, its folder or the permission's file is not there.
    """
    ways, findings = _findings(recipe)
    decision = _decision(recipe, ways, findings, today or date.today())
    if not any(_own(found.layer) for found in findings):
        return decision
    # Whoever reads a decision that rules of the recipe's own took part in is told what it would be without them.
    alone = decide(recipe.model_copy(update={"terms": Terms()}), today)
    without = (
        f"rules of your own took part ({', '.join(_own_files(findings))}); without them: "
        f"{'cleared' if alone.cleared else 'stopped'}, verdict {alone.verdict}, rule {alone.rule}"
    )
    return replace(decision, warnings=(without, *decision.warnings))


def decide_each(recipe: Recipe, today: date | None = None) -> dict[str, Decision]:
    """The decision about each teacher by its name; they are cleared together or not at all, which `decide` says."""
    ways, findings = _findings(recipe)
    return {
        name: _decision(recipe, {name: way}, [one for one in findings if one.teacher == name], today or date.today())
        for name, way in ways.items()
    }


def _findings(recipe: Recipe) -> tuple[dict[str, Route], list[Finding]]:
    """The route of every teacher, and what each of its layers says."""
    with in_force(recipe.terms.rules):
        ways = {name: route(teacher) for name, teacher in recipe.teachers.items()}
        found = [judge(layer, recipe, name) for name, way in ways.items() for layer in way.layers]
    return ways, _permitted(found, recipe)


def _decision(recipe: Recipe, ways: Mapping[str, Route], findings: list[Finding], today: date) -> Decision:
    """The strictest of the findings, with the obligations of all of them."""
    permission_sha256 = _permission_hash(recipe)
    several = len(ways) > 1
    stopped = [finding for finding in findings if not finding.cleared]
    # A stop that no fact can lift is shown before one that only asks, and a strict rule before a mild one.
    deciding = max(stopped or findings, key=lambda found: (not found.missing, STRICTNESS.index(found.verdict)))
    rule = deciding.layer.rule
    whose = _whose(deciding.teacher, recipe) if several else ""
    obligations = dict.fromkeys(given for found in findings for given in _duties(found.layer))
    return Decision(
        verdict=max((found.verdict for found in findings), key=STRICTNESS.index) if not stopped else deciding.verdict,
        cleared=not stopped,
        rule=rule.id if rule else NO_RULE,
        document=rule.document if rule else f"no document known for {deciding.layer.name}",
        section=rule.section if rule else "-",
        version_or_date=rule.version_or_date if rule else "-",
        url=rule.url if rule else "",
        layers=tuple(
            (
                (f"{found.teacher}: " if several else "") + found.layer.name + _own(found.layer),
                found.layer.rule.id if found.layer.rule else NO_RULE,
                _verdict(found.layer),
            )
            for found in findings
        ),
        obligations=tuple(obligations),
        missing_facts=tuple(dict.fromkeys(fact for found in stopped for fact in found.missing)),
        reason=whose + _reason(deciding, recipe, permission_sha256),
        remedy=_remedy(stopped, deciding),
        warnings=(*(one for way in ways.values() for one in way.warnings), *_warnings(recipe, findings, today)),
        teacher="; ".join(f"{name}: {way.teacher}" if several else way.teacher for name, way in ways.items()),
        permission_sha256=permission_sha256,
    )


def clear(recipe: Recipe) -> Clearance:
    """The Clearance that collecting needs. Raises TermsStopped (exit code 4) with the rule and what would change it."""
    decision = decide(recipe)
    if not decision.cleared:
        raise TermsStopped(decision.message)
    return Clearance(
        verdict=decision.verdict,
        rule=decision.rule,
        document=decision.document,
        section=decision.section,
        version_or_date=decision.version_or_date,
        teacher=decision.teacher,
        obligations=decision.obligations,
        reason=f"{decision.reason} See {decision.url}." if decision.url else decision.reason,
    )


def _whose(name: str, recipe: Recipe) -> str:
    """Which teacher decided; the card tells it to readers elsewhere, so without the place of a folder."""
    model = recipe.teachers[name].model  # several teachers have local weights
    who = f"{called(name)} ({without_place(model)})" if model else called(name)
    return f"{who[0].upper()}{who[1:]} decides. "


def _own(layer: Layer) -> str:
    """Behind what a rule of the recipe's own says: the file that it stands in."""
    return f" (own rule, {layer.rule.origin})" if layer.rule and layer.rule.own else ""


def _own_files(findings: list[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rule.origin for found in findings if (rule := found.layer.rule) and rule.own))


def _verdict(layer: Layer) -> Verdict:
    return layer.rule.output_training if layer.rule else "unknown"


def _duties(layer: Layer) -> tuple[str, ...]:
    return layer.rule.obligations if layer.rule else ()


def _permission_hash(recipe: Recipe) -> str | None:
    permission = recipe.use.permission
    if permission is None:
        return None
    if not permission.file.is_file():
        raise RecipeError(
            f"use.permission.file: {permission.file} does not exist; give the file that holds the permission"
        )
    return file_hash(permission.file)


def _permitted(findings: list[Finding], recipe: Recipe) -> list[Finding]:
    """The findings with those cleared that the recorded permission speaks for (docs/terms.md says which)."""
    if recipe.use.permission is None:
        return findings
    owners = {_owner(finding) for finding in findings if not finding.cleared}
    return [
        found.permitted() if not found.cleared and (len(owners) == 1 or _names(recipe, found)) else found
        for found in findings
    ]


def _owner(finding: Finding) -> str:
    return finding.layer.rule.provider if finding.layer.rule else finding.layer.name


def _names(recipe: Recipe, finding: Finding) -> bool:
    """Whether the permission's giver names the layer's provider by one of its own words, such as Anthropic."""
    permission = recipe.use.permission
    given = set(_WORD.findall(permission.granted_by.casefold())) if permission else set()
    return bool(given & (set(_WORD.findall(_owner(finding).casefold())) - _COMMON_WORDS))


def _reason(deciding: Finding, recipe: Recipe, permission_sha256: str | None) -> str:
    permission = recipe.use.permission
    rule = deciding.layer.rule
    whose = f"Rule {rule.id} is the recipe's own ({rule.origin}). " if rule and rule.own else ""
    reason = f"{whose}{deciding.reason}"
    if not deciding.by_permission or permission is None:
        return reason
    return (
        f"{reason} It is cleared by the permission of {permission.granted_by} of {permission.date} "
        f"({permission.file.name}, sha256 {permission_sha256})."
    )


def _remedy(stopped: list[Finding], deciding: Finding) -> str:
    if not stopped:
        return ""
    asked = list(dict.fromkeys(fact for found in stopped for fact in found.missing))
    if deciding.missing:
        return f"Give {' and '.join(asked)} in the recipe (true or false); Potstill does not guess."
    return deciding.remedy


def _warnings(recipe: Recipe, findings: list[Finding], today: date) -> list[str]:
    warnings = []
    for rule in dict.fromkeys(found.layer.rule for found in findings if found.layer.rule):
        if rule.checked is None:
            warnings.append(f"rule {rule.id} was not compared with its document ({rule.basis}); read it: {rule.url}")
        elif (age_days := rule.overdue_days(today)) is not None:
            warnings.append(f"rule {rule.id} was last checked {age_days} days ago, on {rule.checked}; read {rule.url}")
    for found in findings:
        warnings += found.warnings
        if found.by_permission and not _names(recipe, found):
            warnings.append(
                f"use.permission.granted_by does not name {_owner(found)}; make sure that it may permit this"
            )
    return list(dict.fromkeys(warnings))
