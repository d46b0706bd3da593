"""What asking a teacher will cost: bounds before anything is sent, and an estimate from the answers that are there."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from potstill.config import Prices, Recipe
from potstill.models.http import tokens_usd

_ENOUGH = 10  # answers, before their mean says anything of the others
_95_PERCENT = 1.96


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answers of a run so far: how many, and the mean and standard deviation of their cost in US dollars."""

    answers: int = 0
    priced: int = 0  # of which so many tell their tokens
    mean_usd: float = 0.0
    deviation_usd: float = 0.0

    def more_usd(self, requests: int) -> tuple[float, float] | None:
        """What so many further requests will cost, as a 95 % interval; None while too few answers tell."""
        if self.priced < _ENOUGH or not requests:
            return None
        # Of the mean that is known so far, and of the sum of what is still to come.
        error = _95_PERCENT * self.deviation_usd * requests * math.sqrt(1 / self.priced + 1 / requests)
        expected = self.mean_usd * requests
        return max(0.0, expected - error), expected + error


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars of the requests that are still to be sent."""

    at_least: float  # prompts at the cheapest price that they can have, and one token an answer
    at_most: float  # every answer as long as may be, what training asks included
    estimated: tuple[float, float] | None  # 95 % interval, from the answers that are there

    def in_words(self, answers: int) -> str:
        """The bounds, and the estimate where there is one."""
        words = f"{usd(self.at_least)} to {usd(self.at_most)} (one token an answer; every answer as long as may be)"
        if self.estimated is not None:
            low, high = self.estimated
            words += f"; by the {answers:,} answers so far about {usd(low)} to {usd(high)} more"
        return words


def usd(amount: float) -> str:
    """An amount with cents, or with two digits that say something where it is less than a dollar."""
    if amount >= 1 or amount == 0:
        return f"${amount:,.2f}"
    return f"${amount:.{max(2, 1 - math.floor(math.log10(amount)))}f}"


def asking_prices(recipe: Recipe) -> Prices | None:
    """The prices of the way in which the recipe asks; None where they are unknown."""
    endpoint = recipe.teacher.endpoint
    prices = endpoint.price_per_million if endpoint is not None else None
    return prices.in_batches if prices is not None and recipe.collect.mode == "batch" else prices


def bounds(prices: Prices, prompt_tokens: float, requests: int, max_new_tokens: int) -> tuple[float, float]:
    """The least and the most that so many requests with so many tokens in their prompts together can cost."""
    cheapest = prices.input if prices.cached_input is None else min(prices.input, prices.cached_input)
    least = (prompt_tokens * cheapest + requests * prices.output) / 1e6
    return least, (prompt_tokens * prices.input + requests * max_new_tokens * prices.output) / 1e6


def recorded(journal_path: Path, prompt_hashes: Collection[str], prices: Prices | None) -> Recorded:
    """The answers to these prompts in a journal, at these prices."""
    from potstill.store.journal import Journal

    answers, costs = 0, []
    with Journal(journal_path, read_only=True) as journal:
        for row in journal.answers():
            if row.prompt_hash not in prompt_hashes or row.reply is None:
                continue
            answers += 1
            reply = row.reply
            if prices is not None and reply.input_tokens is not None and reply.output_tokens is not None:
                costs.append(tokens_usd(reply.input_tokens, reply.cached_tokens or 0, reply.output_tokens, prices))
    if not costs:
        return Recorded(answers)
    mean = math.fsum(costs) / len(costs)
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in costs) / max(len(costs) - 1, 1))
    return Recorded(answers, len(costs), mean, spread)
