"""Two tokenizations of one text, cut at every place where both have a boundary."""

from collections.abc import Sequence
from dataclasses import dataclass

from potstill.alignment.spelling import Spans


@dataclass(frozen=True, slots=True)
class Group:
    """A range of the teacher's tokens and one of the student's that write the same bytes and share no boundary inside.

    Where a special token stands at a shared boundary the group writes nothing, and one of its ranges may be empty.
    `size_bytes` are those of the text.
    """

    teacher_start: int
    teacher_stop: int
    student_start: int
    student_stop: int
    size_bytes: int

    @property
    def teacher_length(self) -> int:
        """How many of the teacher's tokens."""
        return self.teacher_stop - self.teacher_start

    @property
    def student_length(self) -> int:
        """How many of the student's tokens."""
        return self.student_stop - self.student_start

    @property
    def one_to_one(self) -> bool:
        """One token on each side."""
        return self.teacher_length == 1 and self.student_length == 1


def align(teacher: Spans, student: Spans) -> list[Group]:
    """Walk over both sequences at once and close a group wherever their byte end offsets meet; O(tokens).

    Every token is in one group, in order. Special tokens at a shared boundary (a beginning or end of sequence) are a
    group of their own, so that one which only one side has does not shift the rest. A token that writes nothing and is
    not special (the space that only one tokenizer puts before the text) goes with the tokens after it: it is part of
    how its side writes them. Raises ValueError for texts of different length.
    """
    sizes = [spans.ends[-1] if spans.ends else 0 for spans in (teacher, student)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"the teacher's tokens write {sizes[0]} bytes and the student's {sizes[1]}; one text is needed"
        )
    at = max(teacher.start, student.start)  # a space before the text is shared only where both put one
    ours, theirs = ([max(end, at) for end in spans.ends] for spans in (teacher, student))
    groups: list[Group] = []
    i = j = 0
    while i < len(ours) or j < len(theirs):
        first, second = _specials(teacher.special, i), _specials(student.special, j)
        closed = at
        if first == i and second == j:
            first, second, closed = _meet(ours, theirs, i, j, at)
        groups.append(Group(i, first, j, second, max(closed, 0) - max(at, 0)))
        i, j, at = first, second, closed
    return groups


def _specials(special: Sequence[bool], start: int) -> int:
    """Where the run of special tokens from `start` on ends."""
    stop = start
    while stop < len(special) and special[stop]:
        stop += 1
    return stop


def _meet(teacher: Sequence[int], student: Sequence[int], i: int, j: int, at: int) -> tuple[int, int, int]:
    """Take a token of the side that is behind until both end at one offset beyond `at`, or nothing is left."""
    reached = [at, at]
    while reached[0] != reached[1] or reached[0] == at:
        if i < len(teacher) and (reached[0] <= reached[1] or j == len(student)):
            reached[0], i = teacher[i], i + 1
        elif j < len(student):
            reached[1], j = student[j], j + 1
        else:
            break
    return i, j, reached[0]
