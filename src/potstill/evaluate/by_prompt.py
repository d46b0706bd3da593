"""Adds up the student's values over each held-out prompt: what slices and later comparisons are made of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from potstill.answers import Answer
from potstill.evaluate.fidelity import Positions
from potstill.evaluate.grading import TaskResult
from potstill.evaluate.measures import ByPrompt, Floats, Measure


def by_prompt(
    answers: Sequence[Answer], positions: Positions, chrf: Sequence[float], task: TaskResult | None
) -> ByPrompt:
    """Add up a student's values over each prompt; `positions` and `chrf` are of the answers in their order."""
    first: dict[str, int] = {}
    for at, one in enumerate(answers):
        first.setdefault(one.prompt_hash, at)
    order = {key: place for place, key in enumerate(first)}
    place = np.array([order[one.prompt_hash] for one in answers])

    def summed(values: ArrayLike, of: NDArray[np.int64] = place) -> Floats:
        return np.bincount(of, weights=np.asarray(values, dtype=np.float64), minlength=len(order)).astype(np.float64)

    measures: dict[str, Measure] = {}
    counts, unit = summed(positions.lengths), positions.unit
    if positions.agree is not None:
        agree = summed(positions.sums(positions.agree))
        measures["top1_agreement"] = Measure(agree, counts, f"share of {unit}s", range=(0.0, 1.0))
    if positions.kl is not None:
        kl = summed(positions.sums(positions.kl))
        measures["kl_nats"] = Measure(kl, counts, f"nats a {unit}", more_is_better=False)
    if positions.total_variation is not None:
        apart = summed(positions.sums(positions.total_variation))
        spread = f"0 to 1, a {unit}"
        measures["total_variation"] = Measure(apart, counts, spread, range=(0.0, 1.0), more_is_better=False)
    measures["chrf"] = Measure(summed(chrf), summed(np.ones(len(answers))), "0 to 100", range=(0.0, 100.0))
    labels: Sequence[str | None] = [None] * len(order)
    if task is not None:
        kept = place[list(task.kept)]
        graded = summed(np.ones(len(kept)), kept)
        student, teacher = task.graded["student"], task.graded["teacher"]
        for name, scores in student.each.items():
            low, high = task.ranges.get(name, (0.0, 1.0))
            theirs = summed(teacher.each[name], kept)
            measures[name] = Measure(summed(scores, kept), graded, f"{low:g} to {high:g}", theirs, (low, high))
        if student.confusion is not None:
            labels = [task.shown[at] for at in first.values()]
    return ByPrompt(
        tuple(first),
        [answers[at].prompt_text for at in first.values()],
        np.array([answers[at].example.prompt_length for at in first.values()], dtype=np.int64),
        [answers[at].tag for at in first.values()],
        labels,
        measures,
    )
