"""What the teachers' terms ask of a student that leaves: every kind of obligation, in words, and what export does."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from potstill.config import Recipe
from potstill.errors import TermsStopped

NO_ADVICE = "Potstill gives no legal advice."
_CONDITION = re.compile(
    r"(?P<text>\S.*?)(?:\s*\((?P<condition>[^()]*)\))?"
)  # Built with Llama (if materials contained)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of obligation. `does` is what export does about it, None where only a person can see to it."""

    words: str  # for the card; {value} is what stands behind the colon
    does: str | None = None


_NOT_PASSED_ON = "stops a student that is distributed; the card, its tags and NOTICE say so"
_IN_NOTICE = "stands in the model card and in NOTICE"

KINDS: Mapping[str, Kind] = {
    "include_license_copy": Kind("a copy of the teacher's licence goes with the weights", "copies it or stops"),
    "notice_file": Kind("the teacher's notice goes with the weights", "copies it or stops"),
    "name_prefix": Kind("a distributed student's name begins with “{value}”", "stops a distributed student without it"),
    "display": Kind("show “{value}” where the terms ask for it", _IN_NOTICE),
    "attribution": Kind("name the teacher and its licence wherever the student is passed on", _IN_NOTICE),
    "noncommercial_only": Kind("non-commercial use only", "stops a commercial use; card, tags and NOTICE say so"),
    "internal_only": Kind("not to be distributed", _NOT_PASSED_ON),
    "block_distribution": Kind("not to be distributed", _NOT_PASSED_ON),
    "block_distribution_of_generative_student": Kind("not to be distributed", _NOT_PASSED_ON),
    "student_is_derivative": Kind(
        "the student counts as a derivative of the teacher: the teacher's terms bind it too",
        "gives the student the teacher's licence in every paper",
    ),
    "flow_down_use_restrictions": Kind(
        "pass the teacher's use restrictions on to whoever receives the student", _IN_NOTICE
    ),
    "data_attribution": Kind("name the data set of the prompts wherever the student is passed on ({value})"),
    "data_share_alike": Kind("ask whether the student is to be passed on under the licence of the prompts ({value})"),
    "share_alike": Kind("what is made from it is passed on under the same licence only", _IN_NOTICE),
    "inherits": Kind("the licence of the teacher's own ancestor applies too ({value})", "lists every ancestor's terms"),
    "inherits_model_terms": Kind(
        "each model's own terms apply besides those of the service", "lists the terms of every layer"
    ),
    "aup": Kind("the teacher's acceptable use policy applies"),
    "mau_max": Kind("above {value} monthly active users another licence is needed"),
    "revenue_max": Kind("above {value} US dollars of yearly revenue another licence is needed"),
    "maas_revenue_threshold": Kind(
        "hosting services with more than {value} US dollars of revenue need another licence"
    ),
    "region_excluded": Kind("the licence grants nothing in {value}"),
    "same_family_student_only": Kind("the student must be made from {value} weights"),  # the gate has seen to it
    "registration": Kind("commercial use needs a registration with the teacher's owner"),
    "written_approval_override": Kind("a written approval of the teacher's owner can permit more"),
    "manual_review": Kind("parts of these terms were not read for Potstill: read them"),
    "guardrail_clause": Kind("the licence ends where its safety guardrails are bypassed without a substitute"),
    "judge_use_ok": Kind("the teacher may also judge other models' outputs"),
    "no_automated_extraction": Kind("the service may not be asked automatically beyond what its terms allow"),
    "no_image_outputs": Kind("images that the service makes are not covered"),
    "no_websearch_outputs": Kind("results of the service's web search are not covered"),
}
NOT_PASSED_ON = ("internal_only", "block_distribution", "block_distribution_of_generative_student")


def sentence(obligation: str) -> str:
    """An obligation such as name_prefix:Llama in words; one that has no words here is shown as it is."""
    name, _, value = obligation.partition(":")
    shown = f"{int(value):,}" if value.isdigit() else value.replace("|", "” or “" if name == "display" else ", ")
    kind = KINDS.get(name)
    return kind.words.format(value=shown) if kind is not None else obligation.replace("_", " ")


def obligations_of(terms_facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The obligations that the Clearance carries."""
    return tuple(str(given) for given in terms_facts.get("obligations") or ())


def has(terms_facts: Mapping[str, Any], *kinds: str) -> bool:
    """Whether the Clearance carries an obligation of one of these kinds."""
    return any(given.partition(":")[0] in kinds for given in obligations_of(terms_facts))


def displays(terms_facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What is to be shown, such as "Built with Qwen": the first of the wordings that the terms leave to choose from.

    A wording with a condition of its own is among `conditional_displays`, but for "if materials contained", which a
    student may be held to.
    """
    return tuple(text for text, condition in _displays(terms_facts) if condition in ("", "if materials contained"))


def conditional_displays(terms_facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is to be shown where a condition holds that only a person can judge, with the condition."""
    shown = displays(terms_facts)
    return tuple((text, condition) for text, condition in _displays(terms_facts) if text not in shown)


def _displays(terms_facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for given in dict.fromkeys(obligations_of(terms_facts)):
        name, _, value = given.partition(":")
        found = _CONDITION.fullmatch(value.split("|")[0])
        if name == "display" and found is not None:
            yield found["text"], found["condition"] or ""


def check(recipe: Recipe, terms_facts: Mapping[str, Any]) -> None:
    """Refuse a student whose name or use breaks an obligation. Raises TermsStopped, saying what to change.

    A recorded permission stands above facts of use, which the gate has asked for; it does not change a name.
    """
    check_name(recipe, terms_facts)
    where = f"{terms_facts.get('document')}, section {terms_facts.get('section')}"
    if not recipe.use.permissions:
        if recipe.use.distributed is True and has(terms_facts, *NOT_PASSED_ON):
            raise TermsStopped(
                f"use.distributed: true, but the terms ({where}) do not let this student be passed on; say false, or "
                f"record the owner's written permission as use.permission. {NO_ADVICE}"
            )
        if recipe.use.commercial is True and has(terms_facts, "noncommercial_only"):
            raise TermsStopped(
                f"use.commercial: true, but the terms ({where}) allow no commercial use; say false, or record the "
                f"owner's written permission as use.permission. {NO_ADVICE}"
            )
    if recipe.use.distributed is not False:
        _refuse_unknown(obligations_of(terms_facts), where)


def check_name(recipe: Recipe, terms_facts: Mapping[str, Any]) -> None:
    """Refuse a name that breaks a name_prefix obligation, unless the recipe says that nothing is distributed."""
    if recipe.use.distributed is False:
        return
    for obligation in obligations_of(terms_facts):
        kind, _, prefix = obligation.partition(":")
        if kind == "name_prefix" and not recipe.name_begins_with(prefix):
            example = f"{prefix.replace(' ', '-')}-{recipe.name}"
            raise TermsStopped(
                f"name: {recipe.name} must begin with {prefix!r} ({terms_facts.get('document')}, section "
                f"{terms_facts.get('section')}); change it, for example to {example}, or say use.distributed: false. "
                f"{NO_ADVICE}"
            )


def _refuse_unknown(obligations: Iterable[str], where: str) -> None:
    for obligation in obligations:
        if obligation.partition(":")[0] not in KINDS:
            raise TermsStopped(
                f"the terms ({where}) carry the obligation {obligation!r}, which export does not know how to meet; "
                f"correct the rule (docs/terms.md), or say use.distributed: false. {NO_ADVICE}"
            )
