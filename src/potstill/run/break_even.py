"""From how many requests a month on the student costs less than asking the teacher, and what that rests on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from potstill.config import Recipe
from potstill.models.http import tokens_usd
from potstill.run.cost import asking_prices, usd

_95_PERCENT = 1.96


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Requests a month with their 95 % interval; None where they are unknown, or there is no such number."""

    requests: float | None
    low: float | None
    high: float | None
    words: str


def break_even(
    recipe: Recipe, usage: Sequence[tuple[int, int, int]], requests: int, training_h: float | None
) -> BreakEven:
    """(a month's fixed cost of the student + making it / months) / (a request to the teacher − one to the student).

    `usage` are input, cached and output tokens of the pilot's answers, whose mean price is a request's; `requests` are
    those that collecting takes, `training_h` the hours of training at most. The interval is that of the mean price.
    """
    endpoint, serving = recipe.teacher.endpoint, recipe.serving
    if endpoint is None:
        return _none("unknown (the teacher is local, and what asking it costs is not in the recipe)")
    prices, collecting = endpoint.price_per_million, asking_prices(recipe)
    if prices is None or collecting is None:
        return _none("unknown (teacher.endpoint.price_per_million is not in the recipe)")
    if not usage:
        return _none("unknown (the server does not tell the tokens of its answers)")
    if serving.usd_per_month is None and serving.price_per_million is None:
        return _none("unknown (what serving the student costs: give serving.usd_per_month or price_per_million)")
    theirs = [tokens_usd(*one, prices) for one in usage]
    ours = [tokens_usd(*one, serving.price_per_million) for one in usage]
    collect_usd = math.fsum(tokens_usd(*one, collecting) for one in usage) / len(usage) * requests
    train_usd = training_h * serving.training_usd_per_hour if training_h and serving.training_usd_per_hour else 0.0
    fixed = (serving.usd_per_month or 0.0) + (collect_usd + train_usd) / serving.months
    saved = [one - other for one, other in zip(theirs, ours, strict=True)]
    mean = math.fsum(saved) / len(saved)
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in saved) / max(len(saved) - 1, 1))
    error = _95_PERCENT * spread / math.sqrt(len(saved))
    each = f"a request costs {usd(math.fsum(theirs) / len(theirs))} of the teacher"
    if serving.price_per_million is not None:
        each += f" and {usd(math.fsum(ours) / len(ours))} of the student"
    if mean <= 0:
        return _none(f"never: {each}")
    low, high = fixed / (mean + error), fixed / (mean - error) if mean > error else None
    until = f"{high:,.0f}" if high is not None else "no upper end"
    parts = [
        f"from about {fixed / mean:,.0f} requests a month (95 %: {low:,.0f} to {until})",
        f"{each}, the mean of {len(usage):,} answers",
        f"serving takes {usd(serving.usd_per_month or 0.0)} a month besides",
        f"{usd(collect_usd)} of answers{_training(recipe, training_h, train_usd)} over {serving.months:g} months",
    ]
    return BreakEven(fixed / mean, low, high, "; ".join(parts))


def _training(recipe: Recipe, training_h: float | None, train_usd: float) -> str:
    if recipe.serving.training_usd_per_hour is None:
        return " (training is not counted: serving.training_usd_per_hour is not in the recipe)"
    if training_h is None:
        return " (training is not counted: its time is unknown until the models are fetched)"
    return f" and {usd(train_usd)} of training for {training_h:,.1f} h, this plan's upper estimate,"


def _none(words: str) -> BreakEven:
    return BreakEven(None, None, None, words)
