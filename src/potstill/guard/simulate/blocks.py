"""Two pools of accounts that take over from each other: the active one is blocked, goes on trying, and falls silent."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from potstill.guard.simulate.arrivals import DAY_S
from potstill.guard.simulate.chance import chance

_BLOCKS_A_DAY: Final = 4
_TRIES_S: Final = 240.0  # for so long a blocked pool goes on


@dataclass(frozen=True, slots=True)
class Turns:
    """When which pool is at work. A day has an even number of blocks, so each day begins with the first pool."""

    seed: int
    name: str

    def blocks(self, day: int) -> NDArray[np.float64]:
        """Seconds of the day at which the active pool is blocked."""
        rng = chance(self.seed, self.name, "blocks", day)
        return np.sort((np.arange(_BLOCKS_A_DAY) + rng.uniform(0.2, 0.9, _BLOCKS_A_DAY)) * DAY_S / _BLOCKS_A_DAY)

    def moments(
        self, day: int, pool: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """A second of the day for each request of these pools (0 or 1), and whether it was refused."""
        edges = np.concatenate(([0.0], self.blocks(day), [DAY_S]))
        seconds, blocked = np.empty(len(pool)), np.zeros(len(pool), bool)
        for one in (0, 1):
            mine = np.flatnonzero(pool == one)
            begins, ends = edges[one:-1:2], edges[one + 1 :: 2].copy()
            tried = np.minimum(ends + _TRIES_S, DAY_S)  # the last window of a day ends without a block
            until = np.where(ends < DAY_S, tried, ends)
            length = (until - begins).cumsum()
            at = rng.random(len(mine)) * length[-1]
            window = np.searchsorted(length, at, side="right")
            seconds[mine] = begins[window] + at - (length - (until - begins))[window]
            blocked[mine] = seconds[mine] >= ends[window]
        return seconds, blocked
