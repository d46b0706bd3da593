"""Which licences and which ancestors a student's papers name, from the recipe and the terms that cleared it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from potstill.config import FIRST, ModelStudent, PrunedStudent, Recipe, Teacher
from potstill.models.reference import KNOWN_WHEELS, HubReference, PypiReference, parse_reference, without_place

# Licence ids of the model hub, where the rule that decided has another name for the same licence.
_BY_RULE = {"gemma-terms": "gemma", "bigcode-openrail-m-v1": "bigcode-openrail-m"}
_SAME_ID = {
    "apache-2.0", "mit", "cc-by-nc-4.0", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4",
    "bigscience-openrail-m",
}  # fmt: skip
PROMPTS = "prompts"  # whose the terms of the prompts' own data set are, beside those of the teachers
_SPDX = {"apache-2.0": "Apache-2.0", "mit": "MIT", "cc-by-nc-4.0": "CC-BY-NC-4.0"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of terms that binds a teacher's outputs or the prompts: weights, an ancestor, a service, a data set."""

    teacher: str  # its name in the recipe, or PROMPTS
    name: str
    rule: str
    document: str
    date: str  # or version, of the document
    url: str
    licence: bool  # of weights; else the terms of a service
    obligations: tuple[str, ...]

    @property
    def dated(self) -> str:
        """The document with its date or version, where it has one."""
        return f"{self.document} ({self.date})" if self.date else self.document

    @property
    def hub_id(self) -> str:
        """The hub's id of the licence, "other" where it has none."""
        return license_id({"rule": self.rule, "document": self.document})

    @property
    def spdx_id(self) -> str | None:
        """The id on the SPDX licence list, None where it is not on it."""
        return _SPDX.get(self.hub_id)


def layers_of(terms_facts: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Every layer that the gate looked at, without repeats; of facts that list none, the rule that decided."""
    listed = terms_facts.get("layers") or [
        {**facts, "teacher": name, "name": facts.get("teacher")}
        for name, facts in (terms_facts.get("teachers") or {FIRST: terms_facts}).items()
    ]
    found = (
        Layer(
            teacher=str(one["teacher"]),
            name=str(one.get("name")),
            rule=str(one.get("rule")),
            document=str(one.get("document") or "no document known"),
            date=str(one.get("version_or_date") or ""),
            url=str(one.get("url") or ""),
            licence=one.get("kind", "licence") == "licence",
            obligations=tuple(one.get("obligations") or ()),
        )
        for one in listed
    )
    return tuple(dict.fromkeys(found))


def student_layers(recipe: Recipe, terms_facts: Mapping[str, Any]) -> tuple[Layer, ...]:
    """The licences that the student's own weights are under, as far as its teachers say.

    A student cut from the first teacher is under that one's licence and its ancestors'; any student is under those that
    count it as their derivative. None where neither holds: the student's own licence is for its maker to name.
    """
    pruned = isinstance(recipe.student, PrunedStudent)
    return tuple(
        one
        for one in layers_of(terms_facts)
        if one.licence and ((pruned and one.teacher == FIRST) or "student_is_derivative" in one.obligations)
    )


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
