"""The report's figures as inline SVG that takes its colours and type from the page, so that light and dark both read.

Each function gives a figure in two widths, because text drawn for a desk is too small on a phone; the page shows one.
matplotlib is imported when a figure is drawn: the command line reads this package without it.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from potstill.evaluate.meanings import BASELINES
from potstill.evaluate.summary import figure_title, mapping, mappings, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stand-ins for the page's CSS variables: matplotlib wants colours, and the SVG has them replaced afterwards.
_INK, _MUTED, _RULE = "#a00001", "#a00002", "#a00003"
_STUDENT, _INITIAL, _OTHER = "#a00004", "#a00005", "#a00006"
_VARIABLES: Final = {
    _INK: "--ink", _MUTED: "--muted", _RULE: "--rule", _STUDENT: "--student", _INITIAL: "--initial", _OTHER: "--other",
}  # fmt: skip
_WIDTHS_PX: Final = {"wide": 760, "narrow": 350}  # of the drawing, which is shown at about this many CSS pixels
_MAX_POINTS: Final = 300  # of a training curve; longer logs are averaged in equal stretches

Drawing = dict[str, str]  # "wide" and "narrow", each one <svg> element


def quality_against_speed(evaluation: Mapping[str, Any]) -> Drawing | None:
    """Quality kept over decode speed gained, with intervals; the teacher is at (1, 1). See `quality_figure`.

    Baselines have the student's architecture, so one whose speed was not timed stands at the student's.
    None where the student's quality or speed was not measured.
    """
    figures = mapping(evaluation.get("figures"))
    quality = quality_figure(figures)
    speed, kept = _ends(figures, "decode_speedup"), quality_kept(figures, quality or "")
    if quality is None or kept is None or speed is None:
        return None
    top = 100.0 if quality == "chrf" else 1.0
    points = [("student", _STUDENT, "o", speed, kept)]
    for name, colour, marker in (("initial_student", _INITIAL, "s"), ("fine_tuning", _OTHER, "D")):
        found = quality_kept(figures, quality, name)
        if found is not None:
            at = _ends(figures, f"{name}.decode_speedup") or (speed[0], None, None)
            points.append((BASELINES[name], colour, marker, at, found))
    asked = {entry.get("figure"): entry for entry in mappings(mapping(evaluation.get("decision")).get("conditions"))}
    limits = (_threshold(asked.get("decode_speedup")), _threshold(asked.get(quality)))

    ends = [1.0, *(end for _, _, _, x, _ in points for end in x if end is not None)]
    highest = max(top, *(end for *_, y in points for end in y if end is not None))
    left, right = min(ends) - 0.15 * (max(ends) - min(ends) + 0.2), max(ends) + 0.15 * (max(ends) - min(ends) + 0.2)

    def draw(axes: "Axes") -> None:
        axes.set_xlim(max(left, 0), right)
        axes.set_ylim(0, highest * 1.1)
        _draw_asked(axes, *limits)
        axes.plot([1], [top], "*", color=_INK, markersize=13, zorder=4)
        _label(axes, "teacher", (1, top), _INK, above=True)
        for name, colour, marker, x, y in points:
            error: dict[str, Any] = {
                "xerr": _bars(x),
                "yerr": _bars(y),
                "ecolor": colour,
                "elinewidth": 1.6,
                "capsize": 3.5,
            }
            axes.errorbar([x[0]], [y[0]], fmt=marker, color=colour, markersize=8, zorder=3, **error)
            _label(axes, name, (x[0], y[0]), colour, above=y[0] == max(other[0] for *_, other in points))
        axes.set_xlabel("decode speed, teacher = 1")
        axes.set_ylabel(_quality_label(quality))
        if top == 1:
            _percent(axes)

    return _render("quality", draw, height_px=380)


def training_curve(lines: Sequence[Mapping[str, Any]]) -> Drawing | None:
    """Training loss over optimizer steps, from the lines of metrics.jsonl; None where fewer than two can be drawn."""
    points = [(number(line.get("step")), number(line.get("loss"))) for line in lines]
    drawn = [(step, loss) for step, loss in points if step is not None and loss is not None]
    if len(drawn) < 2:
        return None
    size = -(-len(drawn) // _MAX_POINTS)
    groups = [drawn[start : start + size] for start in range(0, len(drawn), size)]
    steps = [sum(step for step, _ in group) / len(group) for group in groups]
    losses = [sum(loss for _, loss in group) / len(group) for group in groups]

    def draw(axes: "Axes") -> None:
        axes.plot(steps, losses, color=_STUDENT, linewidth=1.8)
        axes.set_xlim(0, max(steps))
        axes.set_ylim(min(0, *losses), max(losses) * 1.05 or 1)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("loss, nats per token")

    return _render("training", draw, height_px=280)


def agreement_by_position(rows: Sequence[Mapping[str, Any]], *, groups: bool = False) -> Drawing | None:
    """Top-1 agreement over the position in the answer, with its interval as a band and the initial student's line.

    `groups`: a position is a group of tokens, as it is across tokenizers.
    """
    placed = [(number(row.get("position")), number(row.get("agreement")), row) for row in rows]
    drawn = [(position, agreement, row) for position, agreement, row in placed if position is not None]
    drawn = sorted((entry for entry in drawn if entry[1] is not None), key=lambda entry: entry[0])
    if len(drawn) < 2:
        return None
    positions = [position for position, _, _ in drawn]

    def series(key: str) -> list[float]:
        found = [number(row.get(key)) for _, _, row in drawn]
        return [float("nan") if value is None else value for value in found]

    def draw(axes: "Axes") -> None:
        axes.fill_between(positions, series("low"), series("high"), color=_STUDENT, alpha=0.18, linewidth=0)
        axes.plot(positions, series("agreement"), color=_STUDENT, linewidth=1.8, label="student")
        if any(number(row.get("initial")) is not None for _, _, row in drawn):
            axes.plot(positions, series("initial"), "--", color=_INITIAL, linewidth=1.6, label="initial student")
        axes.set_xlim(positions[0], positions[-1])
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("position in the answer, " + ("groups of tokens" if groups else "tokens"))
        axes.set_ylabel("top-1 agreement")
        _percent(axes)
        legend = axes.legend(frameon=False, loc="lower left", ncols=2, bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.2)
        for text in legend.get_texts():
            text.set_color(_INK)

    return _render("position", draw, height_px=300)


def quality_figure(figures: Mapping[str, Any]) -> str | None:
    """The figure that stands for quality: the first that was measured.

    Before agreement with the teacher, which may be wrong, comes what is kept of a task with references (of several
    metrics the recipe's first); where there are no distributions, chrF.
    """
    task = [name for name in figures if name.startswith("retention.")]
    return next((name for name in (*task, "top1_agreement", "chrf") if _ends(figures, name) is not None), None)


def quality_kept(
    figures: Mapping[str, Any], quality: str, model: str = "student"
) -> tuple[float, float | None, float | None] | None:  # fmt: skip
    """Value and interval of that figure for the student or a baseline; None where it was not measured.

    Retention is the student's figure. A baseline's is worked out from its metric and the teacher's, without interval.
    """
    if model == "student":
        return _ends(figures, quality)
    metric = quality.removeprefix("retention.")
    if metric == quality:
        return _ends(figures, f"{model}.{quality}")
    found, teacher = _ends(figures, f"{model}.{metric}"), _ends(figures, f"teacher.{metric}")
    return None if found is None or teacher is None or teacher[0] <= 0 else (found[0] / teacher[0], None, None)


def _quality_label(quality: str) -> str:
    if quality.startswith("retention."):
        return f"{figure_title(quality.removeprefix('retention.'))}, teacher = 100 %"
    return "chrF against the teacher" if quality == "chrf" else "top-1 agreement with the teacher"


def _ends(figures: Mapping[str, Any], name: str) -> tuple[float, float | None, float | None] | None:
    figure = mapping(figures.get(name))
    value = number(figure.get("value"))
    return None if value is None else (value, number(figure.get("low")), number(figure.get("high")))


def _bars(ends: tuple[float, float | None, float | None]) -> list[list[float]] | None:
    value, low, high = ends
    return None if low is None or high is None else [[max(value - low, 0)], [max(high - value, 0)]]


def _threshold(condition: Mapping[str, Any] | None) -> float | None:
    return number(condition.get("threshold")) if condition and condition.get("operator") == ">=" else None


def _draw_asked(axes: "Axes", speed: float | None, quality: float | None) -> None:
    """Dashed lines at what `accept:` asks; a student clears one when its whole bar lies beyond it."""
    style: dict[str, Any] = {"color": _MUTED, "linewidth": 1.1, "linestyle": (0, (4, 3)), "zorder": 1}
    if speed is not None:
        axes.axvline(speed, **style)
        axes.annotate("asked", (speed, 1), (4, -3), **_ANCHOR_TOP, color=_MUTED, fontsize=11.5)
    if quality is not None:
        axes.axhline(quality, **style)
        axes.annotate("asked", (0, quality), (4, 4), **_ANCHOR_LEFT, color=_MUTED, fontsize=11.5)


_ANCHOR_TOP: Final[dict[str, Any]] = {
    "xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top",
}  # fmt: skip
_ANCHOR_LEFT: Final[dict[str, Any]] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}


def _label(axes: "Axes", text: str, at: tuple[float, float], colour: str, above: bool) -> None:
    """A name beside a point, on the side that has more room; only the best of a column stands above its point."""
    left, right = axes.get_xlim()
    side = -1 if at[0] > (left + right) / 2 else 1
    place: dict[str, Any] = {"textcoords": "offset points", "ha": "right" if side < 0 else "left"}
    axes.annotate(text, at, (11 * side, 8 if above else -17), **place, color=colour, fontsize=12.5, fontweight="bold")


def _percent(axes: "Axes") -> None:
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0", "20", "40", "60", "80", "100 %"])


def _render(name: str, draw: Any, height_px: int) -> Drawing:
    """Draw once in each width. No pyplot, so no global state; the same input gives the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    drawing = {}
    for width, width_px in _WIDTHS_PX.items():
        settings = {
            "svg.hashsalt": f"{name}-{width}",  # ids of figures on one page must differ
            "svg.fonttype": "none",
            "font.size": 12.0,
            "text.parse_math": False,
            "axes.edgecolor": _RULE,
            "axes.labelcolor": _MUTED,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.unicode_minus": True,
            "grid.color": _RULE,
            "grid.linewidth": 0.7,
            "text.color": _INK,
            "xtick.color": _RULE,
            "ytick.color": _RULE,
            "xtick.labelcolor": _MUTED,
            "ytick.labelcolor": _MUTED,
        }
        with matplotlib.rc_context(settings):
            # An SVG point is drawn as one CSS pixel: the page shows the view box at its own size.
            figure = Figure(figsize=(width_px / 72, height_px / 72), layout="constrained")
            FigureCanvasSVG(figure)
            draw(figure.add_subplot())
            text = io.StringIO()
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        drawing[width] = _for_page(text.getvalue())
    return drawing


def _for_page(svg: str) -> str:
    """The bare <svg> element: colours become CSS variables, type is the page's, ids that nothing refers to go."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', ' aria-hidden="true" focusable="false"', svg, count=1)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    used = set(re.findall(r"#([\w.-]+)[\")]", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return re.sub(r"\n\s*", "\n", svg).strip()
