"""The lines of `accept:`: which figures they may name, and what they ask of them."""

from collections.abc import Collection
from typing import Literal

from potstill.config.lm_eval import is_lm_eval_figure
from potstill.config.sections import Section

FIGURES = (
    "kl_nats", "top1_agreement", "total_variation", "perplexity_ratio", "chrf", "parameter_ratio", "decode_speedup",
    "prefill_speedup", "peak_memory_ratio", "size_ratio", "unmatched_l1",
)  # fmt: skip
_BASELINES = ("initial_student", "fine_tuning")


class Condition(Section):
    """One line of `accept:`, such as `top1_agreement: ">= 0.60"`."""

    figure: str
    operator: Literal[">=", "<="]
    threshold: float


def parse_condition(figure: str, text: str, task: Collection[str] = (), judged: Collection[str] = ()) -> Condition:
    """Read one line of `accept:`. Baselines' figures are written `initial_student.kl_nats`.

    `task` are the metrics that the recipe asks for against references: each is a figure of the student, of baselines
    and of the teacher (`teacher.exact_match`), and one of retention (`retention.exact_match`).
    `judged` are the names of the figures that the recipe's judges give, whole.
    Raises ValueError in one line for a figure that there is not, and for what is no condition.
    """
    model, _, name = figure.rpartition(".")
    known = (name in FIGURES and model in ("", *_BASELINES)) or (
        name in task and model in ("", "retention", "teacher", *_BASELINES)
    )
    if not (known or figure in judged or is_lm_eval_figure(figure)):
        there = ", ".join((*FIGURES, *task, *(f"retention.{one}" for one in task), *judged))
        more = "" if task else "; evaluate.task gives figures against references"
        raise ValueError(f"accept: no figure is called {figure!r}; there are {there}{more}")
    operator, _, number = text.strip().partition(" ")
    try:
        threshold = float(number)
    except ValueError:
        threshold = float("nan")
    if operator not in (">=", "<=") or threshold != threshold:
        raise ValueError(f'accept.{figure}: {text!r} is not a condition; write ">= 0.60" or "<= 0.9"')
    return Condition(figure=figure, operator=">=" if operator == ">=" else "<=", threshold=threshold)
