"""Sends what the journal has pending to one route: many at once, within its limits, every outcome durable in groups."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from potstill.collect.screen import usable
from potstill.config import Prices
from potstill.errors import PotstillError
from potstill.models.client import Fatal, Permanent, Retry
from potstill.models.http import Answers, cost_usd, most_usd
from potstill.models.route import Clock, Purse, Route, Sleep, backoff_s
from potstill.store.journal import Failure, Finish, Journal, Row

_COMMIT_EVERY_S = 0.02  # answers of this time share one fsync; they count only after it
_HOPELESS = 100  # so many failures without a single answer: something is wrong with all of them
_PAUSE_WORTH_A_LINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the recipe allows on the route."""

    concurrency: int
    max_attempts: int
    prices: Prices | None
    budget_usd: float | None
    judge_prices: Prices | None = None  # of the judge whose earlier answers count against the budget too


class Sender:
    """One pass over the pending requests of a journal. `say` prints a line; `settled` hears of rows made durable."""

    def __init__(
        self,
        model: Answers,
        journal: Journal,
        limits: Limits,
        *,
        spent_usd: float,
        say: Callable[[str], None],
        settled: Callable[[int, float], None],
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._model, self._journal, self._limits = model, journal, limits
        self._say, self._settled, self._sleep = say, settled, sleep
        self._route = Route(limits.concurrency, clock, sleep)
        self._purse = Purse(limits.budget_usd, spent_usd)
        self._pending: Iterator[Row] = journal.pending()
        self._next: deque[Row] = deque()
        self._feeding = asyncio.Lock()
        self._outcomes: list[Finish | Failure] = []
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
        committer = asyncio.create_task(self._commit_regularly())
        ends: set[asyncio.Future[Any]] = {work, committer}
        try:
            for ended in (await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED))[0]:
                ended.result()
        finally:
            for task in (*self._workers, committer):
                task.cancel()
            await asyncio.gather(*self._workers, *ends, return_exceptions=True)
            self._commit()
        if self._stopped is not None:
            raise self._stopped

    async def _work(self) -> None:
        try:
            while self._stopped is None and (row := await self._take()) is not None:
                await self._serve(row)
        except asyncio.CancelledError:
            if self._stopped is None:
                raise

    async def _serve(self, row: Row) -> None:
        """One request from reservation to outcome."""
        most = most_usd(row.request["body"], self._limits.prices)
        if not await self._purse.reserve(most):
            self._halt(PotstillError(self._budget_words(most)))
            return
        cost = 0.0
        try:
            cost = await self._settle(row, most)
        finally:
            self._purse.settle(most, cost)

    async def _take(self) -> Row | None:
        if not self._next:
            async with self._feeding:
                if not self._next:
                    self._next.extend(await asyncio.to_thread(self._page))
        return self._next.popleft() if self._next else None

    def _page(self) -> list[Row]:
        """The next rows, marked as sent before any of them is: what may have been paid for is never forgotten."""
        page = list(islice(self._pending, self._limits.concurrency))
        if page:
            self._journal.mark_sent(row.key for row in page)
        return page

    async def _settle(self, row: Row, most: float) -> float:
        """Ask until there is an outcome; returns what it cost, or the most it can have cost where that is unknown."""
        attempts = 0
        while True:
            entered = await self._route.enter()
            if self._stopped is not None:
                self._route.leave()
                return 0.0
            try:
                return await self._ask(row, attempts + 1, most)
            except Retry as error:
                attempts += self._again(error, entered)
                if attempts >= self._limits.max_attempts:
                    self._fail(Failure(row.key, str(error), permanent=False, attempts=attempts))
                    return 0.0
                wait_s = 0.0 if error.after_s is not None else backoff_s(attempts)
            except Permanent as error:
                self._fail(Failure(row.key, str(error), permanent=True, attempts=attempts + 1))
                return 0.0
            except Fatal as error:
                self._halt(PotstillError(f"{error}; what is collected is kept"))
                return 0.0
            if wait_s:
                await self._sleep(wait_s)

    async def _ask(self, row: Row, attempt: int, most: float) -> float:
        task = asyncio.current_task()
        self._sending.add(task)
        started = time.perf_counter()
        try:
            reply, raw = await self._model.ask(row.request["body"])
        finally:
            self._sending.discard(task)
            self._route.leave()
        self._route.succeeded()
        self._answered += 1
        cost = cost_usd(reply, self._limits.prices)
        seconds = time.perf_counter() - started
        self._outcomes.append(Finish(row.key, reply, usable(reply), raw, cost, seconds, attempt))
        return most if cost is None else cost

    def _again(self, error: Retry, entered: int) -> int:
        """Slow down or pause as the server asks; returns how many attempts that burned (none where it named a time)."""
        if error.overloaded:
            self._route.overloaded(entered)
        if error.after_s is None:
            return 1
        if self._route.pause(error.after_s) and error.after_s >= _PAUSE_WORTH_A_LINE_S:
            self._say(f"the server asks for a pause of {error.after_s:,.0f} s ({error})")
        return 0

    def _fail(self, outcome: Failure) -> None:
        self._outcomes.append(outcome)
        self._failed += 1
        if self._failed >= _HOPELESS and not self._answered:
            words = f"the first {self._failed} requests all failed, so the others were not sent; {outcome.words}"
            self._halt(PotstillError(words))

    def _halt(self, error: PotstillError) -> None:
        """Send nothing more; what is in flight, and may be paid for, still comes in."""
        if self._stopped is None:
            self._stopped = error
            for task in self._workers - {asyncio.current_task()} - self._sending:
                task.cancel()

    def _budget_words(self, most: float) -> str:
        spent, budget = self._purse.spent_usd, self._limits.budget_usd
        return (
            f"collect.budget_usd: {spent:.6g} USD of {budget:.6g} are spent, and the next request may cost up to "
            f"{most:.6g}; what is collected is kept, a larger budget goes on from here"
        )

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_EVERY_S)
            if self._outcomes:
                outcomes, self._outcomes = self._outcomes, []
                # Off the loop, because a slow disk must not stall replies that are coming in.
                await asyncio.shield(asyncio.to_thread(self._journal.settle, outcomes))
                self._settled(len(outcomes), self._purse.spent_usd)

    def _commit(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        if outcomes:
            self._journal.settle(outcomes)
            self._settled(len(outcomes), self._purse.spent_usd)
