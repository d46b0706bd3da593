"""Which licence and which ancestor a student's card names, from the recipe and the terms that cleared it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from potstill.config import ModelStudent, PrunedStudent, Recipe, Teacher
from potstill.models.reference import KNOWN_WHEELS, HubReference, PypiReference, parse_reference, without_place

# Licence ids of the model hub, where the rule that decided has another name for the same licence.
_BY_RULE = {"gemma-terms": "gemma", "bigcode-openrail-m-v1": "bigcode-openrail-m"}
_SAME_ID = {
    "apache-2.0", "mit", "cc-by-nc-4.0", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4",
    "bigscience-openrail-m",
}  # fmt: skip


def license_id(terms_facts: Mapping[str, Any]) -> str:
    """The hub's id of the teacher's licence, "other" where the rule that decided has none.

    The rule decides and not `teacher.license`: a permissive tag must not hide the licence of an ancestor.
    """
    rule = str(terms_facts.get("rule"))
    document = str(terms_facts.get("document"))
    if rule in _BY_RULE or rule in _SAME_ID:
        return _BY_RULE.get(rule, rule)
    if document.startswith("Apache License 2.0"):
        return "apache-2.0"
    return "mit" if document == "MIT" or document.startswith("MIT;") else "other"


def base_model(recipe: Recipe) -> str | None:
    """ORG/NAME of the weights that training began with, where they have such a name."""
    if isinstance(recipe.student, PrunedStudent):
        reference = recipe.teacher.model
    else:
        reference = recipe.student.model if isinstance(recipe.student, ModelStudent) else None
    if reference is None:
        return None
    parsed = parse_reference(reference)
    if isinstance(parsed, HubReference):
        return parsed.repository
    if isinstance(parsed, PypiReference):
        known = KNOWN_WHEELS.get((parsed.distribution, parsed.version))
        return known.upstream if known else None
    return None


def shown_teachers(recipe: Recipe) -> dict[str, str]:
    """The teachers' names for a reader elsewhere, by their names in the recipe: a folder without its place here."""
    return {name: _shown(one) for name, one in recipe.teachers.items()}


def shown_teacher(recipe: Recipe) -> str:
    """All teachers in one phrase."""
    *others, last = shown_teachers(recipe).values()
    return f"{', '.join(others)} and {last}" if others else last


def _shown(teacher: Teacher) -> str:
    if teacher.endpoint is not None:
        return f"{teacher.endpoint.model} at {urlsplit(teacher.endpoint.base_url).hostname}"
    return without_place(teacher.model or "")
