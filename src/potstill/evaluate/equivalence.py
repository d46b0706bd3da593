"""Whether the student is as good as its teacher within the recipe's margin, besides whether the two differ."""

from collections.abc import Mapping
from typing import Any

from potstill.evaluate.decision import MIN_PROMPTS
from potstill.evaluate.needed import cases_needed
from potstill.records import Figure
from potstill.stats import Interval, within_margin


def equivalences(figures: Mapping[str, Figure], margin: float) -> list[dict[str, Any]]:
    """One entry a retention: `equivalent` (within ±`margin` of 1), `different` (from 1), both in words, and `needed_n`.

    The last is the number of prompts that would show equivalence if the measured value is the true one; None where it
    is shown, and where the value itself is outside the margin. Fewer than 20 prompts show nothing.
    """
    return [_verdict(name, one, margin) for name, one in figures.items() if name.startswith("retention.")]


def _verdict(name: str, figure: Figure, margin: float) -> dict[str, Any]:
    heard = figure.n >= MIN_PROMPTS
    ends = (figure.low, figure.high) if heard else (None, None)
    verdict = within_margin(Interval(figure.value, *ends, figure.n), margin, equal=1.0)
    needed = None if verdict.equivalent else _needed(figure, margin)
    return {
        "figure": name, "margin": margin, "equivalent": verdict.equivalent, "different": verdict.different,
        "words": verdict.words, "needed_n": needed,
    }  # fmt: skip


def _needed(figure: Figure, margin: float) -> int | None:
    """Prompts after which both ends should lie inside the margin."""
    if figure.low is None or figure.high is None or not abs(figure.value - 1) < margin:
        return None
    sides = (cases_needed(figure.value, figure.low, figure.high, figure.n, edge) for edge in (1 - margin, 1 + margin))
    return max([MIN_PROMPTS, *(count for count in sides if count is not None)])
