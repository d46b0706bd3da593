"""Whether to ship: the recipe's `accept:` set against measured figures, on the unfavourable end of each interval."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from potstill.config import AGAIN, Asked, Condition, read_accept
from potstill.config.conditions import PROBES
from potstill.evaluate.needed import cases_needed
from potstill.evaluate.slice_floors import judge_floor
from potstill.evaluate.summary import figure_subject, format_interval, format_threshold, format_value, plural
from potstill.records import Figure

FIDELITY: Final = (
    "kl_nats", "top1_agreement", "total_variation", "perplexity_ratio", "calibration_error", "unmatched_l1", "chrf",
)  # fmt: skip
MIN_PROMPTS: Final = 20  # with fewer held-out prompts nothing is concluded about fidelity, whatever the interval says
_MOST_WORTH_NAMING: Final = 100_000  # cases that would decide; an estimate of more is no plan

EXIT_CODES: Final = {"ship": 0, "no ship": 3, "inconclusive": 5}


DEFAULTS: Final = (
    "The recipe has no accept:, so Potstill asks what a replacement of the teacher has to be: not worse than it by "
    "more than the margin, and not shown to be much worse in any slice."
)


def decide(
    figures: Mapping[str, Figure], accept: Mapping[str, str | Mapping[str, str]] | None, task: Collection[str] = (),
    judged: Collection[str] = (), *, slices: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """The decision on what a recipe's `accept:` asks, None for the defaults; see `decide_asked`.

    Raises ValueError on a condition that `config.parse_condition` refuses.
    """
    return decide_asked(figures, read_accept(accept, task, judged), task, judged, slices=slices)


def decide_asked(
    figures: Mapping[str, Figure], asked: Asked, task: Collection[str] = (), judged: Collection[str] = (), *,
    slices: Sequence[Mapping[str, Any]] = (), unmeasured: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The decision in one word, with its exit code, its reason in one sentence and each condition's outcome.

    A condition is met ("yes") when the whole interval lies on the right side of the threshold, missed ("no") when
    the whole interval lies on the wrong side, and "undecided" otherwise; then `needed_n` says how many cases would
    decide it. *ship*: all are met. *no ship*: any is missed. *inconclusive*: the rest. A figure without an interval
    (an exact ratio of sizes) is decided on its value. A figure that was not measured is undecided, for the reason that
    `unmeasured` gives by its metric, and so is a figure over prompts (fidelity, agreement with the teacher asked again,
    the metrics of the recipe's `task`, what its judges say: `judged`) from fewer than 20 or without an interval.

    Floors are judged over `slices`, those of evaluation.json, and count like conditions; see `slice_floors`. Where
    nothing is asked there is nothing to decide: the word is "inconclusive", the exit code 0.
    """
    over_prompts = {*FIDELITY, *AGAIN, *task, *PROBES}
    conditions = []
    for one in asked.conditions:
        metric = one.figure.rpartition(".")[2]
        over = one.figure in judged or metric in over_prompts
        why_not = unmeasured.get(metric) if unmeasured is not None else None
        conditions.append(_outcome(one, figures.get(one.figure), over, why_not))
    floors = [judge_floor(one, slices, only_shown=asked.by_default) for one in asked.floors]
    if not conditions and not floors:
        reason = "the recipe's accept: asks nothing"
        return {"word": "inconclusive", "exit_code": 0, "reason": reason, "conditions": []}
    outcomes = [one["met"] for one in (*conditions, *floors)]
    word = "no ship" if "no" in outcomes else "inconclusive" if "undecided" in outcomes else "ship"
    return {
        "word": word,
        "exit_code": EXIT_CODES[word],
        "reason": _sentence(word, conditions, floors) + (_BY_DEFAULT if asked.by_default else ""),
        "conditions": conditions,
        **({"floors": floors} if floors else {}),
        **({"defaults": DEFAULTS} if asked.by_default else {}),
    }


