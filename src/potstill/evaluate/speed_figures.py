"""The figures of speed, memory and price of a run: one prompt at a time, and several at once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from potstill.config import FIRST, Recipe
from potstill.evaluate.fidelity import as_figure
from potstill.evaluate.held_out import HeldOut
from potstill.evaluate.models import exact
from potstill.evaluate.prices import Request, listed_usd, request_seconds, request_usd, usd_per_million
from potstill.evaluate.speed import Rounds, Timings, in_texts, peak_memory_bytes, rounds_of, time_models
from potstill.models.local import LocalModel
from potstill.records import Figure
from potstill.stats import median_ratio

_MEMORY_NEW_TOKENS = 4
_BATCH: Final = "batch_"  # before the names of figures and facts of several prompts at once


@dataclass(frozen=True, slots=True)
class Timed:
    """Figures of student against teacher, medians of each model's own, and how it was timed, for evaluation.json."""

    figures: dict[str, Figure]
    models: dict[str, dict[str, Any]]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Pass:
    """The timings of so many prompts at a time."""

    together: int
    new_tokens: int
    rounds: Mapping[str, Rounds]
    timings: Timings

    @property
    def prefix(self) -> str:
        return "" if self.together == 1 else _BATCH


def time_run(
    recipe: Recipe, loaded: Mapping[str, LocalModel], folders: Mapping[str, Path], held: HeldOut,
    collected: Mapping[str, Any],
) -> Timed:  # fmt: skip
    """Time the student, and in turn with it the first teacher where one is `loaded`; `folders` hold the weights.

    `collected` are the facts of the collect stage, which tell what a served teacher's answers take.
    """
    running = {name: loaded[name] for name in ("student", FIRST) if name in loaded}
    passes = _passes(recipe, running, held)
    peaks = peak_memory_bytes({name: folders[name] for name in running}, held.prompts(1), _MEMORY_NEW_TOKENS)
    models = {name: {"peak_memory_bytes": peaks[name], **_medians(passes, name)} for name in running}
    if (hourly := recipe.evaluate.price_per_hour_usd) is not None:
        for name in running:
            models[name]["usd_per_million"] = _prices(passes, name, hourly)
    figures = {}
    if FIRST in running:
        figures = _ratios(passes, held) | {
            "peak_memory_ratio": exact(peaks["student"] / peaks[FIRST], "student / teacher")
        }
    price, requests = _price_ratio(recipe, passes[-1], held, collected)
    if price is not None:
        figures["price_ratio"] = price
    if (endpoint := recipe.teacher.endpoint) is not None and endpoint.price_per_million is not None:
        listed = endpoint.price_per_million
        models[FIRST] = {
            "reference": endpoint.model, "usd_per_million": {"input": listed.input, "output": listed.output}
        }  # fmt: skip
    facts = {
        "threads": torch.get_num_threads(),
        "precision": {name: str(model.network.dtype).removeprefix("torch.") for name, model in running.items()},
        "passes": [
            {"prompts": one.together, "pairs": len(one.rounds["student"]), "new_tokens": one.new_tokens}
            for one in passes
        ],
        "price_per_hour_usd": recipe.evaluate.price_per_hour_usd,
        "request": {name: asdict(one) for name, one in requests.items()},
    }
    return Timed(figures, models, facts)


def _passes(recipe: Recipe, running: Mapping[str, LocalModel], held: HeldOut) -> list[_Pass]:
    """One prompt at a time, then as many at once as the recipe says; these write half as much, to take no longer."""
    evaluate = recipe.evaluate
    batch, pairs = evaluate.speed_batch, evaluate.speed_batch_pairs
    prompts = held.prompts(max(evaluate.speed_prompts, batch * pairs))

    def timed(together: int, rounds: Mapping[str, Rounds], new_tokens: int) -> _Pass:
        return _Pass(together, new_tokens, rounds, time_models(running, rounds, new_tokens))

    alone = {name: [[one] for one in few[: evaluate.speed_prompts]] for name, few in prompts.items() if few}
    found = [timed(1, alone, evaluate.speed_new_tokens)]
    if batch > 1:
        several = {name: rounds_of(few, batch, pairs) for name, few in prompts.items() if few}
        found.append(timed(batch, several, max(evaluate.speed_new_tokens // 2, 2)))
    return found


def _medians(passes: Sequence[_Pass], name: str) -> dict[str, Any]:
    """Medians of one model's own rates, and the quartiles of each."""
    found: dict[str, Any] = {"quartiles": {}}
    for one in passes:
        measured = {
            "prefill_tokens_per_s": one.timings.prefill[name],
            "decode_tokens_per_s": one.timings.decode[name],
            "first_token_s": one.timings.first_token_s[name],
        }
        for key, values in measured.items():
            low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
            found[one.prefix + key] = median
            found["quartiles"][one.prefix + key] = [low, high]
    return found


def _prices(passes: Sequence[_Pass], name: str, hourly: float) -> dict[str, float]:
    """US dollars of a million tokens of one model, from the medians of its rates."""
    found = {}
    for one in passes:
        for kind, rates in (("input", one.timings.prefill[name]), ("output", one.timings.decode[name])):
            found[one.prefix + kind] = usd_per_million(float(np.median(rates)), hourly)
    return found


def _ratios(passes: Sequence[_Pass], held: HeldOut) -> dict[str, Figure]:
    """Student against teacher, by the pairs of rounds that were timed in turn."""
    units = ("times", "times")
    across = held.comparison["tokenizers"] == "different"  # a token of one is no token of the other
    if across:
        units = ("times, bytes a second", "times, the same prompts")
    figures = {}
    for one in passes:
        timings = in_texts(one.timings, one.rounds, held.bytes_per_token()) if across else one.timings
        for name, rates, unit in (("decode", timings.decode, units[0]), ("prefill", timings.prefill, units[1])):
            figures[f"{one.prefix}{name}_speedup"] = as_figure(median_ratio(rates["student"], rates[FIRST]), unit)
    waits = passes[0].timings.first_token_s
    figures["time_to_first_token_ratio"] = as_figure(median_ratio(waits["student"], waits[FIRST]), "student / teacher")
    return figures


def _price_ratio(
    recipe: Recipe, last: _Pass, held: HeldOut, collected: Mapping[str, Any]
) -> tuple[Figure | None, dict[str, Request]]:
    """What a request costs of the student over what it costs of the teacher; None where one of the two is unknown.

    On one machine its price falls out, so that none has to be known. Against a served teacher's list price it has to.
    """
    at_once = f", {last.together} at once" if last.together > 1 else ""
    requests = {"student": Request.mean(held.answers)}
    seconds = request_seconds(last.timings, "student", requests["student"])
    if FIRST in last.timings.decode:
        requests[FIRST] = Request.mean(held.teacher_answers)
        theirs = request_seconds(last.timings, FIRST, requests[FIRST])
        return as_figure(median_ratio(seconds, theirs), f"student / teacher{at_once}"), requests
    endpoint, hourly = recipe.teacher.endpoint, recipe.evaluate.price_per_hour_usd
    listed = listed_usd(collected, endpoint.price_per_million) if endpoint is not None else None
    if hourly is None or not listed:  # nothing is cheaper than what is free
        return None, requests
    costs = request_usd(seconds, hourly)
    return as_figure(
        median_ratio(costs, [listed] * len(costs)), f"student{at_once} / the teacher's list price"
    ), requests
