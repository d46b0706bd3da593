"""How closely a student follows a teacher that cuts the same text into other tokens, group by group."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from potstill.aligned import AlignedAnswer, AlignedAnswers, Side, sides
from potstill.evaluate.fidelity import Positions, answer_logits, answer_states
from potstill.models.local import LocalModel
from potstill.objectives.cross_tokenizer import Path, Vocabulary, per_group, refine
from potstill.objectives.dense import total_variation
from potstill.objectives.head import chunk_positions

_ROWS_AT_ONCE = 16


@torch.inference_mode()
def measure_aligned(student: LocalModel, teacher: LocalModel, aligned: AlignedAnswers) -> Positions:
    """Run both models over the answers, each in its own tokens, and compare them at every group.

    docs/evaluation.md says what each value means across tokenizers.
    """
    match = aligned.match
    pairs = torch.from_numpy(match.pairs)
    theirs = Vocabulary.of(pairs[:, 0], torch.from_numpy(match.teacher_class))
    ours = Vocabulary.of(pairs[:, 1], torch.from_numpy(match.student_class))
    budget = chunk_positions(max(len(match.teacher_class), len(match.student_class)))
    found: list[_Values] = []
    for start in range(0, len(aligned.answers), _ROWS_AT_ONCE):
        few = aligned.answers[start : start + _ROWS_AT_ONCE]
        theirs_side, ours_side = sides(few)
        states = answer_states(teacher, [one.teacher.example for one in few])
        own = answer_states(student, [one.student.example for one in few])
        for groups in _runs(theirs_side, ours_side, budget):
            their_path, their_rows = _part(theirs_side, groups)
            our_path, our_rows = _part(ours_side, groups)
            p = theirs.cut(answer_logits(teacher, states[their_rows]), "teacher")
            q = ours.cut(answer_logits(student, own[our_rows]), "student")
            found.append(_compare(q, our_path, ours, p, their_path, theirs))
    return _positions(found, aligned.answers)


class _Values(NamedTuple):
    """One value a group (G,)."""

    log_q: Tensor
    log_p: Tensor
    kl: Tensor
    agree: Tensor
    total_variation: Tensor
    unmatched_l1: Tensor


def _compare(q: Tensor, ours: Path, student: Vocabulary, p: Tensor, theirs: Path, teacher: Vocabulary) -> _Values:
    heads = student.class_of[ours.tokens[ours.first]], teacher.class_of[theirs.tokens[theirs.first]]
    split = (ours.lengths != 1) | (theirs.lengths != 1) | (heads[0] != heads[1])
    mine, other = refine(q, ours, student, split), refine(p, theirs, teacher, split)
    log_q, log_p = mine.log_probabilities, other.log_probabilities
    parts = per_group("forward_kl", mine, other)
    agree = (log_q.argmax(-1) == log_p.argmax(-1)).float()
    return _Values(mine.path, other.path, parts.matched, agree, total_variation(log_q, log_p), parts.unmatched)


def _runs(teacher: Side, student: Side, budget: int) -> Iterator[range]:
    """Runs of groups with at most `budget` tokens on either side, or one group that alone has more."""
    start = 0
    for group in range(len(student.ranges)):
        taken = (side.ranges[group][1] - side.ranges[start][0] for side in (teacher, student))
        if group > start and max(taken) > budget:
            yield range(start, group)
            start = group
    if student.ranges:
        yield range(start, len(student.ranges))


def _part(side: Side, groups: range) -> tuple[Path, slice]:
    """The tokens of some groups, and which rows of the answers' states predict them."""
    low, high = side.ranges[groups[0]][0], side.ranges[groups[-1]][1]
    ranges = [(side.ranges[group][0] - low, side.ranges[group][1] - low) for group in groups]
    return Path.of(side.tokens[low:high], ranges), slice(low, high)


def _positions(found: Sequence[_Values], answers: Sequence[AlignedAnswer]) -> Positions:
    columns = {name: torch.cat([getattr(one, name) for one in found]).double().numpy() for name in _Values._fields}
    return Positions(
        lengths=np.array([len(one.groups) for one in answers], dtype=np.int64),
        size_bytes=np.array([one.size_bytes for one in answers], dtype=np.float64),
        **columns,
    )
