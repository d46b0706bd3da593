"""What is posted reaches the server byte by byte, and every way a reply can be framed or broken is told apart."""

import asyncio
import gzip
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from potstill.models.posting import Posted, Poster

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
ZIPPED = gzip.compress(b"fine")
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(ZIPPED), ZIPPED)


class Raw:
    """Answers each request of a connection with the next bytes, and closes the connection after the last."""

    def __init__(self, *replies: bytes) -> None:
        self.replies = list(replies)
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.replies:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            reply = self.replies.pop(0)
            writer.write(reply.removesuffix(b"<close>"))
            await writer.drain()
            if reply.endswith(b"<close>"):
                break
        writer.close()


def run(server: Raw, use: Callable[[Poster], Coroutine[Any, Any, Any]], query: str = "") -> Any:
    async def main() -> Any:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with listening, aiohttp.ClientSession(headers={"Authorization": "Bearer abc"}) as session:
            return await use(Poster(session, f"http://127.0.0.1:{port}/v1/chat/completions{query}"))

    return asyncio.run(main())


def test_a_request_is_whole_and_its_connection_is_used_again() -> None:
    server = Raw(PLAIN, PLAIN)

    async def use(poster: Poster) -> list[bytes]:
        return [(await poster.post(body)).content for body in (b'{"a":1}', b'{"a":22}')]

    assert run(server, use, "?version=1%262") == [b"fine", b"fine"]
    assert server.connections == 1
    head, _, body = server.requests[1].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    sent = dict(one.split(": ", 1) for one in headers)
    assert (line, body) == ("POST /v1/chat/completions?version=1%262 HTTP/1.1", b'{"a":22}')
    assert len(sent) == len(headers)
    assert sent["Content-Length"] == "8"
    assert sent["Content-Type"] == "application/json"
    assert sent["Authorization"] == "Bearer abc"
    assert sent["Host"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("reply", "status", "content"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n", 200, b"fine"),
        (b"HTTP/1.1 200 OK\r\n\r\nfine<close>", 200, b"fine"),
        (GZIP, 200, b"fine"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN, 200, b"fine"),
        (b"HTTP/1.1 307 Elsewhere\r\nLocation: /v2\r\nContent-Length: 0\r\n\r\n", 307, b""),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", 204, b""),
    ],
    ids=["chunked", "to the end", "compressed", "early hints", "redirect", "no content"],
)
def test_replies_of_every_framing(reply: bytes, status: int, content: bytes) -> None:
    posted: Posted = run(Raw(reply), lambda poster: poster.post(b"{}"))
    assert (posted.status, posted.content) == (status, content)


@pytest.mark.parametrize(
    "broken",
    [b"<close>", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfine<close>", b"no HTTP at all\r\n\r\n<close>"],
    ids=["no reply", "cut", "not HTTP"],
)
def test_a_broken_reply_is_an_error_and_its_connection_is_left(broken: bytes) -> None:
    server = Raw(broken, PLAIN)

    async def use(poster: Poster) -> Posted:
        with pytest.raises(aiohttp.ClientError):
            await poster.post(b"{}")
        return await poster.post(b"{}")

    assert run(server, use).content == b"fine"
    assert server.connections == 2


def test_a_cancelled_request_leaves_its_answer_to_nobody() -> None:
    late = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla"
    server = Raw(late, PLAIN)

    async def use(poster: Poster) -> Posted:
        first = asyncio.create_task(poster.post(b"{}"))
        while not server.requests:
            await asyncio.sleep(0.001)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await poster.post(b"{}")

    assert run(server, use).content == b"fine"
    assert server.connections == 2
