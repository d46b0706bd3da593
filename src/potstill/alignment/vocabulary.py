"""Which tokens of two vocabularies mean the same, and with which of them every other token is counted."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from potstill.alignment.spelling import Spelling

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VocabularyMatch:
    """M matched pairs, and the class of every token of both vocabularies: a pair's number, or M for the rest.

    `pairs` (M, 2) holds a teacher id and the student id that writes the same bytes. An unmatched token is in the class
    of the matched token that the other tokenizer begins with when it writes the same bytes; one that has none (an
    unmatched special token, an id without a token) is in class M. docs/objectives.md says why.
    """

    pairs: Ids
    teacher_class: Ids  # (teacher's vocabulary,)
    student_class: Ids  # (student's vocabulary,)


def match_vocabularies(teacher: Spelling, student: Spelling) -> VocabularyMatch:
    """Pair tokens with the same bytes, the two end tokens, and special tokens with the same content.

    Where several tokens of one vocabulary write the same bytes, they are paired in order of their ids, tokens of byte
    fallback last. A vocabulary matched with itself gives every token its own.
    """
    pairs = [*_special_pairs(teacher, student), *_spelled_pairs(teacher, student)]
    teacher_class = np.full(teacher.size, -1, np.int64)
    student_class = np.full(student.size, -1, np.int64)
    # By the teacher's id, so that equal vocabularies keep their order.
    numbered = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    teacher_class[numbered[:, 0]] = np.arange(len(numbered))
    student_class[numbered[:, 1]] = np.arange(len(numbered))
    _attach(teacher, student, teacher_class, student_class, len(numbered))
    return VocabularyMatch(numbered, teacher_class, student_class)


def _special_pairs(teacher: Spelling, student: Spelling) -> Iterable[tuple[int, int]]:
    """The tokens that end an answer first, whatever they are called, then special tokens with the same content."""
    pairs: dict[int, int] = {}
    if teacher.end is not None and student.end is not None:
        pairs[teacher.end] = student.end
    theirs = {student.content[token]: token for token in student.special if token != student.end}
    for token in sorted(teacher.special - pairs.keys()):
        if teacher.content[token] in theirs:
            pairs[token] = theirs[teacher.content[token]]
    return pairs.items()


def _spelled_pairs(teacher: Spelling, student: Spelling) -> Iterable[tuple[int, int]]:
    theirs, ours = _by_bytes(student), _by_bytes(teacher)
    for written, tokens in ours.items():
        yield from zip(tokens, theirs.get(written, ()), strict=False)


def _by_bytes(spelling: Spelling) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for token in sorted(range(spelling.size), key=lambda one: (spelling.is_fallback(one), one)):
        if spelling.bytes_of[token]:
            found.setdefault(spelling.bytes_of[token], []).append(token)
    return found


def _attach(teacher: Spelling, student: Spelling, teacher_class: Ids, student_class: Ids, rest: int) -> None:
    """Give every unmatched token the class of the token that the other tokenizer begins with.

    That token may be unmatched too; then the question goes back to the first vocabulary. The bytes get shorter each
    time, so taking tokens in order of their length finds every answer already there.
    """
    sides = ((teacher, teacher_class, student, student_class), (student, student_class, teacher, teacher_class))
    waiting = sorted(
        (len(own.bytes_of[token]), side, int(token))
        for side, (own, own_class, _, _) in enumerate(sides)
        for token in np.flatnonzero(own_class < 0)
    )
    for length, side, token in waiting:
        own, own_class, other, other_class = sides[side]
        first = other.first_token(own.bytes_of[token]) if length else None
        found = -1 if first is None else int(other_class[first])
        own_class[token] = rest if found < 0 else found
