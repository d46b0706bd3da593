"""The tables of the report: figures, positions, slices, models, data."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from potstill.evaluate.meanings import BASELINES, WORDING
from potstill.evaluate.reporting.speed import speed_note, speed_rows, spread
from potstill.evaluate.reporting.wording import capital, cell, printed, role_title
from potstill.evaluate.summary import (
    NOT_MEASURED,
    format_interval,
    format_value,
    mapping,
    meaning_of,
    number,
)

_ROLES: Final = ("teacher", "student", *BASELINES)


def position_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Agreement at one position in the answer, with its interval and the initial student's beside it."""
    share = "top1_agreement"
    return {
        "position": printed(row.get("position")),
        "value": format_value(share, row.get("agreement")),
        "interval": format_interval(share, row.get("low"), row.get("high")),
        "initial": format_value(share, row.get("initial")),
        "n": printed(row.get("n")),
    }


def ordered_models(models: Mapping[str, Any]) -> dict[str, Any]:
    """The teacher first, then the student, its baselines, and whatever else there is."""
    return {role: models[role] for role in (*_ROLES, *models) if role in models}


def figure_row(name: str, evaluation: Mapping[str, Any], baselines: Sequence[str]) -> dict[str, Any]:
    """One figure of the student and of each baseline, with its meaning and the number of cases behind its interval."""
    figures = mapping(evaluation.get("figures"))
    figure = mapping(figures.get(name))
    cases = figure.get("n") if number(figure.get("low")) is not None else None
    return {
        "title": capital(WORDING[name].title),
        "meaning": meaning_of(name, evaluation),
        "cells": [cell(figures, name), *(cell(figures, f"{baseline}.{name}") for baseline in baselines)],
        "n": "–" if cases is None else printed(cases),
    }


def models_table(
    models: Mapping[str, Any], across: bool = False, speed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One column a model, one row a property: four columns fit a phone, eight would not.

    `across` tokenizers a perplexity is one by the byte. `speed` says how rates and prices were measured.
    """
    surprise = "Perplexity of the teacher's answers" + (", by the byte" if across else "")
    rows = (
        ("parameters", "Parameters", 1, ""), ("layers", "Layers", 1, ""), ("size_bytes", "Size on disk", 1e6, " MB"),
        ("prefill_tokens_per_s", "Prefill", 1, " tokens/s"), ("decode_tokens_per_s", "Decode", 1, " tokens/s"),
        ("peak_memory_bytes", "Peak memory", 1e6, " MB"), ("perplexity", surprise, 1, ""),
        *([] if across else [("calibration_error", "Calibration error", 1, "")]),
    )  # fmt: skip

    def shown(key: str, scale: float, unit: str, model: Any) -> str:
        found = number(mapping(model).get(key))
        if key == "perplexity" and found is not None:
            return f"{found:,.2f}"
        if key == "calibration_error":
            return format_value(key, found)
        if found is None:
            return NOT_MEASURED
        return printed(round(found / scale) if scale > 1 else found, unit) + spread(key, model)

    return {
        "roles": [role_title(role) for role in models],
        "rows": [
            (title, [shown(key, scale, unit, model) for model in models.values()]) for key, title, scale, unit in rows
        ]
        + speed_rows(models, speed or {}),
        "says": speed_note(speed or {}),
    }


def data_table(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many prompts, answers and tokens there were, and what became of those that were not trained on."""
    rejected = mapping(data.get("rejected"))
    reasons = ", ".join(f"{printed(count)} {reason}" for reason, count in rejected.items())
    optional = (
        [("Tokens of answers among them", printed(data.get("supervised_tokens")))]
        if "supervised_tokens" in data
        else []
    )
    return [
        ("Prompts to train on", printed(data.get("prompts_train"))),
        ("Prompts held out for this report", printed(data.get("prompts_holdout"))),
        ("Answers of the teacher", printed(data.get("answers"))),
        ("Answers trained on", printed(data.get("answers_trained_on"))),
        ("Answers rejected", reasons or (NOT_MEASURED if data.get("rejected") is None else "none")),
        ("Tokens trained on", printed(data.get("train_tokens"))),
        *optional,
    ]
