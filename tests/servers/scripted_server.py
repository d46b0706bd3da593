"""A real HTTP server on loopback that answers chat completions as a test tells it to, and logs what it was asked."""

import asyncio
import hashlib
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True)
class Step:
    """What the server does with one request."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay_s: float = 0.0
    reset: str = ""  # "before" the head or in the "middle" of the body
    hold: bool = False  # never answer
    trickle_s: float = 0.0  # the body in ten pieces over this time


@dataclass
class Call:
    """One request as the server saw it. `asked` is how often this very body has come, this time included."""

    number: int  # from 1
    asked: int
    key: str
    body: Any
    headers: Mapping[str, str]
    arrived_s: float
    answered_s: float | None = None
    status: int | None = None

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return str(self.body["messages"][-1]["content"])


Script = Callable[[Call], Step]


def answer(
    text: str | None = "fine",
    *,
    finish_reason: str = "stop",
    usage: Any = (12, 5),
    delay_s: float = 0.0,
    **message: Any,
) -> Step:
    """A chat completion; `message` adds fields such as reasoning_content or refusal; `usage` is a pair or a mapping."""
    if isinstance(usage, tuple):
        usage = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    logprobs = message.pop("logprobs", None)
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish_reason}
    reply = {"id": "c1", "object": "chat.completion", "model": "served-1", "choices": [choice | {"logprobs": logprobs}]}
    return Step(body=json.dumps(reply | ({"usage": usage} if usage is not None else {})), delay_s=delay_s)


def failure(status: int, words: str = "no", **more: Any) -> Step:
    """An error with OpenAI's JSON."""
    return Step(status, json.dumps({"error": {"message": words, "type": "error"}}), **more)


def busy(after: str | None, status: int = 429) -> Step:
    """Too many requests; `after` is the Retry-After header as it stands."""
    return failure(status, "slow down", headers={} if after is None else {"Retry-After": after})


def http_date(in_s: float) -> str:
    """An HTTP date so many seconds from now."""
    return formatdate(time.time() + in_s, usegmt=True)


def page(status: int = 200) -> Step:
    """A web page where JSON was expected."""
    return Step(status, "<!doctype html><title>Hello</title><p>It works!</p>", content_type="text/html")


class ScriptedServer:
    """Runs in a thread of its own on a free port; `script` may be replaced at any time."""

    def __init__(self, script: Script | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.script = script or (lambda call: answer(f"answer to {call.prompt}"))
        self.calls: list[Call] = []
        self.asked: Counter[str] = Counter()
        self.most_in_flight = 0
        self.connections: set[Any] = set()  # the clients' addresses: one for each connection that was opened
        self._in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def base_url(self) -> str:
        """What a recipe names."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/v1"

    @property
    def prompts(self) -> Counter[str]:
        """How often each prompt was asked."""
        return Counter(call.prompt for call in self.calls)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024, ssl_context=self._tls)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport.get_extra_info("peername") if request.transport else None)
        text = await request.read()
        key = hashlib.sha256(text).hexdigest()
        self.asked[key] += 1
        body = json.loads(text) if text else None
        call = Call(len(self.calls) + 1, self.asked[key], key, body, dict(request.headers), time.monotonic())
        self.calls.append(call)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return await self._perform(self.script(call), call, request)
        finally:
            self._in_flight -= 1

    async def _perform(self, step: Step, call: Call, request: web.Request) -> web.StreamResponse:
        if step.hold:
            await asyncio.sleep(3600)
        await asyncio.sleep(step.delay_s)
        assert request.transport is not None
        if step.reset == "before":
            request.transport.abort()
            return web.Response()
        if step.reset == "middle":
            response = web.StreamResponse(headers={"Content-Length": str(len(step.body) + 100)})
            await response.prepare(request)
            await response.write(step.body.encode())
            request.transport.abort()
            return response
        if step.trickle_s:
            return await self._trickle(step, request)
        call.status, call.answered_s = step.status, time.monotonic()
        return web.Response(
            status=step.status, body=step.body.encode(), headers=dict(step.headers), content_type=step.content_type
        )

    async def _trickle(self, step: Step, request: web.Request) -> web.StreamResponse:
        body = step.body.encode()
        response = web.StreamResponse(headers={"Content-Length": str(len(body)), "Content-Type": step.content_type})
        await response.prepare(request)
        for piece in range(10):
            await response.write(body[len(body) * piece // 10 : len(body) * (piece + 1) // 10])
            await asyncio.sleep(step.trickle_s / 10)
        return response
