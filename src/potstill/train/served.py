"""The served teacher of an on-policy training: scores what the student wrote, within the budget, nothing twice."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from potstill.config import Endpoint
from potstill.errors import RecipeError, TermsStopped
from potstill.models.asking import ask_all
from potstill.models.client import Client, Fatal
from potstill.models.http import tokens_usd
from potstill.models.route import Purse
from potstill.models.scoring import Spellings, score
from potstill.records import Clearance
from potstill.rendering import Example
from potstill.store.scores import Score, Scores, Spending, score_key


class ServedTeacher:
    """A server that gives log p of tokens. Scores that `scores` holds already are not asked for again.

    `spent_usd` is what the run has spent on its teacher before, scores included. Raises TermsStopped without a
    Clearance, RecipeError where a budget is set and the endpoint has no prices, or where its key is missing.
    """

    def __init__(
        self, section: Endpoint, clearance: Clearance | None, tokenizer: Any, scores: Scores, *,
        budget_usd: float | None = None, spent_usd: float = 0.0, say: Callable[[str], None] = print,
    ) -> None:  # fmt: skip
        if not isinstance(clearance, Clearance):
            raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
        if budget_usd is not None and section.price_per_million is None:
            raise RecipeError(
                "collect.budget_usd: needs teacher.endpoint.price_per_million, or what is spent is unknown"
            )
        self._section, self._scores, self._say = section, scores, say
        self._budget_usd, self._spent_usd = budget_usd, spent_usd
        self._client = Client(section)
        self._spell = spellings(tokenizer)

    @property
    def spending(self) -> Spending:
        """What scoring has taken in this run so far."""
        return self._scores.spending

    def score(self, examples: Sequence[Example]) -> list[tuple[float, ...]]:
        """Log p of each example's answer tokens, in nats, given the tokens before them.

        Raises PotstillError in one line where the server, its tokenizer or the budget does not allow it; what has been
        scored by then is kept.
        """
        keys = [score_key(self._section, one.tokens, one.prompt_length) for one in examples]
        missing = {key: one for key, one in zip(keys, examples, strict=True) if self._scores.get(key) is None}
        if missing:
            asyncio.run(self._ask(missing))
        found = [self._scores.get(key) for key in keys]
        return [log_p for log_p in found if log_p is not None]

    async def _ask(self, missing: dict[str, Example]) -> None:
        section, prices = self._section, self._section.price_per_million
        purse = Purse(self._budget_usd, self._spent_usd)
        came: list[Score] = []

        async def ask(question: tuple[str, Example]) -> None:
            key, example = question
            most = tokens_usd(len(example.tokens), 0, 1, prices)
            if not await purse.reserve(most):
                raise Fatal(self._budget_words(purse.spent_usd, most))
            cost = 0.0
            try:
                found = await score(self._client, section, example.tokens, example.prompt_length, self._spell)
                cost = tokens_usd(found.input_tokens, found.cached_tokens, found.output_tokens, prices)
                known = cost if prices is not None else None
                came.append(Score(key, found.log_p, found.input_tokens, found.output_tokens, known))
            finally:
                purse.settle(most, cost)

        try:
            await ask_all(
                self._client, list(missing.items()), ask, section.max_attempts, self._say,
                tokens=lambda question: len(question[1].tokens) + 1,
            )  # fmt: skip
        finally:
            self._spent_usd = purse.spent_usd
            self._scores.add(came)

    def _budget_words(self, spent_usd: float, most_usd: float) -> str:
        return (
            f"collect.budget_usd: {spent_usd:.6g} USD of {self._budget_usd:.6g} are spent, and scoring the next answer "
            f"may cost up to {most_usd:.6g}; what is trained and scored is kept, a larger budget goes on from here"
        )


def spellings(tokenizer: Any) -> Spellings:
    """The texts that a tokenizer has for a token: decoded by itself, and as its vocabulary writes it."""

    @cache
    def spell(token: int) -> tuple[str, ...]:
        written = tokenizer.convert_ids_to_tokens(token)
        return (tokenizer.decode([token]), *([written] if isinstance(written, str) else []))

    return spell
