"""Asks one route many things at once for somebody who waits for all of them: at a bounded rate, with retries."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from potstill.errors import PotstillError
from potstill.models.client import Client, Fatal, Permanent, Retry
from potstill.models.route import Clock, Route, Sleep, backoff_s

_PAUSE_WORTH_A_LINE_S = 5.0

Question = TypeVar("Question")
Given = TypeVar("Given")


async def ask_all(
    client: Client, questions: Sequence[Question], ask: Callable[[Question], Awaitable[Given]], concurrency: int,
    max_attempts: int, say: Callable[[str], None], *, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep,
) -> list[Given]:  # fmt: skip
    """What `ask` gives for every question, in their order; opens the client's session and closes it again.

    Raises PotstillError in one line where a question gets no answer. Then nothing more is sent, but what is in flight,
    and may be paid for, still comes in.
    """
    route = Route(concurrency, clock, sleep)
    asking: set[asyncio.Task[Given] | None] = set()
    failures: list[PotstillError] = []

    async def attempt(question: Question) -> Given:
        asking.add(asyncio.current_task())
        try:
            return await ask(question)
        finally:
            asking.discard(asyncio.current_task())
            route.leave()

    async def persist(question: Question) -> Given:
        attempts = 0
        while True:
            entered = await route.enter()
            try:
                given = await attempt(question)
            except Retry as error:
                attempts += error.after_s is None  # where the server names a time, waiting burns no attempt
                if attempts >= max_attempts:
                    words = f"{client.where}: {error} ({attempts} attempts); the same command goes on from here"
                    raise PotstillError(words) from None
                _slow_down(route, error, entered, say)
                await sleep(backoff_s(attempts) if error.after_s is None else 0.0)
            except Permanent as error:
                raise PotstillError(f"{client.where}: {error}") from None
            except Fatal as error:
                raise PotstillError(str(error)) from None
            else:
                route.succeeded()
                return given

    async def until_a_failure(question: Question) -> Given:
        try:
            return await persist(question)
        except PotstillError as error:
            failures.append(error)
            for task in {*tasks} - asking - {asyncio.current_task()}:
                task.cancel()
            raise

    async with client:
        tasks = [asyncio.create_task(until_a_failure(question)) for question in questions]
        found = await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise failures[0]
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def _slow_down(route: Route, error: Retry, entered: int, say: Callable[[str], None]) -> None:
    """Halve what is in flight, or pause, as the server asks."""
    if error.overloaded:
        route.overloaded(entered)
    if error.after_s is not None and route.pause(error.after_s) and error.after_s >= _PAUSE_WORTH_A_LINE_S:
        say(f"the server asks for a pause of {error.after_s:,.0f} s ({error})")
