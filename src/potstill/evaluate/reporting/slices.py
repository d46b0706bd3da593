"""The report's section on slices: where the student does worse than elsewhere, and how sure that is."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from potstill.evaluate.reporting.wording import capital, printed, unbroken
from potstill.evaluate.summary import (
    NOT_MEASURED,
    figure_title,
    format_interval,
    format_value,
    mappings,
    number,
    plural,
)

_OPEN_AT_LEAST, _OPEN_AT_MOST = 8, 24  # rows; the others are folded away
_NAMED = 6  # slices in the sentence
_DIMENSIONS: Final = {
    "label": "right label", "tag": "tag", "length": "length of the prompt", "cluster": "prompts with these words",
}  # fmt: skip
_P_BELOW: Final = "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.001"
_ORDER: Final = ("worse", "no difference shown", "better", None)


def slice_section(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """A sentence, and one row a slice and figure, the worst first; None in a run without slices."""
    entries = mappings(evaluation.get("slices"))
    if not entries:
        return None
    found = {(*_slice(one), str(one.get("figure"))): one for one in entries}
    own = [one for one in entries if "." not in str(one.get("figure"))]
    own.sort(key=lambda one: (_ORDER.index(_against(one)), _p_value(one)))
    rows = [_row(one, found) for one in own]
    worse = sum(_against(one) == "worse" for one in own)
    shown = min(max(worse, _OPEN_AT_LEAST), _OPEN_AT_MOST)
    return {
        "says": _sentence(own),
        "task": any(one["teacher"]["value"] != "–" for one in rows),
        "rows": rows[:shown],
        "folded": rows[shown:],
    }


def _slice(one: Mapping[str, Any]) -> tuple[str, str]:
    """Its dimension, empty in runs from before there were several, and its name."""
    return str(one.get("dimension") or ""), printed(one.get("name"))


def _against(one: Mapping[str, Any]) -> str | None:
    found = one.get("against_rest")
    return found if found in _ORDER else None


def _p_value(one: Mapping[str, Any]) -> float:
    found = number(one.get("p_adjusted"))
    return 2.0 if found is None else found


def _sentence(own: Sequence[Mapping[str, Any]]) -> str:
    """How many slices there are, how many could be tested, and which of them do worse."""
    slices = {_slice(one) for one in own}
    tested = {_slice(one) for one in own if number(one.get("p_value")) is not None}
    worse = {_slice(one): None for one in own if _against(one) == "worse"}
    told = f"{plural(len(slices), 'slice')}, of which {len(tested):,} had prompts enough to be set against the rest. "
    if not worse:
        return told + ("None is shown to do worse." if tested else "So nothing can be concluded about any.")
    names = [f"“{name}”" for _, name in worse]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return told + f"The student does worse on {', '.join(names[:_NAMED])}{more}."


def _row(one: Mapping[str, Any], found: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> dict[str, Any]:
    name, (dimension, of) = str(one.get("figure")), _slice(one)

    def beside(prefix: str) -> dict[str, str]:
        other = found.get((dimension, of, f"{prefix}.{name}"))
        return {"value": "–", "interval": ""} if other is None else _cell(other)

    return {
        "slice": of,
        "says": ", ".join(part for part in (_DIMENSIONS.get(dimension), _prompts(one)) if part),
        "title": capital(figure_title(name)),
        "student": _cell(one),
        "teacher": beside("teacher"),
        "retention": beside("retention"),
        **_verdict(one),
    }


def _cell(one: Mapping[str, Any]) -> dict[str, str]:
    name = str(one.get("figure"))
    interval = format_interval(name, one.get("low"), one.get("high"))
    return {"value": format_value(name, one.get("value")), "interval": interval}


def _verdict(one: Mapping[str, Any]) -> dict[str, str]:
    """In words how the slice stands to the rest, the tone of that, and the rest's value with the adjusted p-value."""
    against, p_value = _against(one), number(one.get("p_adjusted"))
    p = (
        ""
        if p_value is None
        else _P_BELOW
        if p_value < 0.001
        else f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{p_value:.3f}"
    )
    rest = "" if one.get("rest") is None else f"rest {format_value(str(one.get('figure')), one.get('rest'))}"
    return {
        "against": against or ("too few prompts" if one.get("small") else NOT_MEASURED),
        "tone": {"worse": "missed", "better": "met"}.get(str(against), "muted"),
        "rest": ", ".join(part for part in (unbroken(rest), p) if part),
    }


def _prompts(one: Mapping[str, Any]) -> str:
    count = number(one.get("n"))
    return "" if count is None else plural(int(count), "prompt")
