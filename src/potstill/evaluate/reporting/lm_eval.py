"""The report's section on lm-eval's tasks; None in a run whose recipe has none."""

from collections.abc import Mapping
from typing import Any

from potstill.evaluate.reporting.wording import cell, printed
from potstill.evaluate.summary import mapping


def lm_eval_section(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """How lm-eval was run, and one row a task and metric: teacher, student, and what the student keeps."""
    facts, figures = mapping(evaluation.get("lm_eval")), mapping(evaluation.get("figures"))
    scores = mapping(facts.get("scores"))
    if not scores:
        return None
    return {"says": _says(facts), "rows": [_row(name, mapping(one), figures) for name, one in scores.items()]}


def _says(facts: Mapping[str, Any]) -> str:
    told = f"Run by lm-eval {printed(facts.get('version'))}, as a program of its own"
    if facts.get("limit") is not None:
        told += f", on the first {printed(facts.get('limit'))} documents of each task"
    if facts.get("num_fewshot") is not None:
        told += f", with {printed(facts.get('num_fewshot'))} worked examples"
    if facts.get("apply_chat_template"):
        told += ", in each model's chat template"
    return f"{told}. These tasks are public and general: they show what else was kept, not how the job is done."


def _row(name: str, score: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    task, _, metric = name.rpartition(".")
    known = f"retention.lm_eval.{name}" in figures
    unpaired = "" if score.get("paired") or not known else "; by standard errors, not document by document"
    return {
        "title": f"{task}: {metric.replace('_', ' ')}",
        "meaning": ("Lower is better" if score.get("higher_is_better") is False else "Higher is better") + unpaired,
        "cells": [cell(figures, f"{of}lm_eval.{name}") for of in ("teacher.", "")],
        "retention": cell(figures, f"retention.lm_eval.{name}") if known else {"value": "none", "interval": ""},
        "n": printed(score.get("n")),
    }
