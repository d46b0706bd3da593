"""How fast a server may be asked: limits a minute from the recipe, and what its reply headers say is left."""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_MINUTE_S = 60.0
_SLACK_S = 0.05  # how far sending may catch up after the loop was late
_EPOCH_S = 1e9  # a reset above this is a point in time, not a duration
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_TOKENS_A_BYTE = 0.25  # before there is any usage to learn from


@dataclass(frozen=True, slots=True)
class Quota:
    """What a server says is left of one limit: `remaining` units, and the seconds until all of them are back.

    `limit` is None where it does not say. With `refills` units come back steadily, else all at once.
    """

    remaining: float
    reset_s: float
    limit: float | None = None
    refills: bool = False

    def units_a_second(self) -> float | None:
        """A speed that never uses it up, and uses what is left evenly; None where it does not limit.

        What refills gives its stream, (limit - remaining) / reset, whatever its period is, and what is left over it
        within a minute. What comes back at once is spread over the time until then.
        """
        if self.reset_s <= 0:
            return None
        if not self.refills or self.limit is None:
            return max(self.remaining, 1.0) / self.reset_s
        used = self.limit - self.remaining
        return None if used <= 0 else used / self.reset_s + self.remaining / _MINUTE_S


class Pace:
    """Spaces units (requests, or tokens) evenly, so that no 60 seconds hold more than `per_minute` of them.

    Whoever reserves is told how long to wait, so that nobody is passed over and nobody sends in bursts.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._per_minute = per_minute
        self._largest = 1.0
        self._due_s = -math.inf
        self._heard: float | None = None  # units a second, while it is valid
        self._heard_until_s = -math.inf

    def reserve(self, units: float, now_s: float) -> float:
        """Seconds to wait before so many units may be sent."""
        self._largest = max(self._largest, units)
        spacing_s = self._spacing_s(now_s)
        if spacing_s == 0:
            return 0.0
        at_s = max(self._due_s, now_s - _SLACK_S)
        self._due_s = at_s + units * spacing_s
        return max(0.0, at_s - now_s)

    def correct(self, units: float, now_s: float) -> None:
        """So many more units than were reserved (fewer where negative) have been used."""
        if self._due_s > -math.inf:
            self._due_s += units * self._spacing_s(now_s)

    def heard(self, quota: Quota, now_s: float) -> None:
        """Take over what the server says is left, until that is out of date."""
        self._heard, self._heard_until_s = quota.units_a_second(), now_s + quota.reset_s

    def hold(self, until_s: float) -> None:
        """Nothing was sent in the meantime: start evenly from then instead of catching up."""
        self._due_s = max(self._due_s, until_s) if self._due_s > -math.inf else self._due_s

    def _spacing_s(self, now_s: float) -> float:
        spacing_s = 0.0
        if self._per_minute is not None:
            # The last request of a minute counts whole, however large: so much room is left for it.
            room = max(self._per_minute - (self._largest - 1), self._per_minute / 2)
            spacing_s = (_MINUTE_S + 2 * _SLACK_S) / room
        if self._heard is not None and now_s < self._heard_until_s:
            spacing_s = max(spacing_s, 1 / self._heard)
        return spacing_s


def estimated_tokens(body: Mapping[str, Any]) -> float:
    """What a request may take before anything is known of the route: its text, and all the answer it allows."""
    spelled = sum(len(str(one.get("content") or "")) for one in body.get("messages", ()))
    most = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    return spelled * _TOKENS_A_BYTE + float(most)


def read_quotas(headers: Mapping[str, str]) -> dict[str, Quota]:
    """What reply headers say is left of "requests" and "tokens", in the spellings of OpenAI, Anthropic and the IETF."""
    told = {lower: value for name, value in headers.items() if "ratelimit" in (lower := name.lower())}
    found: dict[str, Quota] = {}
    if not told:
        return found
    for unit in ("requests", "tokens"):
        for form in (f"x-ratelimit-{{}}-{unit}", f"anthropic-ratelimit-{unit}-{{}}"):
            _keep(found, unit, [told.get(form.format(part)) for part in ("remaining", "reset", "limit")], refills=True)
    for form in ("ratelimit-{}", "x-ratelimit-{}"):
        _keep(found, "requests", [told.get(form.format(part)) for part in ("remaining", "reset", "limit")])
    left = dict(piece.strip().partition("=")[::2] for piece in told.get("ratelimit", "").split(";"))
    _keep(found, "requests", [left.get("r"), left.get("t"), None])
    return found


def _keep(found: dict[str, Quota], unit: str, values: list[str | None], *, refills: bool = False) -> None:
    remaining, reset_s, limit = _number(values[0]), _seconds(values[1]), _number(values[2])
    if unit not in found and remaining is not None and reset_s is not None:
        found[unit] = Quota(remaining, reset_s, limit, refills)


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").split(",")[0].split(";")[0])
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _seconds(text: str | None) -> float | None:
    """A duration such as "6m0s" or "0.5", or the time until a point in time, as a number or a date."""
    if text is None:
        return None
    if _DURATION.fullmatch(text.strip()):
        return sum(float(number) * _UNIT_S[unit] for number, unit in _PIECE.findall(text))
    value = _number(text)
    if value is None:
        try:
            value = datetime.fromisoformat(text.strip()).timestamp()
        except (ValueError, OverflowError):
            return None
    return max(0.0, value - time.time()) if value > _EPOCH_S else value
