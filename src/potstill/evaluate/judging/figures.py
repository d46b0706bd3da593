"""Figures from judges' verdicts: win rates, scores, how steady the judges are, and how far they agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.evaluate.decision import MIN_PROMPTS
from potstill.evaluate.judging.labels import Labels
from potstill.evaluate.judging.questions import Pair
from potstill.evaluate.judging.reading import Sheet
from potstill.records import Figure
from potstill.stats import (
    Interval,
    cluster_mean,
    cohen_kappa,
    corrected_share,
    krippendorff_alpha,
    prediction_powered,
    ratio_of_sums,
    share_at_zero,
)

Floats = NDArray[np.float64]
_SHARE, _WINS = "0 to 1", "share of pairs, ties half"


@dataclass(frozen=True, slots=True)
class Draws:
    """How intervals are resampled."""

    resamples: int
    seed: int


@dataclass(frozen=True, slots=True)
class Panel:
    """All judges together on one model's pairs: per pair the mean of those judges whose verdict can be read."""

    pairs: Sequence[Pair]
    each: Floats  # (judges, n) 1 the model, 0 the teacher, ½ a tie, NaN no verdict
    together: Floats  # (n,)

    @classmethod
    def of(cls, sheets: Sequence[Sheet], model: str, pairs: Sequence[Pair]) -> "Panel":
        """The verdicts of these sheets on one model."""
        identical = np.array([pair.identical for pair in pairs])
        each = np.array([sheet.preferences(model, identical) for sheet in sheets])
        return cls(pairs, each, mean_of_known(each))

    @property
    def prompts(self) -> list[str]:
        """The prompt of each pair."""
        return [pair.prompt_hash for pair in self.pairs]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(n,) the pairs that any judge gave a verdict on."""
        return ~np.isnan(self.together)


def mean_of_known(values: Floats) -> Floats:
    """(n,) the mean over the first axis of what is no NaN; NaN where nothing is."""
    known = (~np.isnan(values)).sum(axis=0)
    return np.where(known > 0, np.nansum(values, axis=0) / np.maximum(known, 1), np.nan)


def win_rate(panel: Panel, draws: Draws) -> Interval | None:
    """The mean preference over pairs with a verdict, prompts resampled; None where there is no verdict."""
    return _mean(panel.together, panel.prompts, draws, share=True)


def length_controlled(panel: Panel, draws: Draws) -> tuple[Interval | None, dict[str, Any]]:
    """The win rate had both answers the same length, and what was fitted; without one, why not.

    Dubois et al. 2024 (arXiv:2404.04475), section 3: preference ~ logistic(theta + phi · tanh(d / sd(d))), d the
    difference of lengths in characters; the figure is logistic(theta). Their third term, the difficulty of each
    instruction, is fitted on many models at once and has no place where there is one pair of models.
    """
    kept = np.flatnonzero(panel.judged).tolist()
    prompts = [panel.prompts[at] for at in kept]
    apart = np.array([len(panel.pairs[at].other) - len(panel.pairs[at].teacher) for at in kept], dtype=np.float64)
    if len(set(prompts)) < MIN_PROMPTS:
        return None, {"declined": f"{len(set(prompts))} prompts with a verdict, and a curve takes {MIN_PROMPTS}"}
    spread = float(apart.std())
    if spread == 0:
        return None, {"declined": "all answers differ in length by the same, so length explains nothing"}
    facts = {"mean_difference": float(apart.mean()), "spread": spread}
    y = panel.together[kept]
    if np.ptp(y) == 0:
        return None, {**facts, "declined": "every pair has the same verdict, so there is no curve to fit"}
    found = share_at_zero(y, np.tanh(apart / spread), prompts, resamples=draws.resamples, seed=draws.seed)
    return found.share, {**facts, "slope": found.slope}


def position_consistency(sheets: Sequence[Sheet], panel: Panel, model: str, draws: Draws) -> Interval | None:
    """The share of pairs with two readable verdicts in which both orders gave the same, over all judges."""
    rows = [
        np.where(
            np.isnan(sheet.teacher_first[model]) | np.isnan(sheet.other_first[model]),
            np.nan,
            sheet.teacher_first[model] == sheet.other_first[model],
        )
        for sheet in sheets
    ]
    prompts = panel.prompts * len(rows)
    return _mean(np.concatenate(rows), prompts, draws, share=True)


def unusable(sheets: Sequence[Sheet], prompts: Sequence[str], models: Sequence[str], draws: Draws) -> Interval | None:
    """The share of replies about these models' answers that say nothing, over all judges."""
    bad = np.sum([sheet.unusable[model] for sheet in sheets for model in models], axis=0)
    all_of_them = np.sum([sheet.replies[model] for sheet in sheets for model in models], axis=0)
    sums, counts = _by_prompt(bad, prompts), _by_prompt(all_of_them, prompts)
    if not counts.sum():
        return None
    return cluster_mean(sums, counts, share=True, resamples=draws.resamples, seed=draws.seed)


