"""The section of the report on answers that were not used: how many for which reason, and a few of each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.evaluate.reporting.run_files import read_evaluation
from potstill.evaluate.reporting.wording import capital, printed
from potstill.evaluate.summary import mapping, mappings, plural
from potstill.store.screening import REASONS


def read_screening_summary(path: Path) -> Mapping[str, Any]:
    """What the run's screening.json holds; empty where there is none, as in runs from before there was screening.

    Raises PotstillError for a file that is no JSON object.
    """
    return read_evaluation(path) if path.exists() else {}


def screening_section(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """One row a reason with its counts and examples, and what the judge did; None where nothing was screened."""
    if not summary:
        return None
    used, left_out, examples = (mapping(summary.get(key)) for key in ("used", "left_out", "examples"))
    total = sum(number for number in left_out.values() if isinstance(number, int))
    return {
        "says": f"{printed(used.get('train'))} answers are trained on and {printed(used.get('holdout'))} held-out ones "
        f"are measured on. {plural(total, 'answer')} {'is' if total == 1 else 'are'} kept but not used; one may have "
        "several reasons.",
        "reasons": [
            {
                "title": capital(REASONS.get(reason, reason.replace("_", " "))),
                "train": printed(mapping(by_split).get("train")),
                "holdout": printed(mapping(by_split).get("holdout")),
                "examples": [
                    {name: printed(example.get(name)) for name in ("prompt", "answer", "detail")}
                    for example in mappings(examples.get(reason))
                ],
            }
            for reason, by_split in mapping(summary.get("reasons")).items()
        ],
        "judge": _judge(mapping(summary.get("judge"))),
    }


def _judge(judge: Mapping[str, Any]) -> str | None:
    if not judge:
        return None
    cost = judge.get("cost_usd")
    price = "at unknown cost" if cost is None else f"for {cost:,.2f} USD"
    return (
        f"{printed(judge.get('model'))} judged {printed(judge.get('scored'))} of {printed(judge.get('answers'))} "
        f"answers {price}; below {printed(judge.get('minimum'))} of {printed(judge.get('scale'))} they are not used. "
        f"Its route passed the terms gate by rule {printed(mapping(judge.get('terms')).get('rule'))}."
    )
