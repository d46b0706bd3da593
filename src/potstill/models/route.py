"""What may be sent on a route right now: an adaptive number of requests, one shared pause, within the budget."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[object]]

_FIRST_WINDOW = 16.0
_LONGEST_BACKOFF_S = 60.0
_SHORTEST_PAUSE_S = 1.0  # a server that says "0 seconds" again and again is not hammered


class Route:
    """Admits requests. The window doubles each round trip until the server first complains, is halved on complaints
    (once a round trip), and from then on grows by one each round trip, never past `cap`.
    """

    def __init__(self, cap: int, clock: Clock, sleep: Sleep) -> None:
        self.in_flight = 0
        self._cap = cap
        self._clock, self._sleep = clock, sleep
        self._window = min(float(cap), _FIRST_WINDOW)
        self._complained = False
        self._round = 0
        self._paused_until = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def window(self) -> int:
        """How many requests may be in flight."""
        return int(self._window)

    async def enter(self) -> int:
        """Wait for leave to send; returns the round, for `overloaded`. Pair it with `leave`."""
        while True:
            pause_s = self._paused_until - self._clock()
            if pause_s > 0:
                await self._sleep(pause_s)
            elif self.in_flight < self.window:
                self.in_flight += 1
                return self._round
            else:
                waiter = asyncio.get_running_loop().create_future()
                self._waiting.append(waiter)
                await waiter

    def leave(self) -> None:
        """One request is no longer in flight."""
        self.in_flight -= 1
        self._wake()

    def succeeded(self) -> None:
        """An answer came: widen the window."""
        self._window = min(self._cap, self._window + (1 / self._window if self._complained else 1))

    def overloaded(self, entered: int) -> None:
        """The server complained about a request that entered in that round: halve the window, once a round."""
        self._complained = True
        if entered == self._round:
            self._window = max(1.0, self._window / 2)
            self._round += 1

    def pause(self, seconds: float) -> bool:
        """Send nothing for so long; returns whether that is news, because the route was not paused already."""
        now = self._clock()
        news = self._paused_until <= now
        self._paused_until = max(self._paused_until, now + max(seconds, _SHORTEST_PAUSE_S))
        return news

    def _wake(self) -> None:
        free = self.window - self.in_flight
        while free > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1


class Purse:
    """Keeps spending within a budget: each request reserves the most it can cost before it is sent."""

    def __init__(self, budget_usd: float | None, spent_usd: float) -> None:
        self.spent_usd = spent_usd
        self._budget_usd = budget_usd
        self._reserved_usd = 0.0
        self._holders = 0
        self._changed = asyncio.Event()

    async def reserve(self, most_usd: float) -> bool:
        """Set the money aside, waiting for replies in flight where they may leave enough; False where nothing will."""
        while self._budget_usd is not None and self.spent_usd + self._reserved_usd + most_usd > self._budget_usd:
            if self._holders == 0:
                return False
            self._changed.clear()
            await self._changed.wait()
        self._reserved_usd += most_usd
        self._holders += 1
        return True

    def settle(self, most_usd: float, cost_usd: float) -> None:
        """Give a reservation back and count what the request did cost."""
        self._holders -= 1
        self._reserved_usd = self._reserved_usd - most_usd if self._holders else 0.0
        self.spent_usd += cost_usd
        self._changed.set()


def backoff_s(attempts: int) -> float:
    """Seconds to wait after so many failed attempts: exponential, with full jitter so that nobody marches in step."""
    return random.uniform(0, min(_LONGEST_BACKOFF_S, 2.0 ** (attempts - 1)))
