"""Posts bodies to one address over aiohttp's connections, without the work that its session does for each request."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

_NO_LIMIT = aiohttp.ClientTimeout(total=None)  # who posts keeps the time


class Posted(NamedTuple):
    """What came back for one body: the status, the headers (names in any case) and the content, decompressed."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Poster:
    """One address of a server. Connections, their reuse, TLS, names and the parsing of replies stay aiohttp's.

    A session makes a request and a response object, some ten more and a task for every body, which takes a large part
    of the time of collecting. Here the request is made once, and its head is sent with each body's length.
    """

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        assert session.connector is not None  # or the session is closed
        self._connector = session.connector
        url, loop = URL(address), asyncio.get_running_loop()
        headers = {**session.headers, "Content-Type": "application/json"}
        self._request = aiohttp.ClientRequest("POST", url, headers=headers, loop=loop, session=session)
        lines = [f"{name}: {value}" for name, value in self._request.headers.items() if name != "Content-Length"]
        head = "\r\n".join([f"POST {url.raw_path_qs} HTTP/1.1", *lines, "Content-Length: "])
        self._head = head.encode()

    async def post(self, body: bytes) -> Posted:
        """Send a body and read the whole reply; redirects are not followed. Raises aiohttp.ClientError.

        A connection goes back only when its reply was read to the end: nobody gets another's answer.
        """
        try:
            connection = await self._connector.connect(self._request, [], _NO_LIMIT)
            try:
                posted = await self._exchange(connection, body)
            except BaseException:
                connection.close()
                raise
            connection.release()
        except aiohttp.ClientError:
            raise
        except HttpProcessingError as error:
            raise aiohttp.ClientPayloadError(f"not HTTP: {error.message}") from error
        except OSError as error:
            raise aiohttp.ClientOSError(*error.args) from error
        return posted

    async def _exchange(self, connection: "aiohttp.connector.Connection", body: bytes) -> Posted:
        protocol, transport = connection.protocol, connection.transport
        assert protocol is not None  # the connector has just given it out
        assert transport is not None
        protocol.set_response_params(read_until_eof=True)
        transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        message, payload = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:  # such as early hints: the reply follows
            message, payload = await protocol.read()
        return Posted(message.code, message.headers, await payload.read())
