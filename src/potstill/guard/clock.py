"""Times in logs as microseconds since the epoch in UTC, whatever zone and unit they were written in."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from potstill.errors import PotstillError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_US = 946_684_800_000_000  # the year 2000: earlier than any log of a language model
LATEST_US = 4_102_444_800_000_000  # the year 2100


@dataclass(frozen=True, slots=True)
class Instant:
    """Microseconds since the epoch, and whether the text named no zone, so that one was taken for granted."""

    us: int
    naive: bool = False


def instant(value: Any, zone: tzinfo = UTC) -> Instant:
    """The instant that a value stands for.

    Numbers, or texts of digits, are seconds, milliseconds, microseconds or nanoseconds since the epoch, by their size;
    other texts are ISO 8601, in `zone` where they name none. Raises ValueError for anything else, and for times outside
    of 2000 to 2099.
    """
    if isinstance(value, str) and not value.strip().isdigit():
        value = datetime.fromisoformat(value.strip())
    if isinstance(value, datetime):
        naive = value.tzinfo is None
        since = (value.replace(tzinfo=zone) if naive else value) - _EPOCH
        found = Instant(since // timedelta(microseconds=1), naive)
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a time")
    else:
        found = Instant(_from_number(int(value) if isinstance(value, str) else value))
    if not EARLIEST_US <= found.us < LATEST_US:
        raise ValueError("a time outside of 2000 to 2099")
    return found


def _from_number(value: float) -> int:
    if not 0 <= value < 1e20:  # false for NaN too
        raise ValueError("not a time")
    for limit, times in ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1)):
        if value < limit:
            return round(value * times)
    return int(value) // 1000


def zone(name: str) -> tzinfo:
    """The time zone of this name. Raises PotstillError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PotstillError(f"--time-zone {name}: no such zone; names are like Europe/Berlin or UTC") from None
