"""Many questions to one route: order, retries, pauses, and what happens to the others when one fails."""

import asyncio
import json
from typing import Any

import pytest
from scripted_server import Call, ScriptedServer, Step, busy, failure

from potstill.config import Server
from potstill.errors import PotstillError
from potstill.models.asking import ask_all
from potstill.models.client import Client
from potstill.models.route import Route


def ask(
    server: ScriptedServer, numbers: range, concurrency: int = 4, said: list[str] | None = None, **more: Any
) -> list[int]:
    client = Client(Server(base_url=server.base_url, model="any"), "somewhere", Route(concurrency, **more))

    async def one(number: int) -> int:
        return int((await client.post("double", {"number": number}))["doubled"])

    return asyncio.run(ask_all(client, numbers, one, 2, [].append if said is None else said.append))


def doubled(call: Call) -> Step:
    return Step(body=json.dumps({"doubled": 2 * call.body["number"]}), delay_s=0.01)


def test_answers_come_in_the_order_of_the_questions_and_few_at_once() -> None:
    with ScriptedServer(doubled) as server:
        assert ask(server, range(30)) == [2 * number for number in range(30)]
        assert server.most_in_flight == 4
        assert ask(server, range(0)) == []


def test_a_pause_that_the_server_asks_for_burns_no_attempt_and_is_told() -> None:
    slept: list[float] = []
    said: list[str] = []
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)
        await asyncio.sleep(0)

    with ScriptedServer(lambda call: busy("7") if call.asked <= 3 else doubled(call)) as server:
        assert ask(server, range(1), sleep=sleep, clock=lambda: now, said=said) == [0]
    assert sum(slept) == pytest.approx(21)
    assert said == ["the server asks for a pause of 7 s (HTTP 429: slow down)"] * 3


def test_after_a_failure_nothing_more_is_sent_and_what_is_in_flight_comes_in() -> None:
    came: list[int] = []

    def script(call: Call) -> Step:
        if call.body["number"] == 1:
            return failure(400, "not this one")
        return Step(body=json.dumps({"doubled": 0}), delay_s=0.3)

    with ScriptedServer(script) as server:
        client = Client(Server(base_url=server.base_url, model="any", concurrency=4), "somewhere")

        async def one(number: int) -> None:
            await client.post("double", {"number": number})
            came.append(number)

        with pytest.raises(PotstillError, match=r"^somewhere: http://127.0.0.1:\d+/v1: HTTP 400: not this one$"):
            asyncio.run(ask_all(client, range(50), one, 2, print))
        assert len(server.calls) <= 5
        assert sorted(came) == sorted(call.body["number"] for call in server.calls if call.body["number"] != 1)
