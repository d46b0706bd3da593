"""What a million tokens and an average request cost: on a machine that is paid by the hour, and at an endpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.answers import Answer
from potstill.config import Prices
from potstill.evaluate.speed import Timings
from potstill.models.http import tokens_usd

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Request:
    """The mean tokens of a prompt and of its answer, in one model's tokens."""

    input_tokens: float
    output_tokens: float

    @classmethod
    def mean(cls, answers: Sequence[Answer]) -> "Request":
        """Of these answers of the teacher and their prompts."""
        examples = [one.example for one in answers]
        asked, written = (sum(getattr(one, f"{part}_length") for one in examples) for part in ("prompt", "answer"))
        return cls(asked / len(examples), written / len(examples))


def usd_per_million(rate: float, usd_per_hour: float) -> float:
    """US dollars of a million tokens at `rate` tokens a second, on a machine that does nothing else and never waits."""
    return usd_per_hour / _SECONDS_PER_HOUR / rate * 1e6


def request_seconds(timings: Timings, model: str, request: Request) -> list[float]:
    """Seconds of the machine that a request takes, by each round: its prompt is read, then its answer written.

    Rates are those of all prompts of a round together, so this is a request's share of a batch.
    """
    rates = zip(timings.prefill[model], timings.decode[model], strict=True)
    return [request.input_tokens / prefill + request.output_tokens / decode for prefill, decode in rates]


def request_usd(seconds: Sequence[float], usd_per_hour: float) -> list[float]:
    """US dollars of so many seconds of the machine."""
    return [one * usd_per_hour / _SECONDS_PER_HOUR for one in seconds]


def listed_usd(collected: Mapping[str, Any], prices: Prices | None) -> float | None:
    """What the mean collected answer costs at list prices, by the tokens that the server counted; None where unknown.

    `collected` are the facts of the collect stage: sums over all answers.
    """
    counts = [collected.get(name) for name in ("input_tokens", "cached_tokens", "output_tokens")]
    asked, cached, written = counts
    if prices is None or not collected.get("answers") or asked is None or written is None:
        return None
    return tokens_usd(asked, cached or 0, written, prices) / float(collected["answers"])
