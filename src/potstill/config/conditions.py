"""What `accept:` asks: which figures its lines may name, what they ask, and what is asked where there is none."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
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
# Agreement with the teacher asked again: of the student, and of the teacher with itself (`teacher.chrf_again`).
AGAIN = ("chrf_again", "same_again")
MARGIN = 0.03  # a student this much below its teacher is as good as it, unless the recipe says otherwise
FLOOR_MARGINS = 3  # without `accept:` no slice may be shown to lie so many margins below the teacher
SLICES = "slices"  # the key of `accept:` that holds the floors
_BASELINES = ("initial_student", "fine_tuning")


class Condition(Section):
    """One line of `accept:`, such as `top1_agreement: ">= 0.60"`."""

    figure: str
    operator: Literal[">=", "<="]
    threshold: float


def parse_condition(figure: str, text: str, task: Collection[str] = (), judged: Collection[str] = ()) -> Condition:
    """Read one line of `accept:`. Baselines' figures are written `initial_student.kl_nats`.

    `task` are the metrics that the recipe asks for against references: each is a figure of the student, of baselines,
    of the teacher (`teacher.exact_match`) and of the teacher asked again (`teacher_again.exact_match`), and one of
    retention (`retention.exact_match`). `judged` are the names of the figures that the recipe's judges give, whole.
    What a probe found is `probe.lost_abstention` and the like.
    Raises ValueError in one line for a figure that there is not, and for what is no condition.
    """
    model, _, name = figure.rpartition(".")
    known = (
        (model == "probe" and name in PROBES)
        or (name in FIGURES and model in ("", *_BASELINES))
        or (name in (*task, *AGAIN) and model in ("", "retention", "teacher", *_BASELINES))
        or (name in task and model == "teacher_again")
    )
    if not (known or figure in judged or is_lm_eval_figure(figure)):
        probed, kept = (f"probe.{one}" for one in PROBES), (f"retention.{one}" for one in (*AGAIN, *task))
        there = ", ".join((*FIGURES, *probed, *AGAIN, *task, *kept, *judged))
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


@dataclass(frozen=True, slots=True)
class Asked:
    """All that is asked of a student: conditions on figures, floors under the slices, and the margin of equivalence.

    A floor in the recipe must hold in every slice at the unfavourable end of its interval. With `by_default` the
    conditions are Potstill's own, and a floor is missed only by a slice that is shown to lie below it.
    """

    conditions: tuple[Condition, ...] = ()
    floors: tuple[Condition, ...] = ()
    margin: float = MARGIN
    by_default: bool = False


def read_accept(
    accept: Mapping[str, str | Mapping[str, str]] | None, task: Collection[str] = (), judged: Collection[str] = (), *,
    margin: float = MARGIN, retained: Collection[str] | None = None,
) -> Asked:  # fmt: skip
    """What a recipe's `accept:` asks; without one (None) that the student be no worse than its teacher by more than
    `margin`, in the retention of each metric of `retained` (those of `task` that have one; None: all), or without any
    in its agreement with the teacher asked again.

    Raises ValueError in one line for a line that is no condition, as `parse_condition` does.
    """
    if accept is None:
        return _by_default(task if retained is None else retained, margin)
    floors = accept.get(SLICES, {})
    if isinstance(floors, str):
        raise ValueError('accept.slices: must be a mapping, such as {retention.accuracy: ">= 0.90"}')
    conditions = []
    for name, text in accept.items():
        if name == SLICES:
            continue
        if not isinstance(text, str):
            raise ValueError(f'accept.{name}: {text!r} is not a condition; write ">= 0.60" or "<= 0.9"')
        conditions.append(parse_condition(name, text, task, judged))
    return Asked(tuple(conditions), tuple(_floor(name, text, task) for name, text in floors.items()), margin)


def _by_default(task: Collection[str], margin: float) -> Asked:
    def at_least(metric: str, kept: float) -> Condition:
        return Condition(figure=f"retention.{metric}", operator=">=", threshold=max(round(kept, 12), 0.0))

    conditions = tuple(at_least(metric, 1 - margin) for metric in task or AGAIN[:1])
    # Macro-F1 is over all labels at once; of a slice there is the accuracy.
    of_slices = dict.fromkeys("accuracy" if metric == "macro_f1" else metric for metric in task)
    floors = tuple(at_least(metric, 1 - FLOOR_MARGINS * margin) for metric in of_slices)
    return Asked(conditions, floors, margin, by_default=True)


def _floor(name: str, text: str, task: Collection[str]) -> Condition:
    try:
        return parse_condition(name, text, task)
    except ValueError as error:
        raise ValueError(str(error).replace("accept", "accept.slices", 1)) from None
