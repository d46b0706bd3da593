"""Posts JSON to one OpenAI-compatible server and tells the kinds of failure apart, whatever is asked of it."""

import base64
import json
import os
import re
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

import aiohttp

from potstill import config
from potstill.errors import RecipeError
from potstill.models.chat_completion import error_in, in_words
from potstill.models.deadline import Deadline
from potstill.models.posting import Posted, Poster
from potstill.models.route import Route, route_to

TEACHER = "teacher.endpoint"


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


class Client:
    """One server: a base URL and a key. Use it in an `async with`; connections are kept and reused.

    The key comes from the environment only and is struck out of everything that a server sends back. `field` is the
    recipe's section, for what is said to people. `route` is what paces the requests; it hears of every reply's headers.
    Raises RecipeError where the key's variable is not set.
    """

    def __init__(self, section: config.Server, field: str = TEACHER, route: Route | None = None) -> None:
        self._section, self._field = section, field
        self._key = _key_from_environment(section.api_key_env, field)
        self._spellings = _spellings(self._key) if self._key else ()
        self.host = urlsplit(section.base_url).hostname
        self.route = route_to(section) if route is None else route
        self._posters: dict[str, Poster] = {}
        self._reached = False  # a route that has worked once is worth waiting for
        self._deadline = Deadline(section.timeout_s)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._posters.clear()  # they belong to a session
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._session = aiohttp.ClientSession(
            headers=headers | {"Accept": "application/json"},
            # Who sends keeps the number of requests. Connections outlive a pause between bursts of work.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=None),  # `_send` keeps the time
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    @property
    def where(self) -> str:
        """The recipe's section and the server, as errors begin."""
        return f"{self._field}: {self._section.base_url}"

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send one request body as it stands and decode the JSON that comes back.

        `path` goes on from the base URL, or, with a slash before it, from the server's root (the base URL without its
        /v1). Raises Retry, Permanent or Fatal.
        """
        return (await self.exchange(path, body))[0]

    async def exchange(self, path: str, body: Mapping[str, Any] | bytes) -> tuple[Any, str]:
        """The decoded JSON and the text that it was decoded from, without the key; see `post`. Bytes are JSON."""
        posted, text = await self._send(path, body)
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise Retry(f"not JSON: {in_words(text)}") from None
        code, _ = error_in(data)
        if code is not None:  # some routers report a failure in a reply of status 200
            raise self._refused(code, posted.headers, text)
        return data, text

    async def tell(self, path: str, body: Mapping[str, Any]) -> None:
        """Send a command whose reply says nothing beyond its status; see `post`."""
        await self._send(path, body)

    async def _send(self, path: str, body: Mapping[str, Any] | bytes) -> tuple[Posted, str]:
        spelled = body if isinstance(body, bytes) else json.dumps(body).encode()
        poster = self._posters.get(path)
        if poster is None:
            poster = self._posters[path] = Poster(self._session, self._address(path))
        try:
            with self._deadline:
                posted = await poster.post(spelled)
        except TimeoutError:
            raise Retry(f"no answer within {self._section.timeout_s:g} s", overloaded=True) from None
        except aiohttp.ClientError as error:
            raise self._unreached(error) from None
        text = self._strike(posted.content.decode(errors="replace"))  # JSON is UTF-8
        self._reached = True
        self.route.heard(posted.headers)
        if posted.status != 200:
            raise self._refused(posted.status, posted.headers, text)
        kind = posted.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if text.lstrip()[:1] == "<" or kind == "text/html":
            raise Fatal(f"{self.where}: answers with a web page; base_url must lead to the API (often it ends in /v1)")
        return posted, text

    def _address(self, path: str) -> str:
        parts = urlsplit(self._section.base_url)
        base = parts.path.rstrip("/")
        if path.startswith("/"):
            base = base.removesuffix("/v1")
        return urlunsplit(parts._replace(path=f"{base}/{path.removeprefix('/')}"))

    def _refused(self, status: int, headers: Mapping[str, str], text: str) -> Exception:
        """What an HTTP status means for this request and for the route."""
        words = in_words(text)
        said = f"HTTP {status}: {words}"
        if status == 401 or (status == 403 and not re.search(r"moderat|flagged|content.?(policy|filter)", text, re.I)):
            key = (
                f"the key in {self._section.api_key_env}" if self._section.api_key_env else "api_key_env (none is set)"
            )
            return Fatal(f"{self.where}: refuses the key ({said}); check {key}")
        if status == 404:
            return Fatal(f"{self.where}: does not know the model or the address ({said}); check base_url and model")
        if status == 402 or (status == 429 and "insufficient_quota" in text):
            return Fatal(
                f"{self.where}: the account has nothing left ({said}); top it up and run the same command again"
            )
        if 300 <= status < 400:
            return Fatal(f"{self.where}: redirects to {headers.get('Location', 'nowhere')}; put that into base_url")
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
                f"{self.where}: its certificate is not valid here ({self._strike(str(error))}); check base_url"
            )
        words = self._strike(str(error)) or type(error).__name__
        if isinstance(error, aiohttp.ClientConnectorError) and not self._reached:
            return Fatal(f"{self.where}: no route to it ({words}); check base_url and the network")
        return Retry(f"connection failed: {words}", overloaded=True)

    def _strike(self, text: str) -> str:
        """The text without the key, however it is spelled there."""
        if not self._spellings:
            return text
        if "\\u00" in text or "\\/" in text:  # JSON can escape what needs none
            text = _ESCAPED.sub(lambda found: _ESCAPES.get(found[0].lower(), found[0]), text)
        for spelling in self._spellings:
            text = text.replace(spelling, "[key]")
        return text


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


_ESCAPED = re.compile(r"\\\\|\\/|\\u00[2-7][0-9a-f]", re.IGNORECASE)
# What JSON may write for the characters that a key consists of; the two that must be escaped stay as they are.
_ESCAPES = {rf"\u{code:04x}": chr(code) for code in range(0x20, 0x7F) if chr(code) not in '"\\'} | {r"\/": "/"}


def _spellings(key: str) -> tuple[str, ...]:
    """The forms in which a server, a proxy or an error may give a key back, the longest first."""
    forms = {key, json.dumps(key)[1:-1], quote(key), quote(key, safe=""), quote_plus(key)}
    for text in (key, f"Bearer {key}"):
        encoded = base64.b64encode(text.encode()).decode()
        forms |= {encoded, encoded.rstrip("="), base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")}
    return tuple(sorted(forms, key=len, reverse=True))


def _key_from_environment(variable: str | None, field: str) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise RecipeError(f"{field}.api_key_env: the environment variable {variable} is not set; export the key")
    if not key.isascii() or not key.isprintable():
        raise RecipeError(f"{field}.api_key_env: {variable} holds more than one line or odd characters")
    return key
