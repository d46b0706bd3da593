"""The obligations that a rule may carry, each with the form of its value and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Obligation:
    """What stands behind the name and a colon, and the meaning for a reader."""

    value: Literal["none", "text", "number"]
    meaning: str


# A name that is not here is refused: a misspelt obligation would be enforced by nobody.
OBLIGATIONS: Mapping[str, Obligation] = {
    "attribution": Obligation("none", "Name the teacher and its licence wherever the student is passed on."),
    "aup": Obligation("none", "An acceptable use policy applies besides the document."),
    "block_distribution": Obligation("none", "The student must not be distributed."),
    "block_distribution_of_generative_student": Obligation(
        "none", "A student that writes text must not be distributed."
    ),
    "display": Obligation("text", "This notice has to be shown; alternatives are separated by |."),
    "flow_down_use_restrictions": Obligation("none", "The use restrictions have to be passed on with the student."),
    "guardrail_clause": Obligation("none", "The grant ends where the model's guardrails are bypassed without others."),
    "include_license_copy": Obligation("none", "A copy of the licence goes with the weights."),
    "inherits": Obligation("text", "The rules with these ids bind too; several are separated by |."),
    "inherits_model_terms": Obligation(
        "none", "The service passes on others' models: each model's own terms bind too."
    ),
    "internal_only": Obligation("none", "For use inside the own organisation only."),
    "judge_use_ok": Obligation("none", "The document permits to judge other models with the outputs."),
    "maas_revenue_threshold": Obligation(
        "number", "Hosting services with more yearly revenue than this, in US dollars, have a further condition."
    ),
    "manual_review": Obligation("none", "Parts of the document were not read: a person has to."),
    "mau_max": Obligation("number", "Above so many monthly active users another licence is needed."),
    "name_prefix": Obligation("text", "The name of a distributed student begins with this."),
    "no_automated_extraction": Obligation("none", "Outputs must not be collected by automated means."),
    "no_image_outputs": Obligation("none", "Image outputs are restricted further than text."),
    "no_websearch_outputs": Obligation("none", "Outputs that quote web searches are restricted further."),
    "noncommercial_only": Obligation("none", "Non-commercial use only."),
    "notice_file": Obligation("none", "The NOTICE file goes with the weights."),
    "region_excluded": Obligation("text", "The document grants nothing in these regions; several are separated by |."),
    "registration": Obligation("none", "Commercial use needs a registration with the owner."),
    "revenue_max": Obligation("number", "Above this yearly revenue, in US dollars, another licence is needed."),
    "same_family_student_only": Obligation(
        "text", "The ban excepts students that are made from weights of this family."
    ),
    "share_alike": Obligation(
        "none", "Adapted material that is shared comes under the same licence; whether a student is any is unsettled."
    ),
    "student_is_derivative": Obligation("none", "The student counts as a derivative: the same document binds it."),
    "written_approval_override": Obligation("none", "The document itself says that a written approval permits more."),
}


def known_obligation(text: str) -> bool:
    """Whether this is an obligation with the value that its name asks for."""
    name, colon, value = text.partition(":")
    match OBLIGATIONS[name].value if name in OBLIGATIONS else "":
        case "none":
            return not colon
        case "text":
            return bool(value.strip())
        case "number":
            return value.isascii() and value.isdigit()
    return False


def meaning(text: str) -> str:
    """An obligation such as name_prefix:Llama in words, with its value behind them; an unknown one as it stands."""
    name, _, value = text.partition(":")
    if name not in OBLIGATIONS:
        return text
    shown = f"{int(value):,}" if value.isascii() and value.isdigit() else value.replace("|", " or ")
    return OBLIGATIONS[name].meaning + (f" ({shown})" if shown else "")
