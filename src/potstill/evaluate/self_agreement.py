"""How well the teacher agrees with itself when it is asked again: the ceiling that a student's agreement is read by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.config import AGAIN, Evaluate, Recipe
from potstill.config.evaluation import CLASSIFYING
from potstill.evaluate.again import Again
from potstill.evaluate.fidelity import chrf_scores
from potstill.evaluate.held_out import HeldOut
from potstill.evaluate.metrics.labels import named_label
from potstill.evaluate.ranged import mean_in_range, retained
from potstill.evaluate.references import References
from potstill.evaluate.task import Grader
from potstill.records import Figure

Floats = NDArray[np.float64]

_CHRF, _SAME = AGAIN
_MOST = {_CHRF: 100.0, _SAME: 1.0}
_UNITS = {_CHRF: "0 to 100", _SAME: "share of answers"}


@dataclass(frozen=True, slots=True)
class SelfAgreement:
    """Figures of the teacher asked again, and what evaluation.json says of it besides."""

    figures: dict[str, Figure]
    facts: dict[str, Any]


def self_agreement(
    recipe: Recipe, held: HeldOut, again: Again, answered: Mapping[str, Sequence[str]], references: References | None
) -> SelfAgreement:
    """Set each of `answered` (student and baselines by name, one text a held-out answer) and the teacher's own first
    answers against what the teacher says when asked again; grade that against the references where there are any.
    """
    kept = [at for at, text in enumerate(again.texts) if text is not None]
    facts: dict[str, Any] = {"how": again.how, "answers": len(kept), "left_out": len(again.texts) - len(kept)}
    if again.how is None or not kept:
        return SelfAgreement({}, facts | {"how": None, "reason": again.reason or "no second answer was usable"})
    others = [text for text in again.texts if text is not None]
    first = [held.answers[at].text for at in kept]
    compared = _Compared(recipe.evaluate, [held.answers[at].prompt_hash for at in kept], others)
    certain = again.how == "by construction"
    figures = compared.figures("teacher.", first, certain=certain)
    for name, texts in answered.items():
        figures |= compared.figures("" if name == "student" else f"{name}.", [texts[at] for at in kept])
    figures |= compared.retention([answered["student"][at] for at in kept], first)
    if references is not None and not certain:
        graded, own = _graded_again(recipe, held, kept, others, references)
        figures |= graded
        facts["retention"] = own
    return SelfAgreement(figures, facts)


class _Compared:
    """Texts against the teacher's other answers, with prompts as the unit that is resampled."""

    def __init__(self, evaluate: Evaluate, prompts: Sequence[str], others: Sequence[str]) -> None:
        order = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
        self._place = np.array([order[prompt] for prompt in prompts])
        self._counts = np.bincount(self._place).astype(np.float64)
        self._others = others
        self._draws = {"resamples": evaluate.resamples, "seed": evaluate.seed}

    def figures(self, prefix: str, texts: Sequence[str], *, certain: bool = False) -> dict[str, Figure]:
        """Both figures of one model; `certain` where they are what they are by construction."""
        found = {}
        for name, sums in self._sums(texts).items():
            one = mean_in_range(sums, self._counts, 0.0, _MOST[name], **self._draws)
            low, high = (None, None) if certain else (one.low, one.high)
            found[f"{prefix}{name}"] = Figure(one.value, low, high, one.n, _UNITS[name])
        return found

    def retention(self, student: Sequence[str], teacher: Sequence[str]) -> dict[str, Figure]:
        """The student's agreement over the teacher's with itself; none where the teacher never says the same again."""
        found = {}
        ours, theirs = self._sums(student), self._sums(teacher)
        for name in AGAIN:
            one = retained(ours[name], theirs[name], self._counts, 0.0, _MOST[name], **self._draws)
            if one is not None:
                unit = "student / teacher asked again"
                found[f"retention.{name}"] = Figure(one.value, one.low, one.high, one.n, unit)
        return found

    def _sums(self, texts: Sequence[str]) -> dict[str, Floats]:
        """(prompts,) sums of each figure's scores."""
        same = [one.strip() == other.strip() for one, other in zip(texts, self._others, strict=True)]
        scores = {_CHRF: chrf_scores(texts, self._others), _SAME: same}
        return {name: self._by_prompt(np.array(one, dtype=np.float64)) for name, one in scores.items()}

    def _by_prompt(self, values: Floats) -> Floats:
        return np.bincount(self._place, weights=values).astype(np.float64)


def _graded_again(
    recipe: Recipe, held: HeldOut, kept: Sequence[int], others: Sequence[str], references: References
) -> tuple[dict[str, Figure], dict[str, Any]]:
    """`teacher_again.<metric>`, and the second answers' score over the first's: the teacher's retention by itself.

    Labels that are chosen by their probabilities are the same however often a teacher is asked, so they are left out.
    """
    task = recipe.evaluate.task
    if task is None:
        return {}, {}
    if held.teacher_answers and len(recipe.teachers) == 1:
        task = task.model_copy(update={"metrics": tuple(one for one in task.metrics if one not in CLASSIFYING)})
    if not task.names or not any(held.answers[at].prompt_hash in references.by_prompt for at in kept):
        return {}, {}
    grader = Grader(task, recipe.evaluate, references, [held.answers[at] for at in kept])
    first = [held.answers[at].text for at in kept]
    labels = references.labels if set(CLASSIFYING) & set(task.metrics) else ()

    def named(texts: Sequence[str]) -> list[str | None] | None:
        return [named_label(texts[at], labels) for at in grader.kept] if labels else None

    second, before = grader.grade(others, named(others)), grader.grade(first, named(first))
    found = grader.figures({"student": second, "teacher": before})
    return (
        {f"teacher_again.{name}": found[name] for name in task.names},
        {name: asdict(found[f"retention.{name}"]) for name in task.names if f"retention.{name}" in found},
    )
