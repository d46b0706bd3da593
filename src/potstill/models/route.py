"""What may be sent on a route right now: an adaptive number of requests, at the limits' pace, one shared pause."""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from potstill import config
from potstill.models.limits import Pace, read_quotas

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[object]]

_FIRST_WINDOW = 16.0
_LONGEST_BACKOFF_S = 60.0
_SHORTEST_PAUSE_S = 1.0  # a server that says "0 seconds" again and again is not hammered
_LEARNING = 0.05  # how much one reply's usage moves the estimate of the next


class Route:
    """Admits requests. The window doubles each round trip until the server first complains, is halved on complaints
    (once a round trip), and from then on grows by one each round trip, never past `cap`.
    """

    def __init__(
        self, cap: int, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep, *,
        requests_per_minute: float | None = None, tokens_per_minute: float | None = None,
    ) -> None:  # fmt: skip
        self.in_flight = 0
        self.sleep = sleep
        self._cap = cap
        self._clock = clock
        self._window = min(float(cap), _FIRST_WINDOW)
        self._complained = False
        self._round = 0
        self._paused_until = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paces = {"requests": Pace(requests_per_minute), "tokens": Pace(tokens_per_minute)}
        self._limited = requests_per_minute is not None or tokens_per_minute is not None
        self._ratio = 1.0  # tokens used for each that was estimated

    @property
    def window(self) -> int:
        """How many requests may be in flight."""
        return int(self._window)

    async def enter(self, tokens: float = 0.0) -> int:
        """Wait for leave to send a request that may take so many tokens; returns the round, for `overloaded`.

        Pair it with `leave`.
        """
        while True:
            pause_s = self._paused_until - self._clock()
            if pause_s > 0:
                await self.sleep(pause_s)
            elif self.in_flight < self.window:
                self.in_flight += 1
                if not self._limited or await self._paced(tokens):
                    return self._round
                self.leave()
            else:
                waiter = asyncio.get_running_loop().create_future()
                self._waiting.append(waiter)
                await waiter

    def leave(self, number: int = 1) -> None:
        """So many requests are no longer in flight."""
        self.in_flight -= number
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
        for pace in self._paces.values():
            pace.hold(self._paused_until)
        return news

    def heard(self, headers: Mapping[str, str]) -> None:
        """Keep to what a reply's headers say is left."""
        for unit, quota in read_quotas(headers).items():
            self._limited = True
            self._paces[unit].heard(quota, self._clock())

    def used(self, estimate: float, tokens: float | None) -> None:
        """Correct the pace by the tokens that a request did take, None where the server did not say."""
        if estimate > 0 and tokens is not None:
            self._paces["tokens"].correct(tokens - estimate * self._ratio, self._clock())
            self._ratio += _LEARNING * (tokens / estimate - self._ratio)

    async def _paced(self, tokens: float) -> bool:
        """Wait for the turn of a request; False where a pause began meanwhile, so that it needs another."""
        now = self._clock()
        waits = [self._paces["requests"].reserve(1, now), self._paces["tokens"].reserve(tokens * self._ratio, now)]
        if max(waits) > 0:
            await self._sleep_in_place(max(waits))
        return self._paused_until <= self._clock()

    async def _sleep_in_place(self, seconds: float) -> None:
        """Sleep with a place in the window, which a cancelled sleeper gives back."""
        try:
            await self.sleep(seconds)
        except BaseException:
            self.leave()
            raise

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


_OF_THIS_THREAD = threading.local()  # a run works in one thread; its event loops come and go


def route_to(server: config.Server) -> Route:
    """The route to a server, one for everything in a run that asks it: limits and pauses are those of the account."""
    routes: dict[tuple[object, ...], Route] = _OF_THIS_THREAD.__dict__.setdefault("routes", {})
    limits = server.requests_per_minute, server.tokens_per_minute
    key = (server.base_url, server.api_key_env, server.concurrency, *limits)
    if key not in routes:
        routes[key] = Route(server.concurrency, requests_per_minute=limits[0], tokens_per_minute=limits[1])
    return routes[key]


def backoff_s(attempts: int) -> float:
    """Seconds to wait after so many failed attempts: exponential, with full jitter so that nobody marches in step."""
    return random.uniform(0, min(_LONGEST_BACKOFF_S, 2.0 ** (attempts - 1)))
