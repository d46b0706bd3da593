"""Where the student fails: its figures on slices of the held-out prompts, and which differ from the rest."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from potstill.config import Evaluate
from potstill.evaluate.measures import ByPrompt, Measure
from potstill.evaluate.slice_floors import MIN_PROMPTS_OF_SLICE
from potstill.evaluate.slice_kinds import Slice
from potstill.stats import Interval, differs_from_rest, holm

SURE: Final = 0.05  # the chance of any false finding among all slices of a run


def slice_rows(
    scores: ByPrompt, slices: Sequence[Slice], evaluate: Evaluate, *, permutations: int = 10_000
) -> list[dict[str, Any]]:
    """evaluation["slices"]: one row a slice and figure; of a metric M also rows teacher.M and retention.M.

    The row of a fidelity figure is tested for a difference between slice and rest, the row of a metric for a
    difference in what the student loses against the teacher. `p_adjusted` is Holm's over all tests of the run: slices
    of two dimensions overlap and figures depend on each other in any direction, and his bound holds whatever they do.
    Slices of fewer than 30 prompts are `small`: not tested, and no part of the family.
    """
    draws = {"resamples": evaluate.resamples, "seed": evaluate.seed}
    rows: list[dict[str, Any]] = []
    for name in _figures(scores):
        measure = scores.measures[name]
        of_figure = [row for one in slices for row in _rows(name, measure, one, draws)]
        _test(of_figure, measure, slices, permutations=permutations, seed=evaluate.seed)
        rows += of_figure
    tested = [row for row in rows if row["p_value"] is not None]
    for row, adjusted in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        row["p_adjusted"] = float(adjusted)
        if adjusted > SURE:
            row["against_rest"] = "no difference shown"
    place = {(one.dimension, one.name): at for at, one in enumerate(slices)}
    return sorted(rows, key=lambda row: place[row["dimension"], row["name"]])


def _figures(scores: ByPrompt) -> list[str]:
    """The figures that slices are shown in: agreement and KL, or chrF where there are none, and the task's metrics."""
    fidelity = [name for name in ("top1_agreement", "kl_nats") if name in scores.measures] or ["chrf"]
    return [*fidelity, *scores.task_metrics]


def _rows(name: str, measure: Measure, one: Slice, draws: dict[str, int]) -> list[dict[str, Any]]:
    def row(figure: str, value: Interval | None, rest: Interval | None, unit: str) -> dict[str, Any] | None:
        if value is None:
            return None
        return {
            "dimension": one.dimension, "name": one.name, "n": value.n, "figure": figure, "value": value.value,
            "low": value.low, "high": value.high, "unit": unit, "rest": rest.value if rest is not None else None,
            "small": value.n < MIN_PROMPTS_OF_SLICE, "tested": None, "p_value": None, "p_adjusted": None,
            "against_rest": None,
        }  # fmt: skip

    few = draws | {"resamples": 1}  # of the rest only the value is told

    def both(teacher: bool) -> tuple[Interval | None, Interval | None]:
        return measure.mean(one.members, teacher=teacher, **draws), measure.mean(~one.members, teacher=teacher, **few)

    found = [row(name, *both(False), measure.unit)]
    if measure.teacher is not None:
        found.append(row(f"teacher.{name}", *both(True), measure.unit))
        kept = measure.retention(one.members, **draws), measure.retention(~one.members, **few)
        found.append(row(f"retention.{name}", *kept, "student / teacher"))
    return [one for one in found if one is not None]


def _test(rows: Sequence[dict[str, Any]], measure: Measure, slices: Sequence[Slice], **draws: int) -> None:
    """Put a p-value and its direction into each student's row that has prompts enough, in the slice and outside."""
    there = measure.counts > 0
    own = {(row["dimension"], row["name"]): row for row in rows if "." not in row["figure"]}
    large = [
        one for one in slices
        if min((one.members & there).sum(), (~one.members & there).sum()) >= MIN_PROMPTS_OF_SLICE
    ]  # fmt: skip
    if not large:
        return
    loss, counts = measure.loss[there], measure.counts[there]
    members = np.stack([one.members[there] for one in large], axis=1)
    p_values = differs_from_rest(loss, members, counts, **draws)
    for one, inside, p_value in zip(large, members.T, p_values, strict=True):
        mean, rest = (loss[of].sum() / counts[of].sum() for of in (inside, ~inside))
        own[one.dimension, one.name] |= {
            "tested": "value" if measure.teacher is None else "student - teacher",
            "p_value": float(p_value),
            "against_rest": "worse" if mean > rest else "better",
        }
