"""Limits a minute and reply headers: what is read, and that no minute ever holds more than is allowed."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.models.limits import Pace, Quota, estimated_tokens, read_quotas


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {}),
        ({"Content-Type": "application/json"}, {}),
        (
            {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499",
             "x-ratelimit-reset-requests": "120ms", "x-ratelimit-limit-tokens": "30000",
             "x-ratelimit-remaining-tokens": "12000", "x-ratelimit-reset-tokens": "6m0s"},
            {"requests": Quota(499, 0.12, 500, True), "tokens": Quota(12000, 360, 30000, True)},
        ),
        (
            {"X-RateLimit-Remaining-Requests": "7", "X-RateLimit-Reset-Requests": "1h2m3.5s"},
            {"requests": Quota(7, 3723.5, None, True)},
        ),
        (
            {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "40", "RateLimit-Reset": "30"},
            {"requests": Quota(40, 30, 100)},
        ),
        ({"RateLimit": '"default";r=50;t=30'}, {"requests": Quota(50, 30)}),
        ({"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "1s"}, {}),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "soon"}, {}),
        ({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "1s"}, {}),
        ({"ratelimit-remaining": "nan", "ratelimit-reset": "inf"}, {}),
    ],
)  # fmt: skip
def test_headers_in_the_spellings_of_servers(headers: dict[str, str], expected: dict[str, Quota]) -> None:
    assert read_quotas(headers) == expected


def test_a_reset_may_be_a_point_in_time() -> None:
    until = datetime.now(UTC) + timedelta(seconds=60)
    for reset in (until.isoformat().replace("+00:00", "Z"), str(int(time.time()) + 60)):
        headers = {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "20",
            "anthropic-ratelimit-requests-reset": reset,
        }
        found = read_quotas(headers)["requests"]
        assert (found.remaining, found.limit) == (20, 50)
        assert found.reset_s == pytest.approx(60, abs=2) or found.reset_s > 1e9


NAMES = ["x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", "x-ratelimit-limit-tokens", "ratelimit",
         "ratelimit-remaining", "ratelimit-reset"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.from_regex(r"\d{1,12}(ms|s|m|h)?", fullmatch=True)))
def test_no_header_is_too_odd(headers: dict[str, str]) -> None:
    for quota in read_quotas(headers).values():
        speed = quota.units_a_second()
        assert speed is None or speed > 0


def sends(pace: Pace, units: list[float], gap_s: float = 0.0) -> list[float]:
    """When each is sent if all are asked for as early as can be."""
    now, times = 0.0, []
    for one in units:
        now += gap_s
        now += pace.reserve(one, now)
        times.append(now)
    return times


@given(st.integers(1, 3000), st.floats(0, 0.2))
def test_no_60_seconds_hold_more_requests_than_allowed(per_minute: int, gap_s: float) -> None:
    times = sends(Pace(per_minute), [1.0] * min(3 * per_minute, 400), gap_s)
    for start in times:
        assert sum(start <= at < start + 60 for at in times) <= per_minute


@given(st.lists(st.floats(1, 400), min_size=10, max_size=100))
def test_no_60_seconds_hold_more_tokens_than_allowed(units: list[float]) -> None:
    pace = Pace(1000)
    pace.reserve(400, -1000.0)  # the largest has been seen
    times = sends(pace, units)
    for start in times:
        assert sum(one for one, at in zip(units, times, strict=True) if start <= at < start + 60) <= 1000 + 1e-6


def test_sending_is_even_from_the_first_second() -> None:
    times = sends(Pace(600), [1.0] * 100)
    gaps = [later - earlier for earlier, later in pairwise(times[2:])]
    assert max(gaps) == pytest.approx(0.1, rel=0.01)
    assert min(gaps) == pytest.approx(0.1, rel=0.01)


def test_usage_corrects_what_was_reserved() -> None:
    pace = Pace(60)
    assert pace.reserve(10, 0.0) == 0
    pace.correct(-8, 0.0)
    assert pace.reserve(1, 0.0) < 3
    pace.correct(20, 0.0)
    assert pace.reserve(1, 0.0) > 20


def test_what_the_server_says_counts_until_it_is_out_of_date() -> None:
    pace = Pace(None)
    pace.heard(Quota(remaining=5, reset_s=10), 0.0)
    assert sends(pace, [1.0] * 5)[-1] == pytest.approx(8, abs=0.1)  # five over ten seconds
    assert pace.reserve(1, 100.0) == 0
    refilled = Quota(remaining=10, reset_s=49, limit=500, refills=True)
    assert refilled.units_a_second() == pytest.approx(490 / 49 + 10 / 60)
    assert Quota(500, 0, 500, True).units_a_second() is None
    assert Quota(0, 20).units_a_second() == pytest.approx(1 / 20)  # one when it is over


def test_tokens_are_estimated_from_text_and_the_longest_answer() -> None:
    body = {"messages": [{"role": "user", "content": "x" * 400}, {"role": "assistant", "content": None}]}
    assert estimated_tokens(body | {"max_tokens": 50}) == 150
    assert estimated_tokens(body | {"max_completion_tokens": 50}) == 150
