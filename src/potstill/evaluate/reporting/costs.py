"""The report's section on costs: what was paid to whom, and how long each stage took."""

from collections.abc import Mapping
from typing import Any, Final

from potstill.evaluate.reporting.wording import capital, printed
from potstill.evaluate.summary import NOT_MEASURED, mapping, mappings, number

_STAGES: Final = {
    "terms": "Checking the terms",
    "prompts": "Preparing the prompts",
    "collect": "Asking the teacher",
    "screen": "Screening the answers",
    "train": "Training, baselines included",
    "evaluate": "Evaluating",
}
_JUDGED: Final = "evaluation_judge_cost_usd"
# Which stage paid, and under which name of evaluation.json's data.
_PAID: Final = {"collect": "cost_usd", "screen": "judge_cost_usd", "train": "scoring_cost_usd", "judge": _JUDGED}
_NOTHING: Final = "nothing"


def costs_section(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """One row a stage with its time and what was paid, and their sums."""
    data, seconds = {**mapping(evaluation.get("data")), **_judging(evaluation)}, mapping(evaluation.get("seconds"))
    local = "tokens" in data and data["tokens"] is None  # a served teacher's tokens are counted by its server
    rows = [
        {
            "title": _STAGES.get(stage, capital(stage.replace("_", " "))),
            "seconds": duration(number(taken)),
            "paid": _paid(stage, data, local=local) if number(taken) is not None else NOT_MEASURED,
            "each": _for_a_thousand(data) if stage == "collect" and not local else "",
        }
        for stage, taken in seconds.items()
    ]
    if _JUDGED in data:
        paid = usd(number(data[_JUDGED]))
        rows.append({"title": "Asking the judges", "seconds": "part of the evaluation", "paid": paid, "each": ""})
    known = [found for taken in seconds.values() if (found := number(taken)) is not None]
    return {
        "rows": rows,
        "total": {
            "seconds": duration(sum(known)) if known else NOT_MEASURED,
            "paid": _total(data, local=local) if known else NOT_MEASURED,
        },
        "evaluated": "evaluate" in seconds,
        "tokens": _tokens(mapping(data.get("tokens"))),
        "says": "The teacher ran on this machine, so asking it cost time and no money." if local else "",
    }


def _judging(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """What the served judges of the evaluation cost, which is unknown as soon as one's cost is; nothing without one."""
    judges = mappings(mapping(evaluation.get("judge")).get("judges"))
    costs = [number(one.get("cost_usd")) for one in judges if one.get("base_url")]
    known = [cost for cost in costs if cost is not None]
    return {_JUDGED: sum(known) if len(known) == len(costs) else None} if costs else {}


def duration(seconds: float | None) -> str:
    """A length of time as people say it: "48.2 s", "12 min 5 s", "3 h 20 min"."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 60:
        return f"{seconds:,.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def usd(amount: float | None) -> str:
    """An amount in US dollars; unknown, where it is not known, and never 0 for that."""
    if amount is None:
        return "unknown"
    return f"{amount:,.2f} USD" if amount >= 1 or amount == 0 else f"{amount:.3g} USD"


def _paid(stage: str, data: Mapping[str, Any], *, local: bool) -> str:
    name = _PAID.get(stage)
    if name is None or (name not in data and stage != "collect") or (stage == "collect" and local):
        return _NOTHING
    return usd(number(data.get(name)))


def _total(data: Mapping[str, Any], *, local: bool) -> str:
    """The sum, which is unknown as soon as one part is."""
    paid = [name for stage, name in _PAID.items() if name in data and not (stage == "collect" and local)]
    parts = [number(data.get(name)) for name in paid]
    if not parts:
        return _NOTHING if local else "unknown"
    return "unknown" if None in parts else usd(sum(part for part in parts if part is not None))


def _for_a_thousand(data: Mapping[str, Any]) -> str:
    """What 1,000 answers cost; an empty text where that is not known."""
    cost, answers = number(data.get("cost_usd")), number(data.get("answers"))
    return f"{usd(1000 * cost / answers)} for 1,000 answers" if cost is not None and answers else ""


def _tokens(tokens: Mapping[str, Any]) -> str:
    """Tokens in and out as the server counted them; what it did not say is unknown, never 0."""
    if not tokens:
        return ""
    counts = [number(tokens.get(f"{name}_tokens")) for name in ("input", "cached", "output", "reasoning")]
    read, cached, written, thought = ("unknown" if count is None else printed(count) for count in counts)
    return f"Tokens in {read}, of which cached {cached}; out {written}, of which reasoning {thought}."
