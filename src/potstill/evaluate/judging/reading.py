"""Reads a judge's replies: preferences from both orders, scores, and what says nothing, which is counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.evaluate.judging.questions import Question
from potstill.records import JudgeReplies
from potstill.texts.verdicts import parse_preference, parse_score

Floats = NDArray[np.float64]
_SHOWN = 160  # characters of a reply that says nothing, its end
_NO_VERDICT, _NO_SCORE = "no verdict in its last line", "no score in its last line"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One judge's replies by model, one entry a held-out answer (n,), NaN where there is none that can be read.

    Preferences are 1 for the model, 0 for the teacher, ½ for a tie, in each of the two orders.
    """

    teacher_first: Mapping[str, Floats]
    other_first: Mapping[str, Floats]
    scores: Mapping[str, Floats]
    replies: Mapping[str, Floats]  # how many there were
    unusable: Mapping[str, Floats]  # and how many of them say nothing
    why: Counter[str] = field(default_factory=Counter)  # reasons of the latter
    examples: Mapping[str, str] = field(default_factory=dict)  # one reply a reason, its end
    facts: Mapping[str, Any] = field(default_factory=dict)

    def preferences(self, model: str, identical: NDArray[np.bool_]) -> Floats:
        """(n,) the verdicts: what both orders prefer, a tie where they disagree; of equal answers a tie, unasked."""
        first, second = self.teacher_first[model], self.other_first[model]
        verdicts = np.where(first == second, first, 0.5)
        verdicts[np.isnan(first) | np.isnan(second)] = np.nan
        verdicts[identical] = 0.5
        return verdicts

    def orders(self, model: str) -> dict[str, int]:
        """How the two orders of a pair compare: the same verdict, the first place both times, the second, or else."""
        first, second = self.teacher_first[model], self.other_first[model]
        both = ~(np.isnan(first) | np.isnan(second))
        same = both & (first == second)
        of_first, of_second = (first == 0) & (second == 1), (first == 1) & (second == 0)
        return {
            "both_usable": int(both.sum()), "same": int(same.sum()), "first_place": int(of_first.sum()),
            "second_place": int(of_second.sum()), "half_a_tie": int((both & ~same & ~of_first & ~of_second).sum()),
        }  # fmt: skip


def read_sheet(
    questions: Sequence[Question], replies: JudgeReplies, models: Sequence[str], n: int, scale: int
) -> Sheet:
    """What the replies to these questions say; every one that says nothing is counted with its reason."""
    orders: dict[str, dict[str, Floats]] = {
        kind: {model: np.full(n, np.nan) for model in models} for kind in ("teacher_first", "other_first", "score")
    }
    counts = {model: np.zeros(n) for model in models}
    unusable = {model: np.zeros(n) for model in models}
    why: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for question, text, problem in zip(questions, replies.texts, replies.problems, strict=True):
        value = None if text is None or problem else _value(question, text, scale)
        counts[question.model][question.at] += 1
        if value is not None:
            orders[question.kind][question.model][question.at] = value
            continue
        reason = problem or (_NO_SCORE if question.kind == "score" else _NO_VERDICT)
        unusable[question.model][question.at] += 1
        why[reason] += 1
        if text:
            examples.setdefault(reason, text.strip()[-_SHOWN:])
    return Sheet(
        orders["teacher_first"], orders["other_first"], orders["score"], counts, unusable, why, examples, replies.facts
    )


def _value(question: Question, text: str, scale: int) -> float | None:
    if question.kind == "score":
        return parse_score(text, scale)
    said = parse_preference(text)
    if said is None:
        return None
    if said == "tie":
        return 0.5
    return float((said == "B") == (question.kind == "teacher_first"))