def rubric_scores(
    sheets: Sequence[Sheet], prompts: Sequence[str], model: str, scale: int, draws: Draws
) -> dict[str, Figure]:
    """The mean scores of model and teacher on the answers that a judge scored both of, and what of it is kept."""
    ours = np.array([sheet.scores[model] for sheet in sheets])
    theirs = np.array([sheet.scores["teacher"] for sheet in sheets])
    both = ~(np.isnan(ours) | np.isnan(theirs))
    kept = both.any(axis=0)
    if not kept.any():
        return {}
    of = [name for name, keep in zip(prompts, kept, strict=True) if keep]
    sides = [mean_of_known(np.where(both, one, np.nan))[kept] for one in (ours, theirs)]
    unit = f"1 to {scale}"
    found = {}
    for name, values in zip(("judge.rubric_score", "teacher.judge.rubric_score"), sides, strict=True):
        interval = _mean((values - 1) / (scale - 1), of, draws, share=True)
        if interval is not None:
            found[name] = _figure(_stretched(interval, scale), unit)
    sums = [_by_prompt(one, of) for one in sides]
    kept_share = ratio_of_sums(*sums, resamples=draws.resamples, seed=draws.seed)
    return found | {"retention.judge.rubric_score": _figure(kept_share, "student / teacher")}


def agreement(panel: Panel, draws: Draws) -> dict[str, Figure]:
    """How far the judges agree on the pairs that were asked about: kappa of two, alpha of any number."""
    asked = np.array([not pair.identical for pair in panel.pairs])
    table, prompts = panel.each[:, asked].T, [pair.prompt_hash for pair in panel.pairs if not pair.identical]
    found: dict[str, Interval | None] = {}
    if table.shape[1] == 2:
        both: NDArray[np.bool_] = np.asarray(~np.isnan(table).any(axis=1))
        names = [name for name, keep in zip(prompts, both, strict=True) if keep]
        if names:
            found["judge.kappa"] = cohen_kappa(
                table[both, 0], table[both, 1], names, resamples=draws.resamples, seed=draws.seed
            )
    if table.shape[1] >= 2:
        found["judge.alpha"] = krippendorff_alpha(table, prompts, resamples=draws.resamples, seed=draws.seed)
    return {name: _figure(one, "-1 to 1") for name, one in found.items() if one is not None}


def corrected(panel: Panel, labels: Labels, others: Floats, draws: Draws) -> tuple[dict[str, Figure], dict[str, Any]]:
    """The win rate corrected by people's preferences, how far these agree with the judges, and how it was done.

    `others` are the judges' verdicts on the labelled pairs that are not of this run.
    """
    own = [at for at in labels.own if panel.judged[at]]
    read = [at for at in range(len(labels.others)) if not np.isnan(others[at])]
    people = np.array([labels.own[at] for at in own] + [labels.others[at][1] for at in read])
    judges = np.array([panel.together[at] for at in own] + [others[at] for at in read])
    prompts = [panel.prompts[at] for at in own] + [labels.others[at][0].prompt_hash for at in read]
    facts: dict[str, Any] = {
        "file": labels.file, "rows": labels.rows, "unlabelled": labels.unlabelled, "unmatched": labels.unmatched,
        "own_pairs": len(own), "other_pairs": len(read),
        "without_verdict": len(labels.own) - len(own) + len(labels.others) - len(read),
        "same_verdict": float((np.sign(people - 0.5) == np.sign(judges - 0.5)).mean()) if people.size else None,
    }  # fmt: skip
    figures = {}
    if people.size:
        theirs, ours = (np.sign(one - 0.5).astype(int) for one in (people, judges))
        kappa = cohen_kappa(theirs, ours, prompts, resamples=draws.resamples, seed=draws.seed)
        if kappa is not None:
            figures["judge.human_kappa"] = _figure(kappa, "-1 to 1")
    found, facts["method"], declined = _correction(panel, labels, own, people, judges, prompts)
    if found is not None:
        figures["judge.corrected_win_rate"] = _figure(found, _WINS)
    return figures, facts | ({"declined": declined} if declined else {})


