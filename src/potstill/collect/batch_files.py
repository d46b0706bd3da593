"""Cuts pending requests into input files for a batch API, within its limits and what the budget allows."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from potstill.collect.batch_lines import input_line
from potstill.config import BatchFiles, Prices
from potstill.errors import PotstillError
from potstill.models.http import most_usd


@dataclass(frozen=True, slots=True)
class InputFile:
    """A written input file: whose requests it holds, its hash, and the most that they can cost."""

    path: Path
    keys: tuple[str, ...]
    sha256: str
    most_usd: float


class Pile:
    """Requests in their order, from which files are filled; what did not fit into one begins the next."""

    def __init__(self, requests: Iterable[tuple[str, str]], limits: BatchFiles, prices: Prices | None) -> None:
        self._requests = iter(requests)
        self._limits, self._prices = limits, prices
        self._kept: tuple[str, bytes, float] | None = None
        self.too_long: list[tuple[str, str]] = []  # key and words of requests that no file can hold

    def next_usd(self) -> float | None:
        """The most that the next request can cost; None where there is none."""
        if self._kept is None:
            self._kept = next(self._lines(), None)
        return None if self._kept is None else self._kept[2]

    def fill(self, path: Path, allowance_usd: float | None) -> InputFile | None:
        """Write the next file; None where no request is left, or the next may cost more than is allowed."""
        keys: list[str] = []
        size, most, digest = 0, 0.0, hashlib.sha256()
        try:
            with path.open("wb") as file:
                while (one := self._peek()) is not None and len(keys) < self._limits.requests_per_file:
                    key, line, usd = one
                    beyond = allowance_usd is not None and most + usd > allowance_usd
                    if beyond or size + len(line) > self._limits.bytes_per_file:
                        break
                    self._kept = None
                    file.write(line)
                    digest.update(line)
                    keys.append(key)
                    size, most = size + len(line), most + usd
        except OSError as error:
            raise PotstillError(f"{path}: cannot be written ({error.strerror}); free space and run again") from None
        return InputFile(path, tuple(keys), digest.hexdigest(), most) if keys else None

    def _peek(self) -> tuple[str, bytes, float] | None:
        self.next_usd()
        return self._kept

    def _lines(self) -> Iterator[tuple[str, bytes, float]]:
        for key, content in self._requests:
            line = input_line(key, content)
            if len(line) <= self._limits.bytes_per_file:
                yield key, line, most_usd(json.loads(content)["body"], self._prices)
            else:
                words = f"the request takes {len(line):,} bytes, over collect.batch.bytes_per_file"
                self.too_long.append((key, words))
