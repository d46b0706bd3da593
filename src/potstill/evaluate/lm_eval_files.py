"""What lm-eval leaves: its results file, and one file a task of what every document came to."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError


@dataclass(frozen=True, slots=True)
class Score:
    """A metric of one task, as lm-eval gives it, and the value of each document by its id where those are numbers."""

    value: float
    error: float | None  # standard error
    n: int  # documents
    higher_is_better: bool | None  # None: lm-eval does not say
    by_document: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Results:
    """The scores by task and metric (`metric@filter` for another filter than none), and versions of the tasks."""

    scores: Mapping[tuple[str, str], Score]
    versions: Mapping[str, Any]


def read_results(folder: Path) -> Results:
    """Read what one call of lm-eval left under `folder`. Raises PotstillError where that is not what it leaves."""
    found = sorted(folder.rglob("results_*.json"))
    if len(found) != 1:
        raise PotstillError(f"evaluate.lm_eval: lm-eval left {len(found)} files of results where there should be one")
    try:
        data = json.loads(found[0].read_text(encoding="utf-8"))
        results, counts = data["results"], data.get("n-samples", {})
        better = data.get("higher_is_better", {})
        scores, written = {}, found[0].stem.removeprefix("results_")
        for task, values in results.items():
            documents = _documents(found[0].with_name(f"samples_{task}_{written}.jsonl"))
            for key, value in values.items():
                metric, comma, chosen = key.partition(",")
                if not comma or metric.endswith("_stderr") or not _is_number(value):
                    continue
                error = values.get(f"{metric}_stderr,{chosen}")
                each = documents.get((chosen, metric), {})
                scores[task, metric if chosen == "none" else f"{metric}@{chosen}"] = Score(
                    float(value), float(error) if _is_number(error) else None,
                    int(counts.get(task, {}).get("effective", len(each))), better.get(task, {}).get(metric),
                    each if each and math.isclose(sum(each.values()) / len(each), value, abs_tol=1e-6) else {},
                )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PotstillError(f"evaluate.lm_eval: {found[0].name} is not what lm-eval writes ({error})") from None
    return Results(scores, data.get("versions", {}))


def _documents(path: Path) -> dict[tuple[str, str], dict[int, float]]:
    """By filter and metric, the value of each document; metrics that are no numbers of one document are left out.

    Empty where there is no such file, as of a group of tasks.
    """
    found: dict[tuple[str, str], dict[int, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        row = json.loads(line)
        for metric in row["metrics"]:
            if _is_number(value := row.get(metric)):
                found.setdefault((row.get("filter", "none"), metric), {})[int(row["doc_id"])] = float(value)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
