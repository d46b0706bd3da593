"""The gate: sets the strictest layer's verdict against the facts in `use:`, and alone gives out the Clearance.

With several teachers every layer of each counts, and so does the licence of the prompts: the strictest of all decides,
and obligations add up.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from potstill.config import Recipe, Terms, called
from potstill.errors import TermsStopped
from potstill.models.reference import without_place
from potstill.records import Clearance, Verdict
from potstill.terms.decision import NO_RULE, Decision
from potstill.terms.findings import PROMPTS, Finding, judge
from potstill.terms.layers import Layer, Route
from potstill.terms.permissions import check_permissions, hashes, in_words, permission_warnings, with_permissions
from potstill.terms.prompts import prompts_route
from potstill.terms.route import route
from potstill.terms.rules import STRICTNESS, in_force

# Of a data set's obligations those about passing the data set itself on do not reach a student; the naming and the
# sharing alike say whose they are, because without a word they are the teacher's.
_NOT_OF_PROMPTS = ("include_license_copy", "notice_file")
_OF_PROMPTS = {"attribution": "data_attribution", "share_alike": "data_share_alike"}


def decide(recipe: Recipe, today: date | None = None, prompts: bool = True) -> Decision:
    """Judge a recipe without asking anybody anything; `today` (default: now) is what a rule's age is counted from.

    With `prompts` false only the teachers' layers count. Raises RecipeError where a teacher's reference, its folder or
    a permission's file is not there, and for a permission dated after `today`.
    """
    day = today or date.today()
    ways, findings = _findings(recipe, day, prompts)
    decision = _decision(recipe, ways, findings, day)
    if not any(_own(found.layer) for found in findings):
        return decision
    # Whoever reads a decision that rules of the recipe's own took part in is told what it would be without them.
    alone = decide(recipe.model_copy(update={"terms": Terms()}), day, prompts)
    without = (
        f"rules of your own took part ({', '.join(_own_files(findings))}); without them: "
        f"{'cleared' if alone.cleared else 'stopped'}, verdict {alone.verdict}, rule {alone.rule}"
    )
    return replace(decision, warnings=(without, *decision.warnings))


def decide_each(recipe: Recipe, today: date | None = None) -> dict[str, Decision]:
    """The decision about each teacher by its name; they are cleared together or not at all, which `decide` says."""
    day = today or date.today()
    ways, findings = _findings(recipe, day, prompts=False)
    return {
        name: _decision(recipe, {name: way}, [one for one in findings if one.teacher == name], day)
        for name, way in ways.items()
    }


def _findings(recipe: Recipe, today: date, prompts: bool) -> tuple[dict[str, Route], list[Finding]]:
    """The route of every teacher and of the prompts, and what each of their layers says."""
    check_permissions(recipe, today)
    with in_force(recipe.terms.rules):
        ways = {name: route(teacher) for name, teacher in recipe.teachers.items()}
        if prompts:
            ways[PROMPTS] = prompts_route(recipe.prompts)
        found = [judge(layer, recipe, name) for name, way in ways.items() for layer in way.layers]
        return ways, with_permissions(found, recipe, today)


def _decision(recipe: Recipe, ways: Mapping[str, Route], findings: list[Finding], today: date) -> Decision:
    """The strictest of the findings, with the obligations of all of them."""
    teachers = {name: way for name, way in ways.items() if name != PROMPTS}
    several = len(teachers) > 1
    stopped = [finding for finding in findings if not finding.cleared]
    # A stop that no fact can lift is shown before one that only asks, and a strict rule before a mild one.
    deciding = max(
        stopped or [found for found in findings if found.teacher != PROMPTS],  # a clearance is the teacher's
        key=lambda found: (not found.missing, STRICTNESS.index(found.verdict)),
    )
    rule = deciding.layer.rule
    of_prompts = deciding.teacher == PROMPTS
    whose = _whose(deciding.teacher, recipe) if several and not of_prompts else ""
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
                (f"{found.teacher}: " if several and found.teacher != PROMPTS else "")
                + found.layer.name
                + _own(found.layer),
                found.layer.rule.id if found.layer.rule else NO_RULE,
                _verdict(found.layer),
            )
            for found in findings
        ),
        obligations=tuple(obligations),
        missing_facts=tuple(dict.fromkeys(fact for found in stopped for fact in found.missing)),
        reason=whose + _reason(deciding, findings, recipe),
        remedy=_remedy(stopped, deciding),
        warnings=(*(one for way in ways.values() for one in way.warnings), *_warnings(recipe, findings, today)),
        teacher="; ".join(f"{name}: {way.shown}" if several else way.shown for name, way in teachers.items()),
        permission_sha256=hashes(recipe),
        about="prompts" if of_prompts else "teacher",
    )


def clear(recipe: Recipe, prompts: bool = True) -> Clearance:
    """The Clearance that collecting needs. Raises TermsStopped (exit code 4) with the rule and what would change it."""
    decision = decide(recipe, prompts=prompts)
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
    """What a layer obliges to."""
    given = layer.rule.obligations if layer.rule else ()
    if layer.kind != "prompts":
        return given
    return tuple(
        f"{_OF_PROMPTS[one]}:{layer.name}" if one in _OF_PROMPTS else one for one in given if one not in _NOT_OF_PROMPTS
    )


def _reason(deciding: Finding, findings: list[Finding], recipe: Recipe) -> str:
    """What the deciding layer says, then stricter prompts where they did not decide, and the permissions needed."""
    rule = deciding.layer.rule
    parts = [f"Rule {rule.id} is the recipe's own ({rule.origin})."] if rule and rule.own else []
    parts.append(deciding.reason)
    if deciding.by_permission is not None:
        parts.append(in_words("It", deciding.by_permission, recipe))
    others = {found.by_permission: found.layer.name for found in findings if found.by_permission is not None}
    parts += [in_words(name, by, recipe) for by, name in others.items() if by != deciding.by_permission]
    of_prompts = [found for found in findings if found.teacher == PROMPTS]
    strictest = max(of_prompts, key=lambda found: STRICTNESS.index(found.verdict), default=deciding)
    if STRICTNESS.index(strictest.verdict) > STRICTNESS.index(deciding.verdict):
        parts.append(f"The prompts are bound more strictly: {strictest.reason}")
    return " ".join(parts)


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
    warnings += permission_warnings(recipe, findings, today)
    return list(dict.fromkeys(warnings))
