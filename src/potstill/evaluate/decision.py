"""Whether to ship: the recipe's `accept:` set against measured figures, on the unfavourable end of each interval."""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from potstill.config import Condition, parse_condition
from potstill.config.conditions import PROBES
from potstill.evaluate.summary import figure_title, format_interval, format_threshold, format_value, plural
from potstill.records import Figure
from potstill.stats import needed_n

FIDELITY: Final = (
    "kl_nats", "top1_agreement", "total_variation", "perplexity_ratio", "calibration_error", "unmatched_l1", "chrf",
)  # fmt: skip
MIN_PROMPTS: Final = 20  # with fewer held-out prompts nothing is concluded about fidelity, whatever the interval says

EXIT_CODES: Final = {"ship": 0, "no ship": 3, "inconclusive": 5}


def decide(
    figures: Mapping[str, Figure], accept: Mapping[str, str], task: Collection[str] = (), judged: Collection[str] = ()
) -> dict[str, Any]:
    """The decision in one word, with its exit code, its reason in one sentence and each condition's outcome.

    A condition is met ("yes") when the whole interval lies on the right side of the threshold, missed ("no") when
    the whole interval lies on the wrong side, and "undecided" otherwise; then `needed_n` says how many cases would
    decide it. *ship*: all are met. *no ship*: any is missed. *inconclusive*: the rest. A figure without an interval
    (an exact ratio of sizes) is decided on its value. A figure that was not measured is undecided, and so is a figure
    over prompts (fidelity, the metrics of the recipe's `task`, what its judges say: `judged`) from fewer than 20 of
    them or without an interval.

    Where `accept:` asks nothing there is nothing to decide: the word is "inconclusive", the exit code 0.
    Raises ValueError on a condition that `config.parse_condition` refuses.
    """
    asked = [parse_condition(name, text, task, judged) for name, text in accept.items()]
    over_prompts = {*FIDELITY, *task, *PROBES}
    conditions = [
        _outcome(one, figures.get(one.figure), one.figure in judged or one.figure.rpartition(".")[2] in over_prompts)
        for one in asked
    ]
    if not conditions:
        reason = "the recipe's accept: asks nothing"
        return {"word": "inconclusive", "exit_code": 0, "reason": reason, "conditions": []}
    outcomes = [condition["met"] for condition in conditions]
    word = "no ship" if "no" in outcomes else "inconclusive" if "undecided" in outcomes else "ship"
    return {
        "word": word,
        "exit_code": EXIT_CODES[word],
        "reason": _sentence(word, conditions),
        "conditions": conditions,
    }


def _outcome(condition: Condition, figure: Figure | None, over_prompts: bool) -> dict[str, Any]:
    """One condition's entry in evaluation.json; `why` puts the outcome in words."""
    measured = figure if figure is not None and math.isfinite(figure.value) else None
    met, needed, why = _judge(condition, measured, over_prompts)
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
    title = figure_title(condition.figure)
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
        needed = max(needed_n(figure.value, low, high, figure.n, condition.threshold) or 0, MIN_PROMPTS)
        held_out = f"{plural(figure.n, 'held-out prompt')}, and nothing can be concluded from fewer than {MIN_PROMPTS}"
        return "undecided", needed, f"{shown} on {held_out}"
    if over_prompts and not interval:
        return "undecided", None, f"{shown}, and its prompts give no interval"
    within = f"{shown} (95 % interval {interval})" if interval else shown
    if (low >= condition.threshold) if at_least else (high <= condition.threshold):
        return "yes", None, f"{within}, {'at least' if at_least else 'at most'} {asked}"
    if (high < condition.threshold) if at_least else (low > condition.threshold):
        return "no", None, f"{within}, {'below' if at_least else 'above'} {asked}"
    needed_cases = needed_n(figure.value, low, high, figure.n, condition.threshold)
    unit = "held-out prompts" if over_prompts else "timed pairs"
    more = f"about {_rounded_up(needed_cases):,} {unit}" if needed_cases else "no number of cases"
    return "undecided", needed_cases, f"{within}, on both sides of {asked}; {more} would decide it"


def _rounded_up(count: int) -> int:
    """Two digits that count: an estimate with more would promise what it can't hold."""
    step = int(10 ** max(len(str(count)) - 2, 0))
    return -(-count // step) * step


def _sentence(word: str, conditions: list[dict[str, Any]]) -> str:
    """Why this word, in one sentence: what failed, or what is open, or that all holds."""
    deciding = {"no ship": "no", "inconclusive": "undecided", "ship": "yes"}[word]
    named = [str(condition["why"]) for condition in conditions if condition["met"] == deciding]
    if word == "ship" and len(named) > 1:
        return f"all {len(named)} conditions hold at the unfavourable end of their intervals"
    rest = len(named) - 1
    return named[0] + (f" (and {rest} more {'is' if rest == 1 else 'are'} {_STATES[deciding]})" if rest else "")


_STATES: Final = {"no": "missed", "undecided": "undecided", "yes": "met"}
