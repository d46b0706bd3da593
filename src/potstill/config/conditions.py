"""The lines of `accept:`: which figures they may name, and what they ask of them."""

from collections.abc import Collection
from typing import Literal

from potstill.config.lm_eval import is_lm_eval_figure
from potstill.config.sections import Section

FIGURES = (
    "kl_nats", "top1_agreement", "total_variation", "perplexity_ratio", "calibration_error", "chrf", "parameter_ratio",
    "decode_speedup", "prefill_speedup", "peak_memory_ratio", "size_ratio", "unmatched_l1",
    "time_to_first_token_ratio", "batch_decode_speedup", "batch_prefill_speedup", "price_ratio",
)  # fmt: skip
# Of `probe.<name>`: what the teacher does and the student does not, and the reverse.
PROBES = (
    "invented_fields", "dropped_fields", "lost_abstention", "new_refusals", "lost_clarifying", "new_clarifying",
    "lost_format", "new_format", "lost_rare_format", "own_abstain", "own_refuse", "own_clarify", "own_empty_fields",
    "own_format", "made_empty_fields",
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
    What a probe found is `probe.lost_abstention` and the like.
    Raises ValueError in one line for a figure that there is not, and for what is no condition.
    """
    model, _, name = figure.rpartition(".")
    known = (
        (model == "probe" and name in PROBES)
        or (name in FIGURES and model in ("", *_BASELINES))
        or (name in task and model in ("", "retention", "teacher", *_BASELINES))
    )
    if not (known or figure in judged or is_lm_eval_figure(figure)):
        probed = (f"probe.{one}" for one in PROBES)
        there = ", ".join((*FIGURES, *probed, *task, *(f"retention.{one}" for one in task), *judged))
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
