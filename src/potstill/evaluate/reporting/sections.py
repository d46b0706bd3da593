"""The sections of the report that a reader meets first: decision, headlines, plots, answers side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from potstill.config import called
from potstill.evaluate import plots
from potstill.evaluate.decision import FIDELITY, MIN_PROMPTS
from potstill.evaluate.meanings import BASELINES
from potstill.evaluate.reporting.wording import capital, cell, millions, printed, role_title, unbroken, value_of
from potstill.evaluate.summary import (
    NOT_MEASURED,
    across_tokenizers,
    asked,
    figure_title,
    format_interval,
    format_value,
    mapping,
    mappings,
    number,
    plural,
)

_EXAMPLES_OPEN = 3  # the others are folded away, so that a phone gets to the figures


_ANSWERS: Final = (
    ("reference", "Reference"), ("teacher", "Teacher"), ("student", "Student"), ("initial_student", "Initial student"),
)  # fmt: skip
_OPTIONAL: Final = ("reference", "initial_student")
_TIMED: Final = (
    "decode_speedup", "prefill_speedup", "time_to_first_token_ratio", "batch_decode_speedup", "batch_prefill_speedup",
    "price_ratio",
)  # fmt: skip


def decision_section(decision: Mapping[str, Any]) -> dict[str, Any]:
    """The decision's word, its tone (good, bad, open), its reason, and one row a condition of `accept:`."""
    word = decision.get("word")
    tone = {"ship": "good", "no ship": "bad"}.get(str(word), "open")
    reason = str(decision.get("reason") or "this run holds no decision")
    return {
        "made": word is not None,
        "word": str(word or "no decision").capitalize(),
        "tone": tone,
        "reason": unbroken(capital(reason)) + ("" if reason.endswith(".") else "."),
        "conditions": [_condition(entry) for entry in mappings(decision.get("conditions"))],
        "floors": [_floor(entry) for entry in mappings(decision.get("floors"))],
        "defaults": str(decision.get("defaults") or ""),
    }


def _condition(entry: Mapping[str, Any]) -> dict[str, str]:
    name, needed = str(entry.get("figure")), entry.get("needed_n")
    value = format_value(name, entry.get("value"), precise=True)
    exact = "exact" if name in ("parameter_ratio", "size_ratio") and value != NOT_MEASURED else "none"
    return {
        "title": capital(figure_title(name)),
        "asked": asked(entry),
        "value": value,
        "interval": format_interval(name, entry.get("low"), entry.get("high"), precise=True) or exact,
        "met": {"yes": "met", "no": "missed"}.get(str(entry.get("met")), "undecided"),
        "needed": "" if number(needed) is None else printed(needed),
        "cases": "timings" if name.rpartition(".")[2] in _TIMED else "prompts",
    }


def _floor(entry: Mapping[str, Any]) -> dict[str, str]:
    """A floor under the slices: the worst slice stands for all of them."""
    name, needed, worst = str(entry.get("figure")), entry.get("needed_n"), mapping(entry.get("worst"))
    count = number(entry.get("slices")) or 0
    return {
        "title": f"{capital(figure_title(name))} in every slice",
        "asked": asked(entry) + (", not shown to be missed" if entry.get("only_shown") else ""),
        "value": format_value(name, worst.get("value"), precise=True),
        "interval": format_interval(name, worst.get("low"), worst.get("high"), precise=True) or "none",
        "worst": f"the worst of {plural(int(count), 'slice')}: {printed(worst.get('name'))}" if worst else "",
        "met": {"yes": "met", "no": "missed"}.get(str(entry.get("met")), "undecided"),
        "needed": "" if number(needed) is None else printed(needed),
        "why": capital(str(entry.get("why") or "")),
    }


def thin_evidence(figures: Mapping[str, Any]) -> str | None:
    """How many held-out prompts there were, where that is too few to conclude anything."""
    counts = [mapping(figures.get(name)).get("n") for name in FIDELITY if value_of(figures, name) is not None]
    fewest = min((count for count in counts if isinstance(count, int)), default=MIN_PROMPTS)
    return plural(fewest, "held-out prompt") if fewest < MIN_PROMPTS else None


def comparison_note(comparison: Mapping[str, Any]) -> str | None:
    """How figures over two tokenizers or against several teachers are to be read; None where there is one of each."""
    if comparison.get("teachers"):
        return _several_teachers(mapping(comparison["teachers"]))
    if comparison.get("tokenizers") != "different":
        return None
    if comparison.get("unit") != "group":
        return (
            "Teacher and student have different tokenizers, and fidelity could not be measured across them: "
            f"{printed(comparison.get('reason'))}."
        )
    left_out = number(comparison.get("left_out"))
    return (
        "Teacher and student have different tokenizers. Agreement, KL divergence and total variation are over "
        f"{printed(comparison.get('groups'))} groups of tokens that write the same bytes in both, of which "
        f"{printed(comparison.get('one_to_one_groups'))} are one token on each side; perplexity is by the byte. They "
        "can't be set beside figures of a student that has the teacher's tokenizer."
        + (f" {plural(int(left_out), 'answer')} could not be aligned and counted nowhere." if left_out else "")
    )


