"""The files and batches of one OpenAI-compatible server: upload, submit, look, download."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp

from potstill.models.chat_completion import in_words
from potstill.models.client import Client, Fatal, Retry

TAG = "potstill_batch"  # in the metadata of a batch
FINAL = frozenset({"completed", "failed", "expired", "cancelled"})
_PIECE_BYTES = 1 << 20
_ERRORS_NAMED = 3
_EARLIER_S = 86_400  # clocks differ; no batch of ours is older than its row by more


@dataclass(frozen=True, slots=True)
class BatchState:
    """What the server says of a batch."""

    id: str
    status: str
    output_file_id: str | None
    error_file_id: str | None
    completed: int
    failed: int
    total: int
    words: str  # its validation errors, "" where there are none


class BatchServer(Client):
    """A server with /files and /batches. Every method raises Retry, Permanent or Fatal, as `Client.post` does."""

    async def upload(self, path: Path, name: str) -> str:
        """Send an input file; returns the server's id for it."""
        with path.open("rb") as file:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field("file", file, filename=name, content_type="application/jsonl")
            return _known_id(await self._ask("POST", "files", data=form), "file")

    async def submit(self, file_id: str, completion_window: str, tag: str, input_sha256: str) -> BatchState:
        """Have a file worked on. After Retry, `find` tells whether it is."""
        body = {
            "input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": completion_window,
            "metadata": {TAG: tag, "input_sha256": input_sha256},
        }  # fmt: skip
        return read_batch(await self._ask("POST", "batches", json=body))

    async def find(self, tag: str, file_id: str, since_s: float) -> BatchState | None:
        """The batch with this tag or input file among those created since a time (seconds since the epoch)."""
        after: str | None = None
        while True:
            query = {"limit": "100"} | ({"after": after} if after else {})
            page = await self._ask("GET", "batches", params=query)
            rows = [one for one in page.get("data") or [] if isinstance(one, Mapping)]
            for one in rows:
                metadata = one.get("metadata")
                tagged = isinstance(metadata, Mapping) and metadata.get(TAG) == tag
                if tagged or one.get("input_file_id") == file_id:
                    return read_batch(one)
            oldest = rows[-1].get("created_at") if rows else None
            if not page.get("has_more") or not isinstance(oldest, int | float) or oldest < since_s - _EARLIER_S:
                return None
            after = _known_id(rows[-1], "batch")

    async def look(self, batch_id: str) -> BatchState:
        """How far a batch is."""
        return read_batch(await self._ask("GET", f"batches/{batch_id}"))

    async def download(self, file_id: str, into: BinaryIO) -> None:
        """Write a file's content, from the beginning of `into`, without the key should the server tell it."""
        into.seek(0)
        into.truncate()
        response = await self._send_any("GET", f"files/{file_id}/content")
        async with response:
            try:
                async for piece in response.content.iter_chunked(_PIECE_BYTES):
                    into.write(piece)
            except TimeoutError:
                raise Retry("the download stood still") from None
            except aiohttp.ClientError as error:
                raise self._unreached(error) from None
        into.flush()

    def clean(self, line: str) -> str:
        """A line of a downloaded file without the key."""
        return self._strike(line)

    async def _ask(self, method: str, path: str, **what: Any) -> Mapping[str, Any]:
        response = await self._send_any(method, path, **what)
        async with response:
            try:
                text = self._strike(await response.text(errors="replace"))
            except TimeoutError:
                raise Retry("no whole answer in time") from None
            except aiohttp.ClientError as error:
                raise self._unreached(error) from None
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise Retry(f"not JSON: {in_words(text)}") from None
        if not isinstance(data, Mapping):
            raise Retry(f"not a JSON object: {in_words(text)}")
        return data

    async def _send_any(self, method: str, path: str, **what: Any) -> aiohttp.ClientResponse:
        """A response of success, its body still unread. Large files take long: only silence counts as a timeout."""
        limit_s = self._section.timeout_s
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=limit_s, sock_read=limit_s)
        try:
            response = await self._session.request(
                method, self._address(path), allow_redirects=False, timeout=timeout, **what
            )
        except TimeoutError:
            raise Retry(f"no answer within {limit_s:g} s") from None
        except aiohttp.ClientError as error:
            raise self._unreached(error) from None
        self._reached = True
        if response.status in (200, 201):
            return response
        async with response:
            text = self._strike(await response.text(errors="replace"))
        if response.status == 404:
            raise Fatal(
                f"{self.where}: does not know {path} (HTTP 404: {in_words(text)}); collect.mode: batch needs a server "
                "with /files and /batches, and the key that the batch was submitted with"
            )
        raise self._refused(response.status, response.headers, text)


def read_batch(data: Mapping[str, Any]) -> BatchState:
    """A batch from its JSON. Raises Retry where that is none."""
    counts = data.get("request_counts")
    counts = counts if isinstance(counts, Mapping) else {}
    status = data.get("status")
    if not isinstance(status, str):
        raise Retry(f"not a batch: {in_words(json.dumps(data))}")
    return BatchState(
        _known_id(data, "batch"), status, _text(data.get("output_file_id")), _text(data.get("error_file_id")),
        _count(counts.get("completed")), _count(counts.get("failed")), _count(counts.get("total")),
        _errors(data.get("errors")),
    )  # fmt: skip


def _errors(errors: Any) -> str:
    """The validation errors of a batch in one line: the first few, each with its line of the input file."""
    rows = errors.get("data") if isinstance(errors, Mapping) else errors
    found = [one for one in rows if isinstance(one, Mapping)] if isinstance(rows, list) else []
    words = []
    for one in found[:_ERRORS_NAMED]:
        where = f"line {one['line']}: " if isinstance(one.get("line"), int) else ""
        words.append(where + in_words(json.dumps({"message": one.get("message") or one.get("code")})))
    more = f" (and {len(found) - _ERRORS_NAMED} more)" if len(found) > _ERRORS_NAMED else ""
    return "; ".join(words) + more


def _known_id(data: Mapping[str, Any], what: str) -> str:
    found = _text(data.get("id"))
    if found is None:
        raise Retry(f"a {what} without an id: {in_words(json.dumps(data))}")
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
