"""Two students on the same held-out prompts: what changed between two runs, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from potstill.evaluate.measures import Measure
from potstill.evaluate.prompt_table import PromptTable
from potstill.evaluate.ranged import never_certain
from potstill.evaluate.slice_floors import MIN_PROMPTS_OF_SLICE
from potstill.evaluate.slice_kinds import DIMENSIONS
from potstill.stats import holm, mcnemar, sign_flip, statistic_of_sums

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "no difference shown"]

SURE = 0.05
MIN_PROMPTS_IN_COMMON = 20  # as for every conclusion from held-out prompts
_DRAWS = {"resamples": 2000, "seed": 0}


@dataclass(frozen=True, slots=True)
class Paired:
    """One figure of the old student and the new one over the same prompts. `difference` is new - old."""

    figure: str
    dimension: str | None  # of the slice; None: all prompts that both runs have
    slice: str | None
    n: int
    old: float
    new: float
    difference: float
    low: float | None
    high: float | None
    test: Literal["McNemar", "sign flip"]
    p_value: float
    p_adjusted: float
    verdict: Verdict


def compare_figures(old: PromptTable, new: PromptTable) -> list[Paired]:
    """Every figure that both have, over all prompts; the tables have the same prompts in the same order.

    P-values are adjusted by Holm over the figures, which depend on each other.
    """
    return _adjusted([_compared(name, old, new) for name in _common(old, new)])


def compare_slices(old: PromptTable, new: PromptTable, figures: Sequence[str]) -> list[Paired]:
    """These figures on each slice of the new run that has 30 prompts or more; Holm over all slices and figures."""
    found: list[Paired | None] = []
    for dimension in DIMENSIONS:
        names = new.slices[dimension]
        for name in sorted({one for one in names if one is not None}):
            members = np.array([one == name for one in names])
            found += [
                _compared(figure, old, new, members, (dimension, name), MIN_PROMPTS_OF_SLICE)
                for figure in _common(old, new) if figure in figures
            ]  # fmt: skip
    return _adjusted(found)


def incomparable(old: PromptTable, new: PromptTable) -> dict[str, str]:
    """Figures that both have under one name and that are no longer the same figure, with the reason."""
    both = [name for name in old.measures if name in new.measures]
    reasons = {}
    for name in both:
        one, other = old.measures[name], new.measures[name]
        if (one.unit, one.range) != (other.unit, other.range):
            reasons[name] = f"it is in {one.unit} in the one and {other.unit} in the other"
    return reasons


def _common(old: PromptTable, new: PromptTable) -> list[str]:
    apart = incomparable(old, new)
    return [name for name in new.measures if name in old.measures and name not in apart]


def _compared(
    name: str, old: PromptTable, new: PromptTable, members: NDArray[np.bool_] | None = None,
    where: tuple[str | None, str | None] = (None, None), at_least: int = MIN_PROMPTS_IN_COMMON,
) -> Paired | None:  # fmt: skip
    """The comparison before its p-value is adjusted; None where too few prompts have the figure in both runs."""
    one, other = old.measures[name], new.measures[name]
    there = (one.counts > 0) & (other.counts > 0) & (True if members is None else members)
    if there.sum() < at_least:
        return None
    columns = np.stack([one.sums[there], one.counts[there], other.sums[there], other.counts[there]], axis=1)
    interval = statistic_of_sums(columns, _difference, **_DRAWS)
    if one.range is not None:
        width = one.range[1] - one.range[0]
        interval = never_certain(interval, width, -width, width)
    totals = columns.sum(axis=0)
    before, after = float(totals[0] / totals[1]), float(totals[2] / totals[3])
    test, p_value = _tested(columns, one)
    verdict: Verdict = "better" if (after > before) == other.more_is_better else "worse"
    return Paired(
        name, *where, interval.n, before, after, after - before, interval.low, interval.high, test, p_value, p_value,
        verdict,
    )  # fmt: skip


def _difference(sums: Floats) -> Floats:
    found: Floats = sums[..., 2] / sums[..., 3] - sums[..., 0] / sums[..., 1]
    return found


def _tested(columns: Floats, measure: Measure) -> tuple[Literal["McNemar", "sign flip"], float]:
    """McNemar's test where a prompt is right or wrong in each run, else sign flips of what each has in the change.

    With r the figure over both runs together, prompt i's share is (s_new - r·c_new)/C_new - (s_old - r·c_old)/C_old,
    which sum to the difference; with equal counts it is (s_new - s_old)/C.
    """
    values, counts = columns[:, ::2], columns[:, 1::2]
    if measure.range == (0.0, 1.0) and (counts == 1).all() and np.isin(values, (0.0, 1.0)).all():
        first, second = values.T > 0
        return "McNemar", mcnemar(int((first & ~second).sum()), int((second & ~first).sum()))
    totals = columns.sum(axis=0)
    rate = (totals[0] + totals[2]) / (totals[1] + totals[3])
    shares = (columns[:, 2] - rate * columns[:, 3]) / totals[3] - (columns[:, 0] - rate * columns[:, 1]) / totals[1]
    return "sign flip", sign_flip(shares)


def _adjusted(found: Sequence[Paired | None]) -> list[Paired]:
    there = [one for one in found if one is not None]
    rows = []
    for one, adjusted in zip(there, holm([one.p_value for one in there]), strict=True):
        verdict: Verdict = one.verdict if adjusted <= SURE else "no difference shown"
        rows.append(replace(one, p_adjusted=float(adjusted), verdict=verdict))
    return rows


def shared(old: PromptTable, new: PromptTable) -> tuple[PromptTable, PromptTable]:
    """Both tables cut to the prompts that they share, in the new one's order."""
    known = set(old.hashes)
    hashes = [one for one in new.hashes if one in known]
    return old.rows(hashes), new.rows(hashes)


def worst_first(rows: Sequence[Paired]) -> list[Paired]:
    """Those that became worse, then better, each by its p-value."""
    order: Mapping[Verdict, int] = {"worse": 0, "better": 1, "no difference shown": 2}
    return sorted(rows, key=lambda one: (order[one.verdict], one.p_adjusted))
