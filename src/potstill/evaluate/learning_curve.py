"""What more answers would bring, read off a cheap stand-in for the student that learns from growing parts of them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from potstill.evaluate.closed_set import LabelClassifier, as_tensor
from potstill.stats import Interval, clearly_falls, cluster_mean, extrapolated
from potstill.texts.tf_idf import TfIdf

Floats = NDArray[np.float64]

_LEAST_PROMPTS = 20
_SIZES = 5
_FOLDS, _ROUNDS = 5, 4
_SMALLEST_PART = 8  # of the largest part


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Scores of a stand-in after so many answers, 1 being perfect, and what power laws expect of it after `target`.

    `expected` is by a law of the error with a floor, `expected_by_odds` by one of its odds without: bounds of what may
    come, see `stats.extrapolated`. `why` says why there are none; with very few prompts there is nothing at all.
    """

    stand_in: str
    target: int
    sizes: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    last: Interval | None = None  # after the largest of `sizes`
    expected: Interval | None = None
    expected_by_odds: Interval | None = None
    why: str = ""

    def facts(self) -> dict[str, Any]:
        """As pilot.json has it."""
        return asdict(self)


Learn = Callable[[Sequence[int], Sequence[int]], Floats]  # the errors, 0 to 1, of prompts after learning from others


def by_labels(prompts: Sequence[str], labels: Sequence[str | None], wanted: Sequence[Sequence[str]]) -> Learn:
    """TF-IDF with logistic regression learns the teacher's labels; wrong is what is none of the wanted ones."""

    def errors(learned: Sequence[int], asked: Sequence[int]) -> Floats:
        known = [(prompts[at], label) for at in learned if (label := labels[at]) is not None]
        if not known:
            return np.ones(len(asked))
        guesses = LabelClassifier(*zip(*known, strict=True)).predict([prompts[at] for at in asked])
        return np.array([guess not in wanted[at] for guess, at in zip(guesses, asked, strict=True)], dtype=np.float64)

    return errors


def by_nearest(prompts: Sequence[str], answers: Sequence[str]) -> Learn:
    """The answer to the nearest prompt by TF-IDF is given again; its error is 1 − chrF / 100 to the teacher's own."""
    from potstill.evaluate.fidelity import chrf_scores

    rows = as_tensor(TfIdf(prompts).rows(prompts))
    alike = torch.sparse.mm(rows, rows.t().to_dense())
    scored: dict[tuple[str, str], float] = {}

    def error(given: str, own: str) -> float:
        if (given, own) not in scored:
            scored[given, own] = 1 - chrf_scores([given], [own])[0] / 100
        return scored[given, own]

    def errors(learned: Sequence[int], asked: Sequence[int]) -> Floats:
        nearest = alike[list(asked)][:, list(learned)].argmax(-1).tolist()
        return np.array([error(answers[learned[near]], answers[at]) for near, at in zip(nearest, asked, strict=True)])

    return errors


def learning_curve(
    learn: Learn, prompts: int, target: int, stand_in: str, *, resamples: int, seed: int
) -> LearningCurve:
    """The curve of a stand-in over `prompts` answered prompts.

    Prompts are cut into five folds, four times over; each fold is asked after learning from growing parts of the
    others, an eighth of them up to all.
    """
    if prompts < _LEAST_PROMPTS:
        why = f"not enough data: {prompts} answered prompts, and it takes {_LEAST_PROMPTS} or more"
        return LearningCurve(stand_in, target, why=why)
    most = prompts - -(-prompts // _FOLDS)
    sizes = np.unique(np.geomspace(max(2, most / _SMALLEST_PART), most, _SIZES).round().astype(int))
    errors = _errors(learn, prompts, sizes.tolist(), seed)
    scores = tuple((1 - errors.mean(axis=0)).tolist())
    last = cluster_mean(1 - errors[:, -1], share=True, resamples=resamples, seed=seed)
    known = LearningCurve(stand_in, target, tuple(sizes.tolist()), scores, last)
    if target <= most:
        return replace(known, why="the pilot has as many answers as the run will train on")
    if not clearly_falls(errors, resamples=resamples, seed=seed):
        return replace(known, why=f"not enough data: over {prompts} prompts it does not clearly get better with more")
    floored = extrapolated(sizes, errors, target, "error", resamples=resamples, seed=seed)
    by_odds = extrapolated(sizes, errors, target, "odds", resamples=resamples, seed=seed)
    return replace(known, expected=_turned(floored), expected_by_odds=_turned(by_odds))


def _errors(learn: Learn, prompts: int, sizes: Sequence[int], seed: int) -> Floats:
    """(prompts, sizes) the mean error of each prompt after learning from so many others."""
    errors = np.zeros((prompts, len(sizes)))
    draw = np.random.default_rng(seed)
    for _ in range(_ROUNDS):
        order = draw.permutation(prompts)
        for fold in range(_FOLDS):
            asked = order[fold::_FOLDS]
            others = draw.permutation(np.setdiff1d(order, asked))
            for at, size in enumerate(sizes):
                errors[asked, at] += learn(others[:size].tolist(), asked.tolist()) / _ROUNDS
    return errors


def _turned(error: Interval) -> Interval:
    """1 − an error, within 0 and 1."""
    value, low, high = (min(max(1 - end, 0.0), 1.0) for end in (error.value, error.high or 0.0, error.low or 0.0))
    return Interval(value, low, high, error.n)
