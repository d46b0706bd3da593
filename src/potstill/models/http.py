"""An OpenAI-compatible server as a model: sends one request, reads its reply, and tells the kinds of failure apart."""

import json
import os
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, Self
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from potstill import config
from potstill.errors import RecipeError
from potstill.models.chat_completion import error_in, in_words, read_reply
from potstill.records import Message, ModelIdentity, Reply


class Retry(Exception):
    """Worth asking again: after `after_s` seconds where the server says so, and more slowly where it is overloaded."""

    def __init__(self, words: str, after_s: float | None = None, *, overloaded: bool = False) -> None:
        super().__init__(words)
        self.after_s = after_s
        self.overloaded = overloaded


class Permanent(Exception):
    """This request will never be answered; others may be."""


class Fatal(Exception):
    """No request on this route can be answered until a person changes something; says what, in one line."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn. `top_logprobs` asks for the k most likely tokens at each position; 0 for none."""

    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    top_logprobs: int = 0


class Answers(Protocol):
    """Whatever can stand where an endpoint stands."""

    identity: ModelIdentity

    async def ask(self, body: Mapping[str, Any]) -> tuple[Reply, str]:
        """Answer one request body; returns the reply and the raw JSON it was read from."""


def request_body(model: str, messages: Sequence[Message], sampling: Sampling) -> dict[str, Any]:
    """The body of a chat completion. Everything is spelled out, because servers differ in their defaults."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_new_tokens,
        "seed": sampling.seed,
    }
    if sampling.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
    return body


def cost_usd(reply: Reply, prices: config.Prices | None) -> float | None:
    """What a reply cost in US dollars, or None where its tokens or the prices are unknown.

    Output tokens include reasoning, as servers count them. Cached input costs as other input where it has no price.
    """
    if prices is None or reply.input_tokens is None or reply.output_tokens is None:
        return None
    cached = min(reply.cached_tokens or 0, reply.input_tokens)
    cached_price = prices.input if prices.cached_input is None else prices.cached_input
    fresh = reply.input_tokens - cached
    return (fresh * prices.input + cached * cached_price + reply.output_tokens * prices.output) / 1e6


class Endpoint:
    """One route: a base URL, a model and a key. Use it in an `async with`; connections are kept and reused.

    The key comes from the environment only and is struck out of everything that a server sends back. Raises
    RecipeError where its variable is not set.
    """

    def __init__(self, section: config.Endpoint) -> None:
        self._section = section
        self._key = _key_from_environment(section.api_key_env)
        parts = urlsplit(section.base_url)
        self._url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/chat/completions"))
        self.identity = ModelIdentity(section.model, "endpoint", section.model, parts.hostname)
        self._reached = False  # a route that has worked once is worth waiting for
        self._session: aiohttp.ClientSession

    def __repr__(self) -> str:
        return f"Endpoint({self._section.base_url}, {self._section.model})"

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._session = aiohttp.ClientSession(
            headers=headers | {"Accept": "application/json"},
            connector=aiohttp.TCPConnector(limit=0),  # the sender keeps the number of requests
            timeout=aiohttp.ClientTimeout(total=self._section.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """Answer one conversation. Raises Retry, Permanent or Fatal."""
        return (await self.ask(request_body(self._section.model, messages, sampling)))[0]

    async def ask(self, body: Mapping[str, Any]) -> tuple[Reply, str]:
        """Send one request body as it stands; returns the reply and the server's JSON without its log-probabilities.

        Raises Retry, Permanent or Fatal.
        """
        try:
            async with self._session.post(self._url, json=body, allow_redirects=False) as response:
                text = self._strike(await response.text(errors="replace"))
        except TimeoutError:
            raise Retry(f"no answer within {self._section.timeout_s:g} s", overloaded=True) from None
        except aiohttp.ClientError as error:
            raise self._unreached(error) from None
        self._reached = True
        return self._read(response, text)

    def _read(self, response: aiohttp.ClientResponse, text: str) -> tuple[Reply, str]:
        if response.status != 200:
            raise self._refused(response.status, response.headers, text)
        if response.content_type == "text/html" or text.lstrip()[:1] == "<":
            raise Fatal(f"{self._where}: answers with a web page; base_url must lead to the API (often it ends in /v1)")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise Retry(f"not JSON: {in_words(text)}") from None
        code, words = error_in(data)
        if code is not None:  # some routers report a failure in a reply of status 200
            raise self._refused(code, response.headers, text)
        reply, raw = read_reply(data)
        if reply is None:
            raise Retry(f"no answer in the reply: {words or in_words(text)}")
        return reply, raw

    def _refused(self, status: int, headers: Mapping[str, str], text: str) -> Exception:
        """What an HTTP status means for this request and for the route."""
        words = in_words(text)
        said = f"HTTP {status}: {words}"
        if status == 401 or (status == 403 and not re.search(r"moderat|flagged|content.?(policy|filter)", text, re.I)):
            key = (
                f"the key in {self._section.api_key_env}" if self._section.api_key_env else "api_key_env (none is set)"
            )
            return Fatal(f"{self._where}: refuses the key ({said}); check {key}")
        if status == 404:
            return Fatal(f"{self._where}: does not know the model or the address ({said}); check base_url and model")
        if status == 402 or (status == 429 and "insufficient_quota" in text):
            return Fatal(
                f"{self._where}: the account has nothing left ({said}); top it up and run the same command again"
            )
        if 300 <= status < 400:
            return Fatal(f"{self._where}: redirects to {headers.get('Location', 'nowhere')}; put that into base_url")
        if status in (408, 409, 425, 429) or status >= 500:
            overloaded = status in (408, 429, 503, 504, 529)
            return Retry(said, retry_after_s(headers) if overloaded else None, overloaded=overloaded)
        return Permanent(said)

    def _unreached(self, error: aiohttp.ClientError) -> Exception:
        """What a broken or impossible connection means."""
        if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch) or isinstance(
            getattr(error, "os_error", None), ssl.SSLError
        ):
            return Fatal(
                f"{self._where}: its certificate is not valid here ({self._strike(str(error))}); check base_url"
            )
        words = self._strike(str(error)) or type(error).__name__
        if isinstance(error, aiohttp.ClientConnectorError) and not self._reached:
            return Fatal(f"{self._where}: no route to it ({words}); check base_url and the network")
        return Retry(f"connection failed: {words}", overloaded=True)

    @property
    def _where(self) -> str:
        return f"teacher.endpoint: {self._section.base_url}"

    def _strike(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or an HTTP date; None where there is none to read.

    A date is taken against the server's own Date header, so that a wrong clock here does not shorten the pause.
    """
    value = headers.get("Retry-After", "").strip()
    try:
        return max(float(value), 0.0) if float(value) < float("inf") else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    try:
        now = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        now = time.time()
    return max(until - now, 0.0)


def _key_from_environment(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise RecipeError(
            f"teacher.endpoint.api_key_env: the environment variable {variable} is not set; export the key"
        )
    if not key.isascii() or not key.isprintable():
        raise RecipeError(f"teacher.endpoint.api_key_env: {variable} holds more than one line or odd characters")
    return key
