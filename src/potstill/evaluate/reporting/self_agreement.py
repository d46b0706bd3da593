"""The report on agreement read against the teacher's own, and the verdicts on equivalence beside retention."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from potstill.evaluate.meanings import AGREEMENT
from potstill.evaluate.reporting.wording import capital, cell, printed, role_title
from potstill.evaluate.summary import mapping, mappings, number, plural

_HOW: Final = {
    "collected": "The teacher's second answer to each held-out prompt is among those that were collected.",
    "sampled": "The teacher was asked every held-out prompt a second time, with other random numbers.",
    "reordered": "This teacher answers the same question always alike, so it was asked a second time with the fields "
    "of the prompt in another order.",
    "by construction": "This teacher answers the same question always alike, and the prompts have no fields that could "
    "be put in another order: it agrees with itself fully by construction.",
}


def self_agreement_section(evaluation: Mapping[str, Any], baselines: Sequence[str]) -> dict[str, Any] | None:
    """How the teacher was asked again, and one row a figure; None in a run of an earlier Potstill."""
    facts, figures = mapping(evaluation.get("self_agreement")), mapping(evaluation.get("figures"))
    if not facts:
        return None
    left_out = number(facts.get("left_out"))
    told = _HOW.get(str(facts.get("how")), f"The teacher was not asked again: {printed(facts.get('reason'))}.")
    if left_out and facts.get("how") is not None:
        told += f" {plural(int(left_out), 'answer')} of the teacher had no usable second one and counted for no model."
    shown = [name for name in AGREEMENT if f"teacher.{name}" in figures]
    with_figures = [one for one in baselines if any(f"{one}.{name}" in figures for name in shown)]
    return {
        "says": told,
        "models": [role_title(one) for one in ("teacher", "student", *with_figures)],
        "rows": [_row(name, evaluation, with_figures) for name in shown],
    }


def _row(name: str, evaluation: Mapping[str, Any], baselines: Sequence[str]) -> dict[str, Any]:
    figures = mapping(evaluation.get("figures"))
    kept = f"retention.{name}"
    return {
        "title": capital(AGREEMENT[name].title),
        "meaning": AGREEMENT[name].meaning,
        "cells": [cell(figures, one) for one in (f"teacher.{name}", name, *(f"{of}.{name}" for of in baselines))],
        "retention": cell(figures, kept) if kept in figures else {"value": "none", "interval": ""},
        "verdict": verdict(evaluation, kept),
        "n": printed(mapping(figures.get(name)).get("n")),
    }


def verdict(evaluation: Mapping[str, Any], figure: str) -> str:
    """Whether a retention is equivalent within the margin, and the prompts that would show it; empty where not said."""
    found = next((one for one in mappings(evaluation.get("equivalence")) if one.get("figure") == figure), {})
    margin, needed = number(found.get("margin")), number(found.get("needed_n"))
    if margin is None:
        return ""
    words = str(found.get("words")).replace("the margin", f"±{100 * margin:.3g} %")
    more = f"; about {needed:,.0f} prompts would show equivalence within ±{100 * margin:.3g} %" if needed else ""
    return f"{words}{more}"
