"""Figures in words: titles and number formats shared by the decision, the report and the command line."""

import math
from collections.abc import Mapping
from typing import Any, Final

from potstill.config.lm_eval import is_lm_eval_figure
from potstill.evaluate.meanings import ACROSS_TOKENIZERS, AGREEMENT, JUDGE, PROBES, ROLES, TASK, WORDING

NOT_MEASURED: Final = "not measured"
_ONLY_ACROSS, _NOT_ACROSS = ("unmatched_l1",), ("calibration_error",)
_WORDED: Final = {**WORDING, **AGREEMENT, **TASK, **JUDGE, **PROBES}


def across_tokenizers(evaluation: Mapping[str, Any]) -> bool:
    """Whether the fidelity figures are over groups of tokens of two tokenizers, and not over tokens."""
    return mapping(evaluation.get("comparison")).get("unit") == "group"


def figures_shown(evaluation: Mapping[str, Any]) -> list[str]:
    """The figures that a report of this evaluation tells of, measured or not."""
    left_out = _NOT_ACROSS if across_tokenizers(evaluation) else _ONLY_ACROSS
    return [name for name in WORDING if name not in left_out]


def meaning_of(name: str, evaluation: Mapping[str, Any]) -> str:
    """What a figure tells, in this evaluation."""
    return (across_tokenizers(evaluation) and ACROSS_TOKENIZERS.get(name)) or WORDING[name].meaning


def number(value: Any) -> float | None:
    """A finite number, or None for anything else that a file may hold in its place."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def figure_title(name: str) -> str:
    """What a figure is called in text, with its baseline: "KL divergence of the initial student"."""
    if is_lm_eval_figure(name):
        whose, _, task = name.rpartition(".")[0].partition("lm_eval.")
        metric = f"{name.rpartition('.')[2].replace('_', ' ')} in lm-eval's {task}"
        return {"": metric, "retention.": f"retention of {metric}"}.get(whose, f"{metric} of the teacher")
    baseline, base = _parts(name)
    title = _WORDED[base].title if base in _WORDED else base.replace("_", " ")
    if baseline == "retention":
        return f"retention of {title}"
    if baseline == "probe":
        return title
    return f"{title} of {ROLES.get(baseline, baseline.replace('_', ' '))}" if baseline else title


def figure_subject(name: str) -> str:
    """What a figure is called where a sentence says what it is: probes count cases, and their rate is the figure."""
    return f"the rate of {figure_title(name)}" if _parts(name)[0] == "probe" else figure_title(name)


def format_value(name: str, value: Any, *, precise: bool = False) -> str:
    """A figure's value with its unit, or "not measured"; `precise` shows a digit more, for a comparison."""
    found = number(value)
    if found is None:
        return NOT_MEASURED
    digits, unit = _digits(name, found, precise), _unit(name)
    return f"{_scale(name) * found:.{digits}f}{unit}"


def format_interval(name: str, low: Any, high: Any, *, precise: bool = False) -> str:
    """An interval such as "61.0 to 65.2 %", or an empty text where there is none."""
    first, last = number(low), number(high)
    if first is None or last is None:
        return ""
    digits, scale = _digits(name, first, precise), _scale(name)
    return f"{scale * first:.{digits}f} to {scale * last:.{digits}f}{_unit(name)}"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 held-out prompt", "1,200 held-out prompts"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def summary_lines(evaluation: Mapping[str, Any]) -> list[str]:
    """The few lines that the command line prints at the end: the decision, then each key figure with its interval."""
    decision = mapping(evaluation.get("decision"))
    figures = mapping(evaluation.get("figures"))
    word = str(decision.get("word") or "no decision").upper()
    reason = decision.get("reason")
    lines = [f"{evaluation.get('name') or 'this run'}: {word}{f' – {reason}' if reason else ''}"]
    if across_tokenizers(evaluation):
        lines.append("  different tokenizers: agreement and KL are over groups of tokens that write the same bytes")
    conditions = {str(entry.get("figure")): entry for entry in mappings(decision.get("conditions"))}
    key: tuple[str, ...] = ("top1_agreement", "kl_nats", "chrf", "decode_speedup", "parameter_ratio")
    task = mapping(mapping(evaluation.get("task")).get("metrics"))
    key += (*(f"{of}{name}" for name in task for of in ("", "retention.")), "retention.chrf_again")
    key += tuple(name for name in JUDGE if name in figures)
    names = [name for name in key if name in figures] + [name for name in conditions if name not in key]
    width = max((len(figure_title(name)) for name in names), default=0)
    for name in names:
        figure, condition = mapping(figures.get(name)), conditions.get(name)
        interval = format_interval(name, figure.get("low"), figure.get("high"))
        shown = format_value(name, figure.get("value")) + (f"  (95 %: {interval})" if interval else "")
        lines.append(f"  {figure_title(name):<{width}}  {shown}{_asked(condition)}".rstrip())
    return lines


def asked(condition: Mapping[str, Any]) -> str:
    """What a condition asks, such as "≥ 60 %"."""
    sign = {">=": "≥", "<=": "≤"}.get(str(condition.get("operator")), "?")
    return f"{sign} {format_threshold(str(condition.get('figure')), condition.get('threshold'))}"


def format_threshold(name: str, threshold: Any) -> str:
    """A threshold with its unit and every digit that the recipe gave it."""
    found = number(threshold)
    return NOT_MEASURED if found is None else f"{_scale(name) * found:.6g}{_unit(name)}"


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one: a part of evaluation.json may be missing or null."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in a list; an empty list where the part is missing or null."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list | tuple) else []


def _asked(condition: Mapping[str, Any] | None) -> str:
    if condition is None:
        return ""
    words = {"yes": "met", "no": "missed"}
    return f"  asked {asked(condition)}: {words.get(str(condition.get('met')), 'undecided')}"


def _parts(name: str) -> tuple[str, str]:
    """Whose figure it is, empty for the student's, and the figure: judge.win_rate is one, although it has a dot."""
    of, _, rest = name.partition(".")
    if name in _WORDED or rest in _WORDED:
        return ("", name) if name in _WORDED else (of, rest)
    model, _, base = name.rpartition(".")
    return model, base


def _style(name: str) -> str:
    base = _parts(name)[1]
    if name.startswith("retention."):
        return "share"
    return _WORDED[base].style if base in _WORDED else "distance"  # a metric of the user's own


def _scale(name: str) -> float:
    return 100.0 if _style(name) == "share" else 1.0


def _unit(name: str) -> str:
    return {"share": " %", "nats": " nats", "ratio": "×", "score": "", "distance": ""}[_style(name)]


def _digits(name: str, value: float, precise: bool) -> int:
    digits = {"share": 1, "nats": 2, "ratio": 2, "score": 1, "distance": 2}[_style(name)] + precise
    return digits + 2 if value and abs(value) * _scale(name) < 0.1 else digits
