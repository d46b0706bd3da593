"""How far long work has come: a bar with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

_LINE_EVERY_S = 10.0


class Meter(Protocol):
    """Counts one piece of long work."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Say that `amount` more units are done; `note` is a short text such as the current loss."""


class Reporter(Protocol):
    """Where stages tell what they do. The command line gives one; tests and Python callers may pass `Silent()`."""

    def say(self, text: str) -> None:
        """Print one line."""

    def meter(self, title: str, total: float, unit: str, done: float = 0) -> AbstractContextManager[Meter]:
        """Open a counter for work of `total` units of which `done` are finished already; use it in a with statement."""


class _Nothing:
    def advance(self, amount: float = 1, note: str = "") -> None:
        """Count nothing."""


class Silent:
    """A reporter that prints nothing."""

    def say(self, text: str) -> None:
        """Print nothing."""

    @contextmanager
    def meter(self, title: str, total: float, unit: str, done: float = 0) -> Iterator[Meter]:
        """Count nothing."""
        yield _Nothing()


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Units a second over the last half minute."""
        return Text(f"{task.speed:,.1f} {task.fields['unit']}/s" if task.speed else "", style="cyan")


class _BarMeter:
    def __init__(self, progress: Progress, total: float, title: str, unit: str, done: float) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, completed=int(done), unit=unit, note="")

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=amount, note=note)


class _LineMeter:
    def __init__(self, console: Console, title: str, total: float, unit: str, done: float) -> None:
        self._console, self._title, self._total, self._unit = console, title, total, unit
        self._done = self._first = done
        self._started = self._last = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Print a line every ten seconds and at the end."""
        self._done += amount
        now = time.monotonic()
        if now - self._last < _LINE_EVERY_S and self._done < self._total:
            return
        self._last = now
        rate = (self._done - self._first) / max(now - self._started, 1e-9)
        left = f", {max(self._total - self._done, 0) / rate:,.0f} s left" if rate > 0 else ""
        end = f", {note}" if note else ""
        self._console.print(
            f"{self._title}: {self._done:,.0f} of {self._total:,.0f} {self._unit}, "
            f"{rate:,.1f} {self._unit}/s{left}{end}"
        )


class Terminal:
    """A reporter for people: rich bars on a terminal, a plain line every ten seconds in a log file or pipe."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line, without markup."""
        self._console.print(text, markup=False)

    @contextmanager
    def meter(self, title: str, total: float, unit: str, done: float = 0) -> Iterator[Meter]:
        """A bar on a terminal, lines elsewhere."""
        if not self._console.is_terminal:
            yield _LineMeter(self._console, title, total, unit, done)
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            _Rate(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=self._console) as progress:
            yield _BarMeter(progress, total, title, unit, done)
