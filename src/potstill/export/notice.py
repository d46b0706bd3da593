"""NOTICE.txt: what the terms want shown, passed on or left undone, for whoever receives the student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.config import Recipe
from potstill.export.lineage import layers_of, shown_teacher
from potstill.export.obligations import NO_ADVICE, NOT_PASSED_ON, conditional_displays, displays, has

NOTICE = "NOTICE.txt"
_ASKS = (
    "display", "attribution", "flow_down_use_restrictions", "share_alike", "student_is_derivative", "inherits",
    "noncommercial_only", *NOT_PASSED_ON,
)  # fmt: skip


def write_notice(recipe: Recipe, terms_facts: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Write NOTICE.txt into `folder` where an obligation asks for a word in it; gives its name, or nothing."""
    if not has(terms_facts, *_ASKS):
        return ()
    (folder / NOTICE).write_text(notice_text(recipe, terms_facts), encoding="utf-8")
    return (NOTICE,)


def notice_text(recipe: Recipe, terms_facts: Mapping[str, Any]) -> str:
    """The whole notice."""
    parts = [f"{recipe.name}", *displays(terms_facts), *limits(terms_facts)]
    parts.append(f"Made by distillation from {shown_teacher(recipe)}, under these terms:\n{terms_list(terms_facts)}")
    for text, condition in conditional_displays(terms_facts):
        parts.append(f"Show “{text}” where this holds: {condition}.")
    if has(terms_facts, "flow_down_use_restrictions"):
        parts.append(
            "The restrictions on use in these terms bind whoever receives this model, and whoever gets it from there."
        )
    if has(terms_facts, "share_alike"):
        parts.append("What is made from this model is passed on under the same licence only.")
    return "\n\n".join((*parts, NO_ADVICE)) + "\n"


def limits(terms_facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What nobody may do with the student, in one sentence each, for the notice and the head of the card."""
    blocked = ("Not to be distributed.",) if has(terms_facts, *NOT_PASSED_ON) else ()
    return (*blocked, *(("Non-commercial use only.",) if has(terms_facts, "noncommercial_only") else ()))


def terms_list(terms_facts: Mapping[str, Any]) -> str:
    """The terms of every layer, of ancestors and services too, a line each."""
    return "\n".join(f"- {one.name}: {one.dated}{f', {one.url}' if one.url else ''}" for one in layers_of(terms_facts))
