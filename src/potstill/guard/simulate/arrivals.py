"""When requests come: hours of the day, conversations, runs, fixed minutes, common slots, and the shape of a trace."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from potstill.errors import PotstillError
from potstill.guard.simulate.kinds import Hours, Week, When

Floats = NDArray[np.float64]
DAY_S: Final = 86_400
# Relative activity in the 24 hours of one's own day.
_SHAPES: Final[Mapping[Hours, tuple[float, ...]]] = {
    "office": (1, 1, 0, 0, 0, 0, 1, 4, 14, 26, 28, 26, 16, 22, 27, 26, 22, 14, 7, 5, 4, 4, 3, 2),
    "evening": (8, 4, 2, 1, 0, 0, 1, 2, 4, 5, 6, 7, 8, 8, 9, 11, 13, 15, 18, 23, 26, 26, 22, 14),
    "waking": (4, 2, 1, 1, 1, 2, 5, 10, 15, 19, 20, 20, 19, 19, 20, 20, 19, 18, 17, 17, 17, 16, 12, 7),
    "flat": (1,) * 24,
    "night": (10, 26, 22, 10, 4, 1) + (0,) * 16 + (1, 4),
}
_WEEKS: Final[Mapping[Week, tuple[float, ...]]] = {  # from Monday on
    "every": (1, 1, 1, 1, 1, 0.8, 0.8),
    "work": (1, 1, 1, 1, 0.9, 0.08, 0.06),
    "lessons": (0, 1, 0, 1, 0, 0, 0),
}
_LONGEST_RUN_S: Final = 80_000


@dataclass(frozen=True, slots=True)
class Trace:
    """A service's recorded requests: where in the hour each came, in hours, and its tokens in and out."""

    within_h: Floats
    tokens: NDArray[np.int64]  # N×2


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Traces of services, `conv` and `code`; empty where none were given."""

    traces: Mapping[str, Trace] = field(default_factory=dict)


def week_of(week: Week, first_weekday: int, days: int) -> Floats:
    """Relative activity of each day of the log, which begins on this weekday (Monday is 0)."""
    return np.array(_WEEKS[week])[(first_weekday + np.arange(days)) % 7]


def seconds_of_day(rng: np.random.Generator, hours: Hours, n: int) -> Floats:
    """n times of day by the shape of hours, in seconds."""
    shape = np.array((0, *_SHAPES[hours]), float).cumsum()
    return np.asarray(np.interp(rng.random(n) * shape[-1], shape, np.arange(25.0)) * 3600)


def moments(
    when: When, who: NDArray[np.intp], zone_s: Floats, rng: np.random.Generator, common: Floats, trace: Trace | None
) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Seconds of the day, the conversation's number and the turn in it, of requests that are in order of `who`.

    `zone_s` is each request's time zone, `common` the day's slots of those who act together.
    """
    n = len(who)
    fresh = np.ones(n, bool)
    fresh[1:] = who[1:] != who[:-1]
    first_of_account = fresh.copy()
    if when.pacing == "sessions" and when.turns > 1:
        fresh |= rng.random(n) < 1 / when.turns
    session = np.cumsum(fresh) - 1 if when.pacing == "sessions" else np.arange(n)
    turn = np.arange(n) - np.flatnonzero(fresh)[np.cumsum(fresh) - 1] if n else np.arange(0)
    if when.pacing == "together":
        seconds = common[rng.integers(len(common), size=n)] + rng.random(n) * when.jitter_s
        return seconds % DAY_S, session, np.zeros(n, np.intp)
    if when.pacing == "clock":
        minute = (who * 7919 % 60) * 60.0
        hour = np.floor(seconds_of_day(rng, when.hours, n) / 3600) * 3600
        return hour + minute + rng.random(n) * 20, session, np.zeros(n, np.intp)
    begins = first_of_account if when.pacing == "run" else fresh
    part = np.cumsum(begins) - 1
    starts = seconds_of_day(rng, when.hours, int(begins.sum())) - zone_s[begins]
    if trace is not None:
        starts = _as_traced(starts, who[begins], trace, rng)
    gaps = rng.exponential(when.gap_s, n)
    gaps[begins] = 0
    elapsed = np.cumsum(gaps)
    elapsed -= elapsed[begins][part] if n else elapsed
    if when.pacing == "run":  # a run that is longer than a day is a faster one
        length = np.maximum.reduceat(elapsed, np.flatnonzero(begins)) if n else elapsed
        elapsed *= np.minimum(1, _LONGEST_RUN_S / np.maximum(length, 1))[part]
        turn = np.zeros(n, np.intp)
    return (starts[part] + elapsed) % DAY_S, session, turn


def _as_traced(starts: Floats, who: NDArray[np.intp], trace: Trace, rng: np.random.Generator) -> Floats:
    """The same hours, and within the hour the trace's bursts, which each account has at another time."""
    within = trace.within_h[rng.integers(len(trace.within_h), size=len(starts))] + who * 0.618034
    return np.asarray((np.floor(starts / 3600) + within % 1) * 3600)


def read_arrivals(path: Path) -> Arrivals:
    """Traces in the form of the Azure LLM inference trace: TIMESTAMP, ContextTokens, GeneratedTokens.

    A file, or a folder of them; one whose name has `code` is of a code service, others of a conversation service.
    Raises PotstillError for a file that cannot be read so, and for a folder without one.
    """
    found = [path] if path.is_file() else sorted(path.glob("*.csv"))
    if not found:
        raise PotstillError(f"{path}: no trace here; wanted is a CSV file, or a folder of them")
    traces = {"code" if "code" in one.name.casefold() else "conv": _read(one) for one in found}
    return Arrivals(traces)


def _read(path: Path) -> Trace:
    within, tokens = [], []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                at = datetime.fromisoformat(row["TIMESTAMP"][:26])
                within.append((at.minute * 60 + at.second + at.microsecond / 1e6) / 3600)
                tokens.append((int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise PotstillError(
            f"{path}: no trace that can be read ({type(error).__name__}: {error}); wanted are the columns TIMESTAMP, "
            "ContextTokens, GeneratedTokens"
        ) from None
    if not within:
        raise PotstillError(f"{path}: the trace has no rows")
    return Trace(np.array(within), np.array(tokens, np.int64))
