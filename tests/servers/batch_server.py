"""A real HTTP server on loopback with OpenAI's /files and /batches, which does with each batch what a test tells it."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web
from scripted_server import ScriptedServer, Step

Body = dict[str, Any]


@dataclass
class Work:
    """A batch at the server. `polls` counts how often it was looked at."""

    id: str
    data: Body
    lines: list[Body]
    polls: int = 0


def answered(line: Body, text: str = "fine", usage: tuple[int, int] = (12, 5), **message: Any) -> Body:
    """An output line with a chat completion for an input line."""
    body = {
        "id": "c1", "object": "chat.completion", "model": "served-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text, **message},
                     "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    }  # fmt: skip
    response = {"status_code": 200, "request_id": "r1", "body": body}
    return {"id": "batch_req_1", "custom_id": line["custom_id"], "response": response, "error": None}


def refused(line: Body, status: int = 400, words: str = "no") -> Body:
    """An error line as the server writes it for a request that it took and refused."""
    body = {"error": {"message": words, "type": "invalid_request_error", "code": None}}
    response = {"status_code": status, "request_id": "r1", "body": body}
    return {"id": "batch_req_1", "custom_id": line["custom_id"], "response": response, "error": None}


def expired(line: Body) -> Body:
    """The line of a request that a batch did not come to."""
    error = {
        "code": "batch_expired",
        "message": "This request could not be executed before the completion window expired.",
    }
    return {"id": "batch_req_1", "custom_id": line["custom_id"], "response": None, "error": error}


def prompt(line: Body) -> str:
    """The last message of an input line."""
    return str(line["body"]["messages"][-1]["content"])


@dataclass
class End:
    """How a batch ends. `output` and `errors` are None where there is no such file."""

    status: str = "completed"
    output: list[Body] | None = None
    errors: list[Body] | None = None
    problems: list[Body] = field(default_factory=list)  # of validation


def all_answered(work: Work) -> End:
    """Every request answered, in another order than asked."""
    output = [answered(line, f"re: {prompt(line)}") for line in work.lines]
    random.Random(1).shuffle(output)
    return End(output=output)


class BatchServer(ScriptedServer):
    """`end` says how a batch ends, at the second look; `fault` may take one operation's place.

    Operations are upload, submit, list, look, download; a fault with status 0 does the work but never says so.
    """

    def __init__(self, end: Callable[[Work], End] = all_answered) -> None:
        super().__init__()
        self.end = end
        self.fault: Callable[[str], Step | None] = lambda operation: None
        self.files: dict[str, str] = {}
        self.batches: dict[str, Work] = {}
        self.operations: list[str] = []
        self.looks_before_end = 2

    @property
    def asked_prompts(self) -> list[str]:
        """The prompts of every batch, in the order in which they were submitted."""
        return [prompt(line) for work in self.batches.values() for line in work.lines]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        operation, work = self._operation(request)
        self.operations.append(operation)
        step = self.fault(operation)
        if step is not None and step.status:
            return web.Response(status=step.status, text=step.body, headers=dict(step.headers))
        response = await work()
        if step is not None:
            if step.hold:
                await asyncio.sleep(3600)
            assert request.transport is not None
            request.transport.abort()
        return response

    def _operation(self, request: web.Request) -> tuple[str, Callable[[], Any]]:
        parts = request.path.removeprefix("/v1/").split("/")
        if request.method == "POST":
            return ("upload", lambda: self._upload(request)) if parts[0] == "files" else (
                "submit", lambda: self._submit(request))  # fmt: skip
        if parts[0] == "files":
            return "download", lambda: self._download(parts[1])
        return ("list", lambda: self._list(request)) if len(parts) == 1 else ("look", lambda: self._look(parts[1]))

    async def _upload(self, request: web.Request) -> web.Response:
        # Part by part, in memory: `request.post` leaves a temporary file open where a client is killed in the middle.
        parts: dict[str, tuple[str | None, str]] = {}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            parts[part.name or ""] = (part.filename, (await part.read(decode=True)).decode())
        assert parts["purpose"] == (None, "batch")
        name, content = parts["file"]
        assert name is not None
        assert name.endswith(".jsonl")
        self.files[f"file-{len(self.files)}"] = content
        return web.json_response({"id": f"file-{len(self.files) - 1}", "object": "file", "purpose": "batch"})

    async def _submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["endpoint"] == "/v1/chat/completions"
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        batch_id = f"batch_{len(self.batches)}"
        data = {
            "id": batch_id, "object": "batch", "status": "validating", "input_file_id": body["input_file_id"],
            "output_file_id": None, "error_file_id": None, "errors": None, "created_at": int(time.time()),
            "completion_window": body["completion_window"], "metadata": body["metadata"],
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }  # fmt: skip
        self.batches[batch_id] = Work(batch_id, data, lines)
        return web.json_response(data)

    async def _list(self, request: web.Request) -> web.Response:
        newest_first = [work.data for work in reversed(self.batches.values())]
        at = [one["id"] for one in newest_first].index(request.query["after"]) + 1 if "after" in request.query else 0
        page = newest_first[at : at + 1]  # one a page, so that paging is seen to work
        return web.json_response({"object": "list", "data": page, "has_more": at + 1 < len(newest_first)})

    async def _look(self, batch_id: str) -> web.Response:
        work = self.batches[batch_id]
        work.polls += 1
        if work.polls < self.looks_before_end:
            work.data |= {
                "status": "in_progress",
                "request_counts": {"total": len(work.lines), "completed": 0, "failed": 0},
            }
        elif work.data["status"] in ("validating", "in_progress"):
            self._finish(work, self.end(work))
        return web.json_response(work.data)

    def _finish(self, work: Work, end: End) -> None:
        work.data["status"] = end.status
        for name, lines in (("output_file_id", end.output), ("error_file_id", end.errors)):
            if lines is not None:
                file_id = f"file-{len(self.files)}"
                self.files[file_id] = "".join(json.dumps(line) + "\n" for line in lines)
                work.data[name] = file_id
        done = sum(one["response"] is not None and one["response"]["status_code"] == 200 for one in end.output or [])
        counts = {"total": len(work.lines), "completed": done, "failed": len(work.lines) - done}
        work.data |= {
            "request_counts": counts,
            "errors": {"object": "list", "data": end.problems} if end.problems else None,
        }

    async def _download(self, file_id: str) -> web.Response:
        return web.Response(text=self.files[file_id], content_type="application/octet-stream")
