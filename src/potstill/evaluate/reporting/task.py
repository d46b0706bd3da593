"""The report's section on answers against references; None in a run whose recipe has no task."""

from collections.abc import Mapping, Sequence
from typing import Any

from potstill.evaluate.decision import MIN_PROMPTS
from potstill.evaluate.meanings import CLOSED_SET, TASK
from potstill.evaluate.reporting.self_agreement import verdict
from potstill.evaluate.reporting.wording import capital, cell, printed, role_title
from potstill.evaluate.summary import figure_title, format_value, mapping, number, plural


def task_section(evaluation: Mapping[str, Any], baselines: Sequence[str]) -> dict[str, Any] | None:
    """What was compared with what, and one row a metric: each model's figure, and the student's retention."""
    task, figures = mapping(evaluation.get("task")), mapping(evaluation.get("figures"))
    metrics = mapping(task.get("metrics"))
    if not metrics:
        return None
    models = ("teacher_again", *baselines, *CLOSED_SET)
    shown = [one for one in models if any(f"{one}.{name}" in figures for name in metrics)]
    graded = number(mapping(task.get("references")).get("graded"))
    return {
        "says": _compared(mapping(task.get("references"))),
        "labels": _labels(mapping(task.get("labels"))) + _closed_set(mapping(task.get("closed_set"))),
        "thin": plural(int(graded), "held-out prompt") if graded is not None and graded < MIN_PROMPTS else None,
        "models": [capital(role_title(one)) for one in ("teacher", "student", *shown)],
        "rows": [_row(name, mapping(one), evaluation, shown) for name, one in metrics.items()],
    }


def _compared(references: Mapping[str, Any]) -> str:
    graded, there, prompts = (number(references.get(key)) for key in ("graded", "with_reference", "prompts"))
    told = (
        f"Answers to {printed(graded)} of {printed(prompts)} held-out prompts are compared with the references in "
        f"{printed(references.get('file'))}."
    )
    if graded is not None and there is not None and graded < there:
        told += (
            f" {plural(int(there - graded), 'prompt')} with a reference counted for no model, because the teacher has "
            "no usable answer there."
        )
    return told


def _labels(labels: Mapping[str, Any]) -> str:
    """How labels were chosen; an empty text where the task has none."""
    count = number(labels.get("count"))
    if count is None:
        return ""
    told = f"Each of {count:,.0f} labels was scored as the whole answer, and the likeliest is the one chosen."
    if labels.get("teacher") != "scored":
        told += (
            " Of the teacher, whose probabilities were not to be had, it is the one label that its answer names; "
            f"{printed(labels.get('teacher_unnamed'))} of its answers name none, which counts as wrong."
        )
    return told


def _closed_set(facts: Mapping[str, Any]) -> str:
    """What the baselines without a language model learned from; an empty text where there are none."""
    if not facts:
        return ""
    return (
        " Two baselines take no language model: the label that the teacher gave most often, and TF-IDF of the prompt "
        f"with logistic regression. Both learned from the {printed(facts.get('named'))} of the teacher's "
        f"{printed(facts.get('answers'))} training answers that name one label."
    )


def _row(
    name: str, metric: Mapping[str, Any], evaluation: Mapping[str, Any], baselines: Sequence[str]
) -> dict[str, Any]:
    figures = mapping(evaluation.get("figures"))
    low, high = (format_value(name, metric.get(end)) for end in ("low", "high"))
    own = f"A function of the recipe's own, from {low} to {high}; more is better."
    prompts = mapping(figures.get(name)).get("n")
    return {
        "title": capital(figure_title(name)),
        "meaning": TASK[name].meaning if name in TASK else own,
        "cells": [cell(figures, one) for one in (f"teacher.{name}", name, *(f"{of}.{name}" for of in baselines))],
        "retention": _retention(name, metric, figures),
        "verdict": verdict(evaluation, f"retention.{name}"),
        "n": printed(prompts),
    }


def _retention(name: str, metric: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, str]:
    if f"retention.{name}" in figures:
        return cell(figures, f"retention.{name}")
    negative = (number(metric.get("low")) or 0) < 0
    return {"value": "none", "interval": "the metric can be negative" if negative else "the teacher scores 0"}
