"""One time limit for all requests of a client, kept by one timer: one each takes a tenth of a request's own work."""

import asyncio
from types import TracebackType


class Deadline:
    """Cancels what is in a `with` of it for longer than `limit_s` seconds; there it becomes a TimeoutError.

    As `asyncio.timeout`, but one object serves every task of a loop at once. A task may be in it once at a time.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        # Each task's end, and how often it was cancelled before; in the order of entry, and so of the ends.
        self._within: dict[asyncio.Task[object], tuple[float, int]] = {}
        self._expired: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for tasks")
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limit_s
        self._within[task] = (end, task.cancelling())
        if self._timer is None:
            self._timer = loop.call_at(end, self._expire, loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # or `__enter__` would have raised
        _, before = self._within.pop(task)
        if not self._within and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if task in self._expired:
            self._expired.discard(task)
            # Whoever else cancelled it has its way.
            if task.uncancel() <= before and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for task, (end, _) in self._within.items():
            if task in self._expired:
                continue
            if end > loop.time():
                self._timer = loop.call_at(end, self._expire, loop)
                return
            self._expired.add(task)
            task.cancel()
