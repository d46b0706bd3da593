"""Values of evaluation.json as words ready to print, for the sections and tables of the report."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from potstill.evaluate.meanings import ROLES
from potstill.evaluate.summary import (
    NOT_MEASURED,
    format_interval,
    format_value,
    mapping,
    number,
)


def printed(value: Any, unit: str = "") -> str:
    """A count or text ready to print, or "not measured"."""
    found = number(value)
    if found is not None:
        return f"{found:,.0f}{unit}" if found.is_integer() or abs(found) >= 1000 else f"{found:,.1f}{unit}"
    return NOT_MEASURED if value is None or value == "" else str(value)


def time_of_day(value: Any) -> str | None:
    """An ISO 8601 time as day, month, year, hour and minute in UTC; None where it is no time."""
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    except ValueError:
        return None


def role_title(name: str) -> str:
    """The title of a model's role, such as initial student."""
    return ROLES.get(name, name.replace("_", " "))


def value_of(figures: Mapping[str, Any], name: str) -> float | None:
    """A figure's value, or None where it was not measured."""
    return number(mapping(figures.get(name)).get("value"))


def cell(figures: Mapping[str, Any], name: str) -> dict[str, str]:
    """A figure's value and interval, ready to print; the interval is empty where there is none."""
    figure = mapping(figures.get(name))
    interval = format_interval(name, figure.get("low"), figure.get("high"))
    return {"value": format_value(name, figure.get("value")), "interval": interval}


def capital(text: str) -> str:
    """The text with its first letter raised, but for chrF, which is spelt so."""
    return text if text.startswith("chrF") else text[:1].upper() + text[1:]


def millions(count: float) -> str:
    """A count of parameters in millions or billions, held to its number."""
    return (
        f"{count / 1e9:,.2f}\N{NO-BREAK SPACE}billion"
        if count >= 1e9
        else f"{count / 1e6:,.1f}\N{NO-BREAK SPACE}million"
    )


def unbroken(text: str) -> str:
    """The text with each unit held to its number, for narrow places."""
    return re.sub(r"(?<=\d) (?=%|nats)", "\N{NO-BREAK SPACE}", text)
