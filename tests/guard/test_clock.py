"""Times of logs: every spelling of one instant is one instant."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import PotstillError
from potstill.guard.clock import Instant, instant, zone

NOON = 1_772_366_400  # 2026-03-01T12:00:00Z


@pytest.mark.parametrize(
    "written",
    [
        NOON, float(NOON), NOON * 1000, NOON * 10**6, NOON * 10**9, str(NOON), str(NOON * 10**9),
        "2026-03-01T12:00:00Z", "2026-03-01 13:00:00+01:00", "2026-03-01T17:30:00+05:30",
        datetime(2026, 3, 1, 12, tzinfo=UTC),
    ],
)  # fmt: skip
def test_one_instant_in_all_spellings(written: object) -> None:
    assert instant(written) == Instant(NOON * 1_000_000)


def test_a_time_without_a_zone_is_taken_in_the_given_one_and_says_so() -> None:
    assert instant("2026-03-01 12:00:00") == Instant(NOON * 1_000_000, naive=True)
    assert instant("2026-03-01 13:00:00", ZoneInfo("Europe/Berlin")) == Instant(NOON * 1_000_000, naive=True)


@pytest.mark.parametrize(
    "written",
    [
        "noon", "", "²", "9" * 5000, -1, True, None, float("nan"), float("inf"), [NOON], "1969-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(written: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        instant(written)


@given(st.datetimes(datetime(2001, 1, 1), datetime(2099, 12, 31)), st.integers(-12, 14))
def test_an_offset_never_moves_the_instant(when: datetime, hours: int) -> None:
    there = when.replace(tzinfo=UTC).astimezone(ZoneInfo(f"Etc/GMT{-hours:+d}" if hours else "UTC"))
    assert instant(there.isoformat()) == instant(when.replace(tzinfo=UTC).isoformat())


def test_an_unknown_zone_is_one_line() -> None:
    with pytest.raises(PotstillError, match="no such zone"):
        zone("Mars/Olympus")
