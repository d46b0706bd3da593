"""The two servers that clients are measured against: nginx with a static answer, and one that takes 200 ms."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BODY_BYTES = 1500
DELAY_S = 0.2
SERVER_CORE, CLIENT_CORE = "1", "0"

_CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{body}'; }}
  }}
}}
"""


def completion() -> str:
    """A chat completion of `BODY_BYTES` bytes; no character of it means anything to nginx's configuration."""
    reply = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "served",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop",
                     "logprobs": None}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 300, "total_tokens": 312},
    }  # fmt: skip
    words = "the kettle is a vessel for water " * 60
    reply["choices"][0]["message"]["content"] = words[: BODY_BYTES - len(json.dumps(reply))]
    return json.dumps(reply)


@contextmanager
def nginx() -> Iterator[str]:
    """The base URL of an nginx that answers every POST at once."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        sys.exit("benchmark-collecting: no nginx here; install it (Debian: apt-get install nginx-light)")
    port = _free_port()
    with tempfile.TemporaryDirectory() as home:
        config = Path(home, "nginx.conf")
        config.write_text(_CONFIG.format(folder=home, port=port, body=completion()))
        with _running(["taskset", "-c", SERVER_CORE, program, "-e", f"{home}/error.log", "-c", str(config)], port):
            yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def slow_server() -> Iterator[str]:
    """The base URL of a server, in a process of its own, that answers every POST after `DELAY_S`."""
    port = _free_port()
    with _running(["taskset", "-c", SERVER_CORE, sys.executable, __file__, str(port)], port):
        yield f"http://127.0.0.1:{port}/v1"


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command) as process:
        try:
            _wait_for(port, process)
            yield
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"benchmark-collecting: {process.args!r} does not listen")


class _Slow(asyncio.Protocol):
    """Just enough HTTP for clients that send a whole request with its length before they read."""

    _answer = completion().encode()
    _reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_answer) + _answer

    def __init__(self) -> None:
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            head = self._seen[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._seen) < end + 4 + length:
                return
            self._seen = self._seen[end + 4 + length :]
            asyncio.get_running_loop().call_later(DELAY_S, self._say)

    def _say(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._reply)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Slow, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
