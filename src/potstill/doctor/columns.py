"""The facts of a million exchanges as columns of numbers, some 70 bytes an exchange, and their places."""

import math
from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from potstill.doctor.facts import Facts, digest
from potstill.doctor.findings import bits
from potstill.exchanges import Exchange


@dataclass(slots=True)
class Columns:
    """One entry an exchange, in the order of the log."""

    files: list[str] = field(default_factory=list)
    file: "array[int]" = field(default_factory=lambda: array("i"))
    line: "array[int]" = field(default_factory=lambda: array("q"))
    job: "array[int]" = field(default_factory=lambda: array("i"))
    system: "array[int]" = field(default_factory=lambda: array("i"))  # number of the job's system prompt; -1 for none
    words: "array[int]" = field(default_factory=lambda: array("Q"))  # digest of the first words
    prompt: "array[int]" = field(default_factory=lambda: array("Q"))
    answer: "array[int]" = field(default_factory=lambda: array("Q"))
    short: "array[int]" = field(default_factory=lambda: array("b"))
    tools: "array[int]" = field(default_factory=lambda: array("i"))  # number of the toolset; -1 for none
    flags: "array[int]" = field(default_factory=lambda: array("i"))
    time_s: "array[float]" = field(default_factory=lambda: array("d"))  # NaN where unknown

    def add(self, one: Exchange, facts: Facts, job: int, system: int, tools: int) -> None:
        """Append one exchange."""
        file, _, line = one.place.rpartition(":")
        if not self.files or self.files[-1] != file:
            self.files.append(file)
        self.file.append(len(self.files) - 1)
        self.line.append(int(line))
        self.job.append(job)
        self.system.append(system)
        self.words.append(digest(facts.first_words))
        self.prompt.append(facts.prompt)
        self.answer.append(facts.answer)
        self.short.append(facts.short)
        self.tools.append(tools)
        self.flags.append(bits(facts.reasons))
        self.time_s.append(math.nan if one.time_s is None else one.time_s)

    def __len__(self) -> int:
        return len(self.job)

    def place(self, row: int) -> str:
        """File and line of an exchange."""
        return f"{self.files[self.file[row]]}:{self.line[row]}"

    def places(self, rows: NDArray[np.int64], number: int = 3) -> tuple[str, ...]:
        """The places of the first few of these exchanges, each once."""
        return tuple(dict.fromkeys(self.place(int(row)) for row in rows[: 2 * number]))[:number]