def _outcome(condition: Condition, figure: Figure | None, over_prompts: bool, unmeasured: str | None) -> dict[str, Any]:
    """One condition's entry in evaluation.json; `why` puts the outcome in words."""
    measured = figure if figure is not None and math.isfinite(figure.value) else None
    met, needed, why = _judge(condition, measured, over_prompts)
    if measured is None and unmeasured:
        why += f": {unmeasured}"
    return {
        "figure": condition.figure,
        "operator": condition.operator,
        "threshold": condition.threshold,
        "value": measured.value if measured else None,
        "low": measured.low if measured else None,
        "high": measured.high if measured else None,
        "met": met,
        "needed_n": needed,
        "why": why,
    }


def _judge(condition: Condition, figure: Figure | None, over_prompts: bool) -> tuple[str, int | None, str]:
    """The outcome ("yes", "no" or "undecided"), the cases that would decide it, and why in words."""
    title = figure_subject(condition.figure)
    if figure is None:
        return "undecided", None, f"{title} was not measured"
    asked = f"the {format_threshold(condition.figure, condition.threshold)} asked for"
    # Across tokenizers a figure of the same name is another one, so its unit is said with it.
    unit = f" ({figure.unit})" if figure.unit.endswith((" group", " groups", " a byte")) else ""
    shown = f"{title} is {format_value(condition.figure, figure.value, precise=True)}{unit}"
    interval = format_interval(condition.figure, figure.low, figure.high, precise=True)
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    at_least = condition.operator == ">="
    if over_prompts and figure.n < MIN_PROMPTS:
        needed = max(cases_needed(figure.value, low, high, figure.n, condition.threshold) or 0, MIN_PROMPTS)
        held_out = f"{plural(figure.n, 'held-out prompt')}, and nothing can be concluded from fewer than {MIN_PROMPTS}"
        return "undecided", needed, f"{shown} on {held_out}"
    if over_prompts and not interval:
        return "undecided", None, f"{shown}, and its prompts give no interval"
    within = f"{shown} (95 % interval {interval})" if interval else shown
    if (low >= condition.threshold) if at_least else (high <= condition.threshold):
        return "yes", None, f"{within}, {'at least' if at_least else 'at most'} {asked}"
    if (high < condition.threshold) if at_least else (low > condition.threshold):
        return "no", None, f"{within}, {'below' if at_least else 'above'} {asked}"
    needed_cases = cases_needed(figure.value, low, high, figure.n, condition.threshold)
    unit = "held-out prompts" if over_prompts else "timed pairs"
    if needed_cases is None:
        more = "no number of cases"
    elif needed_cases > _MOST_WORTH_NAMING:  # the value is all but the threshold: more cases are no way out
        more = f"only more than {_MOST_WORTH_NAMING:,} {unit}"
    else:
        more = f"about {_rounded_up(needed_cases):,} {unit}"
    return "undecided", needed_cases, f"{within}, on both sides of {asked}; {more} would decide it"


def _rounded_up(count: int) -> int:
    """Two digits that count: an estimate with more would promise what it can't hold."""
    step = int(10 ** max(len(str(count)) - 2, 0))
    return -(-count // step) * step


def _sentence(word: str, conditions: Sequence[Mapping[str, Any]], floors: Sequence[Mapping[str, Any]]) -> str:
    """Why this word, in one sentence: what failed, or what is open, or that all holds; slices that fail are named."""
    deciding = {"no ship": "no", "inconclusive": "undecided", "ship": "yes"}[word]
    named = [str(one["why"]) for one in (*conditions, *floors) if one["met"] == deciding]
    if word == "ship" and len(named) > 1:
        return f"all {len(named)} conditions hold at the unfavourable end of their intervals"
    missed = [str(one["why"]) for one in floors if one["met"] == "no"]
    if missed and named[0] not in missed:
        named = [f"{named[0]}; {'; '.join(missed)}", *(one for one in named[1:] if one not in missed)]
    rest = len(named) - 1
    return named[0] + (f" (and {rest} more {'is' if rest == 1 else 'are'} {_STATES[deciding]})" if rest else "")


_STATES: Final = {"no": "missed", "undecided": "undecided", "yes": "met"}
_BY_DEFAULT: Final = " (asked by default, because the recipe has no accept:)"
