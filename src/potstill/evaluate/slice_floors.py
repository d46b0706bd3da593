"""Floors under the slices: the worst slice counts, not only the mean over all held-out prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from potstill.config import Condition
from potstill.evaluate.needed import cases_needed
from potstill.evaluate.summary import (
    figure_subject,
    format_interval,
    format_threshold,
    format_value,
    mappings,
    number,
    plural,
)
from potstill.stats import Interval, simultaneous

MIN_PROMPTS_OF_SLICE: Final = 30  # below, nothing is concluded about a slice
_NAMED = 5  # slices that a sentence names


@dataclass(frozen=True, slots=True)
class _Slice:
    name: str
    interval: Interval  # one of several that hold together


def judge_floor(
    condition: Condition, slices: Sequence[Mapping[str, Any]], *, only_shown: bool = False
) -> dict[str, Any]:
    """A floor's outcome over all slices of at least 30 prompts, with the slices that miss it or may miss it.

    `slices` are the rows of evaluation.json: dimension, name, n, figure, value, low, high.

    The m slices are looked at together, so their 95 % intervals are widened to hold together (Bonferroni): the chance
    that any of them misses its truth is 5 %. The floor is met ("yes") where each interval lies on the right side,
    missed ("no") where any lies on the wrong side, "undecided" otherwise. `only_shown`: a slice that merely may lie
    below does not count, because small slices seldom can show that they don't.
    """
    judged, small = _judged(condition.figure, slices)
    missed = [one for one in judged if _wrong(one.interval, condition)]
    opened = [one for one in judged if one not in missed and not _right(one.interval, condition)]
    unproven = not only_shown and (opened or not judged)
    met = "no" if missed else "undecided" if unproven else "yes"
    worst = min(judged, key=lambda one: one.interval.value * _sign(condition), default=None)
    needed = [count for one in opened if (count := _needed(one.interval, condition)) is not None]
    return {
        "figure": condition.figure,
        "operator": condition.operator,
        "threshold": condition.threshold,
        "met": met,
        "slices": len(judged),
        "too_small": small,
        "worst": None if worst is None else _told(worst),
        "missed": [_told(one) for one in missed],
        "undecided": [_told(one) for one in opened],
        "needed_n": max(needed, default=None) if met == "undecided" else None,
        "only_shown": only_shown,
        "why": _why(condition, met, judged, missed, opened),
    }


def _judged(figure: str, slices: Sequence[Mapping[str, Any]]) -> tuple[list[_Slice], int]:
    """The slices that are large enough, with their widened intervals, and how many are too small."""
    found, small = [], 0
    for row in mappings(slices):
        value, low, high = (number(row.get(key)) for key in ("value", "low", "high"))
        count = row.get("n")
        if row.get("figure") != figure or value is None or not isinstance(count, int):
            continue
        if count < MIN_PROMPTS_OF_SLICE:
            small += 1
            continue
        name = f"{row.get('dimension', 'slice')} {row.get('name')}"
        found.append(_Slice(name, Interval(value, low, high, count)))
    return [_Slice(one.name, simultaneous(one.interval, len(found))) for one in found], small


def _sign(condition: Condition) -> int:
    return 1 if condition.operator == ">=" else -1


def _right(interval: Interval, condition: Condition) -> bool:
    """Whether the whole interval lies on the right side of the threshold."""
    if interval.low is None or interval.high is None:
        return False
    at_least = condition.operator == ">="
    return interval.low >= condition.threshold if at_least else interval.high <= condition.threshold


def _wrong(interval: Interval, condition: Condition) -> bool:
    """Whether the whole interval lies on the wrong side of the threshold."""
    if interval.low is None or interval.high is None:
        return False
    at_least = condition.operator == ">="
    return interval.high < condition.threshold if at_least else interval.low > condition.threshold


def _needed(interval: Interval, condition: Condition) -> int | None:
    if interval.low is None or interval.high is None:
        return None
    return cases_needed(interval.value, interval.low, interval.high, interval.n, condition.threshold)


def _told(one: _Slice) -> dict[str, Any]:
    interval = one.interval
    return {"name": one.name, "value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}


def _why(
    condition: Condition, met: str, judged: Sequence[_Slice], missed: Sequence[_Slice], opened: Sequence[_Slice]
) -> str:
    title, sort = figure_subject(condition.figure), f"of at least {MIN_PROMPTS_OF_SLICE} prompts"
    asked = f"the {format_threshold(condition.figure, condition.threshold)} asked of every slice"
    side = "below" if condition.operator == ">=" else "above"
    if missed:
        return f"{title} is {side} {asked} in {_listed(condition.figure, missed)}"
    if not judged:
        return f"no slice {sort} has a {title}"
    count = plural(len(judged), "slice")
    if met == "undecided":
        return f"{title} may be {side} {asked} in {_listed(condition.figure, opened)}"
    if opened:
        return f"{title} is not shown to be {side} {asked} in any of {count} {sort}"
    return f"{title} is on the right side of {asked} in all of {count} {sort}"


def _listed(figure: str, slices: Sequence[_Slice]) -> str:
    def one(found: _Slice) -> str:
        interval = found.interval
        shown = format_interval(figure, interval.low, interval.high)
        between = f", together with the others {shown}" if shown else ""
        return f"{found.name} ({format_value(figure, interval.value)}{between}; {plural(interval.n, 'prompt')})"

    named = ", ".join(one(found) for found in slices[:_NAMED])
    return named + (f" and {plural(len(slices) - _NAMED, 'more slice')}" if len(slices) > _NAMED else "")