def _correction(
    panel: Panel, labels: Labels, own: Sequence[int], people: Floats, judges: Floats, prompts: Sequence[str]
) -> tuple[Interval | None, str | None, str | None]:  # fmt: skip
    """The corrected share, the method's name, or why there is none; cases are prompts, so their pairs are averaged."""
    labelled = {panel.prompts[at] for at in own}
    if len(labelled) >= MIN_PROMPTS:
        order = [panel.prompts[at] for at in own]
        truths = _means(np.array([labels.own[at] for at in own]), order)
        predicted = _means(panel.together[list(own)], order)
        rest = [at for at in np.flatnonzero(panel.judged) if panel.prompts[at] not in labelled]
        unlabelled = _means(panel.together[rest], [panel.prompts[at] for at in rest])
        return prediction_powered(truths, predicted, unlabelled), "prediction-powered", None
    if len(set(prompts)) < MIN_PROMPTS:
        count = f"{len(set(prompts))} labelled prompts with a verdict"
        return None, None, f"{count}, and nothing is corrected by fewer than {MIN_PROMPTS}"
    kept = np.flatnonzero(panel.judged)
    measured = _means(panel.together[kept], [panel.prompts[at] for at in kept])
    found = corrected_share(measured, _means(people, prompts), _means(judges, prompts))
    if found is None:
        return None, None, "the judges' verdicts are not sure to follow people's at all, so there is nothing to correct"
    return found, "Rogan-Gladen", None


def bounds(panel: Panel) -> tuple[float, float]:
    """The win rate were every pair without a verdict lost, and were every one won."""
    missing = int((~panel.judged).sum())
    won, n = float(np.nansum(panel.together)), len(panel.pairs)
    return won / n, (won + missing) / n


def as_wins(interval: Interval) -> Figure:
    """A win rate as a figure."""
    return _figure(interval, _WINS)


def as_share(interval: Interval) -> Figure:
    """A share as a figure."""
    return _figure(interval, _SHARE)


def _mean(values: Floats, prompts: Sequence[str], draws: Draws, *, share: bool) -> Interval | None:
    known = ~np.isnan(values)
    if not known.any():
        return None
    sums, counts = _by_prompt(np.where(known, values, 0), prompts), _by_prompt(known.astype(np.float64), prompts)
    return cluster_mean(sums, counts, share=share, resamples=draws.resamples, seed=draws.seed)


def _by_prompt(values: Floats, prompts: Sequence[str]) -> Floats:
    order = {name: at for at, name in enumerate(dict.fromkeys(prompts))}
    place = [order[name] for name in prompts]
    return np.bincount(place, weights=values, minlength=len(order)).astype(np.float64)


def _means(values: Floats, prompts: Sequence[str]) -> Floats:
    if not len(prompts):
        return np.zeros(0)
    found: Floats = _by_prompt(values, prompts) / _by_prompt(np.ones(len(values)), prompts)
    return found


def _stretched(interval: Interval, scale: int) -> Interval:
    low, high = (None if end is None else 1 + (scale - 1) * end for end in (interval.low, interval.high))
    return Interval(1 + (scale - 1) * interval.value, low, high, interval.n)


def _figure(interval: Interval, unit: str) -> Figure:
    return Figure(interval.value, interval.low, interval.high, interval.n, unit)
