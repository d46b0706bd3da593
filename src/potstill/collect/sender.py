"""Sends what the journal has pending to one route: many at once, within its limits, every outcome durable in groups."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.collect.screen import usable
from potstill.config import Prices
from potstill.errors import PotstillError
from potstill.models.asking import persist
from potstill.models.client import Fatal, Retry
from potstill.models.http import Answers, cost_usd, most_usd
from potstill.models.limits import estimated_tokens
from potstill.models.route import Purse, Route
from potstill.records import Reply
from potstill.store.journal import Failure, Finish, Journal, Waiting

_GATHER_S = 0.001  # answers that come within this time of the first share one commit
_HOPELESS = 100  # so many failures without a single answer: something is wrong with all of them


@dataclass(frozen=True, slots=True)
class Limits:
    """What the recipe allows on the route."""

    concurrency: int
    max_attempts: int
    prices: Prices | None
    budget_usd: float | None
    judge_prices: Prices | None = None  # of the judge whose earlier answers count against the budget too
    budget: str = "collect.budget_usd"  # the key of the recipe that the budget stands in


class _Stopped(Exception):
    """Nothing more is to be sent."""


class Sender:
    """One pass over the pending requests of a journal. `say` prints a line; `settled` hears of rows made durable.

    A kill repeats at most what is in flight and the answers that wait for the disk, up to twice `concurrency` of them.
    """

    def __init__(
        self,
        model: Answers,
        journal: Journal,
        limits: Limits,
        route: Route,
        *,
        spent_usd: float,
        say: Callable[[str], None],
        settled: Callable[[int, float], None],
    ) -> None:
        self._model, self._journal, self._limits, self._route = model, journal, limits, route
        self._say, self._settled = say, settled
        self._purse = Purse(limits.budget_usd, spent_usd)
        self._next: deque[Waiting] = deque()
        self._exhausted = self._ended = False
        self._outcomes: list[Finish | Failure] = []
        self._unsettled, self._most_unsettled = 0, 2 * limits.concurrency
        self._due, self._turned = asyncio.Event(), asyncio.Event()  # the journal is needed; it has had its turn
        self._workers: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None] | None] = set()
        self._stopped: PotstillError | None = None
        self._answered = self._failed = 0

    async def run(self) -> None:
        """Send everything. Raises PotstillError where the route, the budget or the disk ends it early.

        Whatever ends it, also Ctrl-C, the outcomes that have come in are durable.
        """
        # Twice as many workers as requests in flight: those who wait before asking again must not idle the route.
        self._workers = {asyncio.create_task(self._work()) for _ in range(2 * self._limits.concurrency)}
        work = asyncio.gather(*self._workers)
        clerk = asyncio.create_task(self._keep_the_journal())
        ends: set[asyncio.Future[Any]] = {work, clerk}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, work, return_exceptions=True)
            self._ended = True
            self._due.set()
            await clerk
        if self._stopped is not None:
            raise self._stopped

    async def _work(self) -> None:
        try:
            while self._stopped is None and (row := await self._take()) is not None:
                await self._serve(row)
        except asyncio.CancelledError:
            if self._stopped is None:
                raise

    async def _serve(self, row: Waiting) -> None:
        """One request from reservation to outcome."""
        most = most_usd(row.body, self._limits.prices) if self._limits.budget_usd is not None else 0.0
        if not await self._purse.reserve(most):
            self._halt(PotstillError(self._budget_words(most)))
            return
        cost = 0.0
        try:
            cost = await self._settle(row)
        finally:
            self._purse.settle(most, cost)

    async def _take(self) -> Waiting | None:
        """The next request, None where there is none. Waits while the disk is behind: what it has not got may be lost.

        All of them are marked as sent before any is: what may have been paid for is never forgotten.
        """
        while (not self._next and not self._exhausted) or self._unsettled >= self._most_unsettled:
            self._turned.clear()
            self._due.set()
            await self._turned.wait()
        if len(self._next) < self._limits.concurrency:
            self._due.set()
        return self._next.popleft() if self._next else None

    async def _settle(self, row: Waiting) -> float:
        """Ask until there is an outcome; returns what it cost, or the most it can have cost where that is unknown."""
        tokens = estimated_tokens(row.body)
        try:
            outcome = await persist(self._route, lambda: self._ask(row), self._limits.max_attempts, self._say, tokens)
        except _Stopped:
            return 0.0
        except Fatal as error:
            self._halt(PotstillError(f"{error}; what is collected is kept"))
            return 0.0
        if outcome.given is None:
            temporary = isinstance(outcome.error, Retry)
            self._fail(Failure(row.key, str(outcome.error), permanent=not temporary, attempts=outcome.attempts))
            return 0.0
        self._route.leave()
        reply, raw, seconds = outcome.given
        if reply.input_tokens is not None and reply.output_tokens is not None:
            self._route.used(tokens, reply.input_tokens + reply.output_tokens)
        self._answered += 1
        cost = cost_usd(reply, self._limits.prices)
        self._keep(Finish(row.key, reply, usable(reply), raw, cost, seconds, outcome.attempts))
        return most_usd(row.body, self._limits.prices) if cost is None else cost

    async def _ask(self, row: Waiting) -> tuple[Reply, str, float]:
        """The reply, the server's own JSON, and the seconds that it took."""
        if self._stopped is not None:
            raise _Stopped
        task = asyncio.current_task()
        self._sending.add(task)
        started = time.perf_counter()
        try:
            reply, raw = await self._model.ask(row.body, row.spelled)
        except Retry:
            if self._stopped is not None:
                raise _Stopped from None
            raise
        finally:
            self._sending.discard(task)
        return reply, raw, time.perf_counter() - started

    def _fail(self, outcome: Failure) -> None:
        self._keep(outcome)
        self._failed += 1
        if self._failed >= _HOPELESS and not self._answered:
            words = f"the first {self._failed} requests all failed, so the others were not sent; {outcome.words}"
            self._halt(PotstillError(words))

    def _keep(self, outcome: Finish | Failure) -> None:
        self._outcomes.append(outcome)
        self._unsettled += 1
        self._due.set()

    def _halt(self, error: PotstillError) -> None:
        """Send nothing more; what is in flight, and may be paid for, still comes in."""
        if self._stopped is None:
            self._stopped = error
            for task in self._workers - {asyncio.current_task()} - self._sending:
                task.cancel()

    def _budget_words(self, most: float) -> str:
        spent, budget = self._purse.spent_usd, self._limits.budget_usd
        return (
            f"{self._limits.budget}: {spent:.6g} USD of {budget:.6g} are spent, and the next request may cost up to "
            f"{most:.6g}; what is collected is kept, a larger budget goes on from here"
        )

    async def _keep_the_journal(self) -> None:
        """Make outcomes durable and fetch what to send next, off the loop: a slow disk must not stall replies."""
        ahead = 2 * self._limits.concurrency
        while not self._ended or self._outcomes:
            await self._due.wait()
            await asyncio.sleep(_GATHER_S)
            self._due.clear()
            outcomes, self._outcomes = self._outcomes, []
            want = 0 if self._exhausted or self._ended else max(0, ahead - len(self._next))
            found = await asyncio.to_thread(self._journal.turn, outcomes, want)
            self._next.extend(found)
            self._exhausted |= len(found) < want
            self._tell(outcomes)
            self._turned.set()

    def _tell(self, outcomes: Sequence[Finish | Failure]) -> None:
        self._unsettled -= len(outcomes)
        self._settled(len(outcomes), self._purse.spent_usd)
