"""The outcome of an evaluation in a few lines of text: figures with their intervals, conditions, the decision."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError


def read_evaluation(folder: Path) -> dict[str, Any]:
    """evaluation.json of a run folder. Raises PotstillError where it is missing or damaged."""
    path = folder / "evaluation.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PotstillError(f"{path}: not there; the evaluate stage writes it") from None
    except ValueError as error:
        raise PotstillError(f"{path}: not valid JSON ({error}); delete it and run again") from None
    return data


def read_decision(folder: Path) -> dict[str, Any]:
    """The decision of a run folder's evaluation: its word, reason and conditions."""
    decision: dict[str, Any] = read_evaluation(folder)["decision"]
    return decision


def summary_lines(folder: Path) -> list[str]:
    """The student's figures, what `accept:` asked of them, the decision, and where the report is."""
    evaluation = read_evaluation(folder)
    conditions = {one["figure"]: one for one in evaluation["decision"].get("conditions", [])}
    figures = {name: one for name, one in evaluation["figures"].items() if "." not in name or name in conditions}
    width = max((len(name) for name in figures), default=0)
    lines = [f"  {name:<{width}}  {_figure(one)}{_condition(conditions.get(name))}" for name, one in figures.items()]
    decision = evaluation["decision"]
    lines += [f"  slices: {one['why']}" for one in decision.get("floors", [])]
    return [*lines, f"decision: {decision['word']} ({decision['reason']})", f"report: {folder / 'report.html'}"]


def _figure(figure: Mapping[str, Any]) -> str:
    text = f"{figure['value']:.3f}"
    if figure.get("low") is not None and figure.get("high") is not None:
        text += f" ({figure['low']:.3f} to {figure['high']:.3f}, n={figure['n']})"
    return text


def _condition(condition: Mapping[str, Any] | None) -> str:
    if condition is None:
        return ""
    met = {"yes": "met", "no": "missed"}.get(condition["met"], "undecided")
    return f"  asked {condition['operator']} {condition['threshold']:g}: {met}"
