"""What the report's table of models says of speed and price, and under it how they were measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from potstill.evaluate.reporting.wording import printed, role_title
from potstill.evaluate.summary import NOT_MEASURED, mapping, mappings, number, plural


def spread(key: str, model: Any) -> str:
    """The middle half of a model's timings, such as " (13.9 to 14.6)"; empty where there is none."""
    found = mapping(mapping(model).get("quartiles")).get(key)
    ends = [number(end) for end in found] if isinstance(found, list) and len(found) == 2 else [None]
    return "" if None in ends else f" ({printed(ends[0])} to {printed(ends[1])})"


def speed_rows(models: Mapping[str, Any], speed: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Rows of the table of models: time to first token, rates of several prompts at once, prices a million tokens.

    A row stands there where it was measured of any model.
    """
    batch = next((printed(one.get("prompts")) for one in _passes(speed) if (number(one.get("prompts")) or 0) > 1), "")
    rates = (
        ("batch_prefill_tokens_per_s", f"Prefill, {batch} prompts at once"),
        ("batch_decode_tokens_per_s", f"Decode, {batch} prompts at once"),
    )
    rows = [("Time to first token", [_milliseconds(model) for model in models.values()])]
    rows += [(title, [_rate(key, model) for model in models.values()]) for key, title in rates]
    for kind, verb in (("input", "read"), ("output", "written")):
        for prefix, how in (("", "one prompt at a time"), ("batch_", f"{batch} prompts at once")):
            prices = [mapping(mapping(model).get("usd_per_million")).get(prefix + kind) for model in models.values()]
            rows.append((f"A million tokens {verb}, {how}", [_usd(price) for price in prices]))
    return [(title, cells) for title, cells in rows if set(cells) != {NOT_MEASURED}]


def speed_note(speed: Mapping[str, Any]) -> str:
    """Threads, precision, batches and pairs of the timings, and what the prices take for granted; empty without any."""
    passes = _passes(speed)
    if not passes:
        return ""
    precision = mapping(speed.get("precision"))
    told = f"Timed on {plural(int(number(speed.get('threads')) or 0), 'thread')} in {_precisions(precision)}"
    turns = "teacher and student in turn after a warm-up" if len(precision) > 1 else "after a warm-up"
    told += f", {turns}: " + "; ".join(_told(one) for one in passes) + "."
    told += " Rates are medians, with the middle half of the timings in brackets; padding is not counted."
    told += " The time to first token is that of one prompt at a time, from its text on."
    hourly, requests = number(speed.get("price_per_hour_usd")), mapping(speed.get("request"))
    if hourly is not None:
        told += f" Prices are those of a machine at {hourly:,.2f} USD an hour that is always busy."
    if requests:
        average = "; ".join(
            f"{printed(one.get('input_tokens'))} tokens read and {printed(one.get('output_tokens'))} written"
            + (f" ({role_title(name)})" if len(requests) > 1 else "")
            for name, one in ((name, mapping(one)) for name, one in requests.items())
        )
        told += f" The average held-out answer takes {average}."
    return told


def _passes(speed: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return mappings(speed.get("passes"))


def _precisions(precision: Mapping[str, Any]) -> str:
    used = sorted({str(one) for one in precision.values()})
    if len(used) < 2:
        return used[0] if used else "a precision that was not recorded"
    return ", ".join(f"{one} ({role_title(name)})" for name, one in precision.items())


def _told(one: Mapping[str, Any]) -> str:
    several = (number(one.get("prompts")) or 0) > 1
    at_once = f"{printed(one.get('prompts'))} prompts at once" if several else "one prompt at a time"
    return f"{at_once}, {printed(one.get('pairs'))} times, {printed(one.get('new_tokens'))} new tokens each"


def _rate(key: str, model: Any) -> str:
    found = number(mapping(model).get(key))
    return NOT_MEASURED if found is None else printed(found, " tokens/s") + spread(key, model)


def _milliseconds(model: Any) -> str:
    found = number(mapping(model).get("first_token_s"))
    ends = mapping(mapping(model).get("quartiles")).get("first_token_s")
    scaled = [1000 * end for value in ends if (end := number(value)) is not None] if isinstance(ends, list) else []
    shown = spread("ms", {"quartiles": {"ms": scaled}})
    return NOT_MEASURED if found is None else f"{1000 * found:,.1f} ms{shown}"


def _usd(price: Any) -> str:
    found = number(price)
    return NOT_MEASURED if found is None else f"{found:,.2f} USD" if found >= 1 else f"{found:.2g} USD"
