"""The report's section on what vanishes first: one row a probe, and answers in which something was lost."""

from collections.abc import Mapping
from typing import Any, Final

from potstill.evaluate.meanings import PROBES
from potstill.evaluate.reporting.wording import capital, cell, printed
from potstill.evaluate.summary import format_interval, format_value, mapping, mappings, number, plural

_TITLES: Final = {
    "empty_fields": ("Fields left empty", "fields that both answers could fill"),
    "abstention": ("Refusing, or saying that it does not know", "answers"),
    "clarifying": ("Asking back", "answers"),
    "format": ("Answers in a set form", "answers"),
    "rare_format": ("Answers in a form that training hardly saw", "answers"),
    "own_abstain": ("Own probes: abstaining", "probes"),
    "own_refuse": ("Own probes: refusing", "probes"),
    "own_clarify": ("Own probes: asking back", "probes"),
    "own_empty_fields": ("Own probes: fields that must be empty", "probes"),
    "own_format": ("Own probes: the form asked for", "probes"),
    "made_empty_fields": ("Made probes: a value taken out of the prompt", "probes"),
}


def probes_section(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """Rows, and the examples of each probe that has some; None in an evaluation of before there were probes."""
    probes = [one for one in mappings(evaluation.get("probes")) if str(one.get("name")) in _TITLES]
    if not probes:
        return None
    figures = mapping(evaluation.get("figures"))
    shown = [one for one in probes if (number(one.get("cases")) or 0) > 0]
    without = [_TITLES[str(one["name"])][0] for one in probes if one not in shown]
    return {
        "rows": [_row(one, figures) for one in shown],
        "without": ", ".join(title[:1].lower() + title[1:] for title in without),
        "examples": [
            {"title": _TITLES[str(one["name"])][0], "answers": [_example(example) for example in examples]}
            for one in shown
            if (examples := mappings(one.get("examples")))
        ],
    }


def _row(probe: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    title, unit = _TITLES[str(probe["name"])]
    names = mapping(probe.get("figures"))
    measured = [str(names[key]) for key in ("lost", "new") if str(names.get(key)) in PROBES]
    p_value = number(probe.get("p_holm"))
    return {
        "title": title,
        "meaning": " ".join(f"{capital(PROBES[name].title)}: {PROBES[name].meaning}" for name in measured),
        "cases": f"{printed(probe.get('cases'))} {unit}",
        "roles": [_share(mapping(probe.get(role))) for role in ("teacher", "student")],
        "lost": _lost(probe, figures, "lost"),
        "new": _lost(probe, figures, "new"),
        "p": "–" if p_value is None or probe.get("teacher") is None else f"{p_value:.2g}",
    }


def _share(model: Mapping[str, Any]) -> dict[str, str]:
    """How often a model does it: the count, and the share with its interval where there were enough prompts."""
    if number(model.get("count")) is None:
        return {"value": "not asked", "interval": ""}
    share = number(model.get("share"))
    interval = format_interval("lost_format", model.get("low"), model.get("high"))
    told = "" if share is None else format_value("lost_format", share) + (f" ({interval})" if interval else "")
    return {"value": printed(model.get("count")), "interval": told}


def _lost(probe: Mapping[str, Any], figures: Mapping[str, Any], key: str) -> dict[str, str]:
    name, does = mapping(probe.get("figures")).get(key), number(mapping(probe.get("teacher")).get("count"))
    if name is None:
        return {"value": "–", "interval": ""}
    if f"probe.{name}" in figures:
        return cell(figures, f"probe.{name}")
    cases, least = number(probe.get("cases")), number(probe.get("least_prompts"))
    if does is None or cases is None or least is None:
        return {"value": "not enough cases", "interval": ""}
    there = does if key == "lost" else cases - does
    return {
        "value": "not enough cases",
        "interval": f"{printed(there)}, from fewer than {plural(int(least), 'prompt')}",
    }


def _example(example: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(example.get(name) or "") for name in ("prompt", "teacher", "student", "detail")}