def _several_teachers(teachers: Mapping[str, Any]) -> str:
    def told(name: str, one: Mapping[str, Any]) -> str:
        tags = [str(tag) for tag in one.get("tags") or ()]
        where = f"in prompts tagged {' or '.join(tags)}" if tags else "in every prompt"
        return f"{called(name)} ({printed(one.get('reference'))}), weight {printed(one.get('weight'))}, {where}"

    listed = "; ".join(told(name, mapping(one)) for name, one in teachers.items())
    return (
        f"There are several teachers: {listed}. Agreement, KL divergence, total variation and perplexity are against "
        "the mixture of each prompt's teachers; answers are those of the teacher that wrote them. Sizes and speeds are "
        "relative to the first one."
    )


def headlines(evaluation: Mapping[str, Any], models: Mapping[str, Any]) -> list[dict[str, str]]:
    """The four headlines: size, speed, agreement, divergence."""
    figures, across = mapping(evaluation.get("figures")), across_tokenizers(evaluation)
    pieces, piece = ("groups of tokens", "group of tokens") if across else ("tokens", "token")

    def before(name: str) -> str:
        start = value_of(figures, f"initial_student.{name}")
        return "" if start is None else unbroken(f"before training {format_value(name, start)}")

    counts = [number(mapping(models.get(role)).get("parameters")) for role in ("student", "teacher")]
    sizes = " of ".join(millions(count) for count in counts if count is not None) if None not in counts else ""
    tiles = (
        ("Size", "parameter_ratio", "of the teacher's parameters", sizes),
        ("Speed", "decode_speedup", "the teacher's speed in writing", ""),
        ("Agreement", "top1_agreement", f"of {pieces} are the teacher's choice", before("top1_agreement")),
        ("Divergence", "kl_nats", f"from the teacher per {piece}; 0 is identical", before("kl_nats")),
    )
    return [
        {"label": label, "says": says, "note": note}
        | {part: unbroken(text) for part, text in cell(figures, name).items()}
        for label, name, says, note in tiles
    ]


def plot_section(evaluation: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each figure's drawings, or None where its numbers are missing, with the words that stand in for the picture."""
    figures = mapping(evaluation.get("figures"))
    positions = mappings(evaluation.get("by_position"))
    quality = plots.quality_figure(figures) or "top1_agreement"
    kept_by = {name: plots.quality_kept(figures, quality, name) for name in BASELINES}
    told = [f"{role_title(name)}: {format_value(quality, one and one[0])}" for name, one in kept_by.items()]
    kept = f"{figure_title(quality)} {_spoken(figures, quality)}, speed {_spoken(figures, 'decode_speedup')}"
    losses = [loss for line in metrics if (loss := number(line.get("loss"))) is not None]
    agreements = [value for row in positions if (value := number(row.get("agreement"))) is not None]
    training = f"from {losses[0]:.2f} to {losses[-1]:.2f} nats in {len(losses)} logged steps" if losses else ""
    position = f"from {100 * agreements[0]:.0f} % to {100 * agreements[-1]:.0f} %" if agreements else ""
    return {
        "quality": _drawn(plots.quality_against_speed(evaluation))
        | {"alt": f"Quality over speed. Teacher at 1, 1. Student: {kept}. {'. '.join(told).capitalize()}."},
        "training": _drawn(plots.training_curve(metrics)) | {"alt": f"Training loss, {training}."},
        "position": _drawn(plots.agreement_by_position(positions, groups=across_tokenizers(evaluation)))
        | {"alt": f"Agreement by position in the answer, first to last {position}. The table below has every value."},
    }


def _drawn(drawing: plots.Drawing | None) -> dict[str, Any]:
    # Markup: matplotlib has escaped every text in these, and no text of a prompt or an answer is drawn.
    return {"svg": {width: Markup(svg) for width, svg in drawing.items()} if drawing else None}


def _spoken(figures: Mapping[str, Any], name: str) -> str:
    shown = cell(figures, name)
    return f"{shown['value']}, 95 % interval {shown['interval']}" if shown["interval"] else shown["value"]


def spread_examples(examples: list[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Examples to show at once, evenly spaced over all of them (which go from good to bad), and the rest."""
    last = len(examples) - 1
    chosen = {last * index // max(_EXAMPLES_OPEN - 1, 1) for index in range(_EXAMPLES_OPEN)}
    return (
        [example for index, example in enumerate(examples) if index in chosen],
        [example for index, example in enumerate(examples) if index not in chosen],
    )


def example_row(example: Mapping[str, Any]) -> dict[str, Any]:
    """One held-out prompt with each model's answer and the scores of the student's."""
    names = ("top1_agreement", "kl_nats", "chrf")
    answers = [(title, example.get(key)) for key, title in _ANSWERS if key not in _OPTIONAL or example.get(key)]
    scores = [f"{capital(figure_title(name))} {format_value(name, example.get(name))}" for name in names]
    for name, both in mapping(example.get("scores")).items():
        student, teacher = (format_value(name, mapping(both).get(role)) for role in ("student", "teacher"))
        scores.append(f"{capital(figure_title(name))} {student}, teacher {teacher}")
    return {"prompt": printed(example.get("prompt")), "answers": answers, "scores": " · ".join(scores)}
