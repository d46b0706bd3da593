"""Whether an answer ends with the number of its reference, however either is written."""

import re
from dataclasses import dataclass
from fractions import Fraction

_GROUPS = "[,'’_\u00a0\u2009\u202f]"  # what stands between thousands
_START = r"(?<![A-Za-z_0-9])(?<![0-9]\.)"  # in the middle of no word and no number
_SIGN = r"(?<![)\]])[-+−–]"
_FRACTION = (
    rf"{_START}(?<![0-9]/)(?P<sign>{_SIGN})?(?:(?P<integer>[0-9]+) )?(?P<top>[0-9]+)/(?P<bottom>[0-9]+)(?![0-9/])"
)
_DECIMAL = (
    rf"{_START}(?P<minus>{_SIGN})?[$€£¥]?(?P<whole>[0-9]{{1,3}}(?:{_GROUPS}[0-9]{{3}})+(?![0-9])|[0-9]+)?"
    r"(?P<decimals>(?<!\.)\.[0-9]+)?(?P<power>[eE][-+]?[0-9]{1,3}(?![0-9A-Za-z]))?(?P<percent>\s?%|\s?percent\b)?"
)
_NUMBER = re.compile(f"{_FRACTION}|{_DECIMAL}")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as a text has it: its exact value, and whether a percent sign stands behind it."""

    value: Fraction
    percent: bool = False


def last_number(text: str) -> Number | None:
    """The last number of a text; None where there is none.

    Numbers are in English notation: a decimal point, thousands in groups of three (comma, apostrophe, underscore or a
    narrow space), a sign that no number stands before, currency signs, exponents, fractions (3/4, 1 3/4, \\frac{3}{4}).
    """
    found = None
    for match in _NUMBER.finditer(_LATEX_FRACTION.sub(r"\1/\2", text)):
        found = _read(match) or found
    return found


def numeric_match(answer: str, reference: str, tolerance: float = 0.0) -> float:
    """1 where the last numbers of both are equal within `tolerance` times the reference's size, else 0.

    12 % is 12 % and 0.12, and also 12: where one side alone has the sign, either reading of it counts. Without a number
    in the reference nothing matches.
    """
    ours, theirs = last_number(answer), last_number(reference)
    if ours is None or theirs is None:
        return 0.0
    readings = [(ours.value, theirs.value)]
    if ours.percent and not theirs.percent:
        readings.append((ours.value / 100, theirs.value))
    elif theirs.percent and not ours.percent:
        readings.append((ours.value, theirs.value / 100))
    return float(any(abs(one - other) <= Fraction(tolerance) * abs(other) for one, other in readings))


def _read(match: re.Match[str]) -> Number | None:
    try:
        if match["top"] is not None:
            value = Fraction(int(match["integer"] or 0)) + Fraction(int(match["top"]), int(match["bottom"]))
            return Number(-value if match["sign"] in ("-", "−", "–") else value)
        if match["whole"] is None and match["decimals"] is None:
            return None
        digits = re.sub(_GROUPS, "", match["whole"] or "0")
        value = Fraction(f"{digits}{match['decimals'] or ''}{match['power'] or ''}")
    except (ValueError, ZeroDivisionError):  # more digits than Python reads, or a fraction over nothing
        return None
    return Number(-value if match["minus"] in ("-", "−", "–") else value, match["percent"] is not None)
