"""Figures in words: titles, meanings and number formats shared by the decision, the report and the command line."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

NOT_MEASURED: Final = "not measured"
BASELINES: Final = {"initial_student": "initial student", "fine_tuning": "plain fine-tuning"}


@dataclass(frozen=True, slots=True)
class Wording:
    """How a figure is called, what it tells a reader who knows no statistics, and how its numbers are written."""

    title: str
    meaning: str
    style: Literal["share", "nats", "ratio", "score", "distance"]


WORDING: Final[Mapping[str, Wording]] = {
    "top1_agreement": Wording(
        "top-1 agreement",
        "How often the student's most likely next token is the teacher's, over every token of the teacher's answers. "
        "Higher is better; 100 % is a student that never differs.",
        "share",
    ),
    "kl_nats": Wording(
        "KL divergence",
        "How far the student's probabilities are from the teacher's, for each token. Lower is better; 0 is identical.",
        "nats",
    ),
    "total_variation": Wording(
        "total variation",
        "The share of probability that the student puts on other tokens than the teacher does. Lower is better; one "
        "minus this is the acceptance rate to expect of the student as the teacher's draft model.",
        "share",
    ),
    "perplexity_ratio": Wording(
        "perplexity ratio",
        "How much more surprised the student is by the teacher's answers than the teacher itself. Lower is better; "
        "1 is no more surprised.",
        "ratio",
    ),
    "unmatched_l1": Wording(
        "unmatched vocabulary",
        "How unlike the two models spread probability over the tokens that only one of them has, whatever those tokens "
        "are. Lower is better; from 0 to 2.",
        "distance",
    ),
    "chrf": Wording(
        "chrF",
        "Overlap of letters and words between the student's own answers and the teacher's, from 0 to 100. Higher is "
        "better; answers that say the same in other words score low.",
        "score",
    ),
    "parameter_ratio": Wording("parameters", "The student's parameters relative to the teacher's.", "ratio"),
    "size_ratio": Wording("size on disk", "The student's weight files relative to the teacher's.", "ratio"),
    "decode_speedup": Wording(
        "decode speed-up",
        "How many times faster than the teacher the student writes an answer, token after token, on this machine.",
        "ratio",
    ),
    "prefill_speedup": Wording(
        "prefill speed-up", "How many times faster than the teacher the student reads a prompt.", "ratio"
    ),
    "peak_memory_ratio": Wording(
        "peak memory", "The student's largest use of memory while answering, relative to the teacher's.", "ratio"
    ),
}

# What the same figures mean where teacher and student cut a text into different tokens (docs/evaluation.md).
ACROSS_TOKENIZERS: Final[Mapping[str, str]] = {
    "top1_agreement": "How often the two models find the same next piece of text most likely, over every group of "
    "tokens that write the same bytes in both. Higher is better. Not comparable with students of the same tokenizer.",
    "kl_nats": "How far the student's probabilities are from the teacher's at each group, over what both vocabularies "
    "can tell apart: the least that the divergence between texts can be. Lower is better; 0 is identical.",
    "total_variation": "The share of probability that the student puts on other text than the teacher does at each "
    "group, as far as both vocabularies can tell. Lower is better.",
    "perplexity_ratio": "How much more surprised the student is by each byte of the teacher's answers than the teacher "
    "itself. Lower is better; 1 is no more surprised. A ratio by the byte is nearer to 1 than one by the token.",
    "decode_speedup": "How many times as many bytes of text the student writes in a second as the teacher, on this "
    "machine.",
    "prefill_speedup": "How many times faster than the teacher the student reads the same prompts.",
}
_ONLY_ACROSS = ("unmatched_l1",)


def across_tokenizers(evaluation: Mapping[str, Any]) -> bool:
    """Whether the fidelity figures are over groups of tokens of two tokenizers, and not over tokens."""
    return mapping(evaluation.get("comparison")).get("unit") == "group"


def figures_shown(evaluation: Mapping[str, Any]) -> list[str]:
    """The figures that a report of this evaluation tells of, measured or not."""
    return [name for name in WORDING if name not in _ONLY_ACROSS or across_tokenizers(evaluation)]


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
    baseline, _, base = name.rpartition(".")
    title = WORDING[base].title if base in WORDING else base.replace("_", " ")
    return f"{title} of {BASELINES.get(baseline, baseline.replace('_', ' '))}" if baseline else title


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
    key = ("top1_agreement", "kl_nats", "chrf", "decode_speedup", "parameter_ratio")
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


def _style(name: str) -> str:
    base = name.rpartition(".")[2]
    return WORDING[base].style if base in WORDING else "score"


def _scale(name: str) -> float:
    return 100.0 if _style(name) == "share" else 1.0


def _unit(name: str) -> str:
    return {"share": " %", "nats": " nats", "ratio": "×", "score": "", "distance": ""}[_style(name)]


def _digits(name: str, value: float, precise: bool) -> int:
    digits = {"share": 1, "nats": 2, "ratio": 2, "score": 1, "distance": 2}[_style(name)] + precise
    return digits + 2 if value and abs(value) * _scale(name) < 0.1 else digits
