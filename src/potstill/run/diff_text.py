"""The difference between two runs in lines of text: what was changed, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from potstill.evaluate.paired import Paired, worst_first
from potstill.evaluate.summary import figure_title, format_interval, format_value, plural
from potstill.records import canonical_json
from potstill.run.diff import FigureChange, RunDiff

_LONGEST = 100  # characters of a recipe's field; --json has all


def diff_lines(found: RunDiff) -> Iterator[str]:
    """What a person reads: recipe, data, decision, figures, the paired comparison, slices, and what is not known."""
    yield f"{found.old} → {found.new}"
    yield f"recipe: {plural(len(found.recipe), 'field')} changed" if found.recipe else "recipe: the same"
    for change in found.recipe:
        yield f"  {change.field}: {_plain(change.old)} → {_plain(change.new)}"
    yield from _data(found)
    before, after = found.decision
    yield f"decision: {before.get('word')} → {after.get('word')} ({after.get('reason')})"
    yield "figures of each run, with 95 % intervals:"
    yield from _figures(found.figures)
    if found.paired:
        yield f"the student on {plural(found.shared_prompts, 'held-out prompt')} of both runs, prompt by prompt:"
        yield from (f"  {line}" for line in _paired(found.paired))
    yield from _slices(found.slices)
    yield from (f"note: {note}" for note in found.notes)


def _plain(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _data(found: RunDiff) -> Iterator[str]:
    for title, (old, new, both) in (("to train on", found.prompts.train), ("held out", found.prompts.holdout)):
        yield f"prompts {title}: {old:,} → {new:,}, {both:,} of them in both"
    if found.prompts.moved:
        yield f"prompts that went from one split to the other: {found.prompts.moved:,}"
    answers = found.answers
    if answers.content[0] == answers.content[1]:
        yield f"answers: the same {answers.new:,} (content {answers.content[1][:12]})"
        return
    yield (
        f"answers: {answers.old:,} → {answers.new:,}, {answers.same:,} the same, {answers.different:,} different "
        f"(content {answers.content[0][:12]} → {answers.content[1][:12]})"
    )


def _figures(figures: Sequence[FigureChange]) -> Iterator[str]:
    width = max((len(figure_title(one.figure)) for one in figures), default=0)
    for one in figures:
        yield f"  {figure_title(one.figure):<{width}}  {_figure(one.figure, one.old)} → {_figure(one.figure, one.new)}"


def _figure(name: str, figure: Mapping[str, Any] | None) -> str:
    found = figure or {}
    interval = format_interval(name, found.get("low"), found.get("high"))
    return format_value(name, found.get("value")) + (f" ({interval})" if interval else "")


def _paired(rows: Sequence[Paired]) -> Iterator[str]:
    width = max(len(figure_title(one.figure)) for one in rows)
    for one in rows:
        yield f"{figure_title(one.figure):<{width}}  {_change(one)}"


def _change(one: Paired) -> str:
    name = one.figure
    values = f"{format_value(name, one.old)} → {format_value(name, one.new)}"
    interval = _points(format_interval(name, one.low, one.high))
    p_value = "p < 0.001" if one.p_adjusted < 0.001 else f"p = {one.p_adjusted:.3f}"
    signed = ("+" if one.difference > 0 else "") + _points(format_value(name, one.difference))
    return f"{values}, change {signed}{f' ({interval})' if interval else ''}: {one.verdict} ({one.test}, {p_value})"


def _points(text: str) -> str:
    """A difference of two shares is in points: “-20 %” would be read as a fifth less."""
    return text.replace(" %", " points")


def _slices(rows: Sequence[Paired]) -> Iterator[str]:
    if not rows:
        return
    changed = [one for one in worst_first(rows) if one.verdict != "no difference shown"]
    count = len({(one.dimension, one.slice) for one in rows})
    yield f"slices: {count:,} compared; {plural(len(changed), 'figure')} changed beyond chance"
    for one in changed:
        yield f"  {one.dimension} {one.slice} ({plural(one.n, 'prompt')}): {figure_title(one.figure)} {_change(one)}"
