"""The one policy of asking a route: when to try again, when to slow down, when to give up; and many things at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from potstill.errors import PotstillError
from potstill.models.client import Client, Fatal, Permanent, Retry
from potstill.models.route import Route, backoff_s

_PAUSE_WORTH_A_LINE_S = 5.0

Question = TypeVar("Question")
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Given]):
    """What became of one question after so many attempts: it was answered where `error` is None."""

    given: Given | None
    error: Retry | Permanent | None
    attempts: int


async def persist(
    route: Route,
    ask: Callable[[], Awaitable[Given]],
    max_attempts: int,
    say: Callable[[str], None],
    tokens: float = 0.0,
) -> Outcome[Given]:
    """Ask until there is an answer, a refusal, or `max_attempts` have failed; waiting that the server asks for is none.

    `tokens` is what the request may take of the route's tokens. With an answer the caller leaves the route, once that
    is kept. Raises whatever else `ask` raises, such as Fatal.
    """
    attempts = 0
    while True:
        entered = await route.enter(tokens)
        try:
            given = await ask()
        except Retry as error:
            route.leave()
            attempts += error.after_s is None  # where the server names a time, waiting burns no attempt
            if attempts >= max_attempts:
                return Outcome(None, error, attempts)
            _slow_down(route, error, entered, say)
            if error.after_s is None:
                await route.sleep(backoff_s(attempts))
        except Permanent as error:
            route.leave()
            return Outcome(None, error, attempts + 1)
        except BaseException:
            route.leave()
            raise
        else:
            route.succeeded()
            return Outcome(given, None, attempts + 1)


async def ask_all(
    client: Client, questions: Sequence[Question], ask: Callable[[Question], Awaitable[Given]], max_attempts: int,
    say: Callable[[str], None], *, tokens: Callable[[Question], float] = lambda _: 0.0,
) -> list[Given]:  # fmt: skip
    """What `ask` gives for every question, in their order; opens the client's session and closes it again.

    `tokens` is what a question may take of the route's tokens. Raises PotstillError in one line where a question gets
    no answer. Then nothing more is sent, but what is in flight, and may be paid for, still comes in.
    """
    asking: set[asyncio.Task[Given] | None] = set()
    failures: list[PotstillError] = []

    async def attempt(question: Question) -> Given:
        asking.add(asyncio.current_task())
        try:
            return await ask(question)
        finally:
            asking.discard(asyncio.current_task())

    async def until_a_failure(question: Question) -> Given:
        try:
            return await _answer(client, lambda: attempt(question), max_attempts, say, tokens(question))
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


async def _answer(
    client: Client, ask: Callable[[], Awaitable[Given]], max_attempts: int, say: Callable[[str], None], tokens: float
) -> Given:
    """The answer to one question, or PotstillError in the words of the server."""
    try:
        outcome = await persist(client.route, ask, max_attempts, say, tokens)
    except Fatal as error:
        raise PotstillError(str(error)) from None
    if outcome.error is not None:
        tried = f" ({outcome.attempts} attempts); the same command goes on from here"
        raise PotstillError(f"{client.where}: {outcome.error}{tried if isinstance(outcome.error, Retry) else ''}")
    client.route.leave()
    return cast(Given, outcome.given)


def _slow_down(route: Route, error: Retry, entered: int, say: Callable[[str], None]) -> None:
    """Halve what is in flight, or pause, as the server asks."""
    if error.overloaded:
        route.overloaded(entered)
    if error.after_s is not None and route.pause(error.after_s) and error.after_s >= _PAUSE_WORTH_A_LINE_S:
        say(f"the server asks for a pause of {error.after_s:,.0f} s ({error})")
