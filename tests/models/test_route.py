"""The route: at the limits' pace, even after a pause, and one for everything in a run that asks a server."""

import asyncio
from itertools import pairwise

import pytest

from potstill.config import Server
from potstill.models.route import Route, route_to


class Time:
    """A clock that moves when everybody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            await asyncio.sleep(0)
            self.now = max(self.now, min(self.now + 0.01, until))


def sent(route: Route, time: Time, number: int, tokens: float = 0.0, used: float | None = None) -> list[float]:
    times: list[float] = []

    async def one() -> None:
        await route.enter(tokens)
        times.append(time.now)
        if used is not None:
            route.used(tokens, used)
        route.leave()

    async def all_of_them() -> None:
        for _ in range(number):
            await one()

    asyncio.run(all_of_them())
    return times


def test_requests_and_tokens_a_minute_pace_it() -> None:
    time = Time()
    assert sent(Route(8, time.clock, time.sleep, requests_per_minute=60), time, 10)[-1] == pytest.approx(9, abs=0.3)
    time = Time()
    times = sent(Route(8, time.clock, time.sleep, tokens_per_minute=6000), time, 10, tokens=100)
    assert times[-1] == pytest.approx(9, abs=0.3)


def test_the_estimate_of_tokens_learns_from_usage() -> None:
    time = Time()
    route = Route(8, time.clock, time.sleep, tokens_per_minute=6000)
    times = sent(route, time, 200, tokens=100, used=20)
    assert times[-1] == pytest.approx(200 * 20 / 100, rel=0.1)


def test_after_a_pause_it_starts_evenly_and_catches_nothing_up() -> None:
    time = Time()
    route = Route(8, time.clock, time.sleep, requests_per_minute=60)

    async def scenario() -> list[float]:
        times: list[float] = []

        async def one() -> None:
            await route.enter()
            times.append(time.now)
            route.leave()

        waiting = [asyncio.create_task(one()) for _ in range(6)]
        while len(times) < 2:
            await asyncio.sleep(0)
        route.pause(30)
        await asyncio.gather(*waiting)
        return times

    times = asyncio.run(scenario())
    assert times[2] >= 30
    gaps = [later - earlier for earlier, later in pairwise(times[2:])]
    assert min(gaps) > 0.9


def test_what_headers_say_paces_it() -> None:
    time = Time()
    route = Route(8, time.clock, time.sleep)
    route.heard({"ratelimit-remaining": "10", "ratelimit-reset": "20"})
    assert sent(route, time, 10)[-1] == pytest.approx(18, abs=0.5)


def test_everything_in_a_run_that_asks_a_server_shares_its_route() -> None:
    one = Server(base_url="http://a/v1", model="m", requests_per_minute=10)
    assert route_to(one) is route_to(one.model_copy(update={"model": "n"}))
    assert route_to(one) is not route_to(one.model_copy(update={"base_url": "http://b/v1"}))
