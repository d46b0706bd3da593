"""The answers of a run in the tokens of both models at once, for training and evaluating across tokenizers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from potstill.alignment import AlignmentError, Group, Spans, Spelling, VocabularyMatch, align, match_vocabularies
from potstill.answers import Answer
from potstill.errors import PotstillError
from potstill.rendering import Example, render_answer


@dataclass(frozen=True, slots=True)
class AlignedAnswer:
    """One answer in the tokens of both models, and the groups of tokens that write the same bytes.

    Groups count from the first token of the answer, and have at least one token on each side.
    """

    student: Answer
    teacher: Answer
    groups: tuple[Group, ...]

    @property
    def size_bytes(self) -> int:
        """Of the answer's text."""
        return len(self.student.text.encode())


@dataclass(frozen=True, slots=True)
class Side:
    """One model's tokens of several answers, one after the other, and the range that each group takes of them."""

    tokens: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class AlignedAnswers:
    """The answers that could be aligned, in order; why each of the others could not; and the vocabularies' match."""

    answers: tuple[AlignedAnswer, ...]
    left_out: tuple[str, ...]
    match: VocabularyMatch

    def facts(self) -> dict[str, int]:
        """Counts for the ledger and the report."""
        groups = [group for one in self.answers for group in one.groups]
        return {
            "teacher_vocabulary": len(self.match.teacher_class), "student_vocabulary": len(self.match.student_class),
            "matched_tokens": len(self.match.pairs), "answers": len(self.answers), "left_out": len(self.left_out),
            "groups": len(groups), "one_to_one_groups": sum(group.one_to_one for group in groups),
            "bytes": sum(one.size_bytes for one in self.answers),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The alignment in words."""
        facts = self.facts()
        alike = (
            f"{facts['matched_tokens']:,} of the teacher's {facts['teacher_vocabulary']:,} tokens and of the student's "
            f"{facts['student_vocabulary']:,} mean the same; the answers fall into {facts['groups']:,} groups, "
            f"{facts['one_to_one_groups']:,} of them of one token on each side"
        )
        if not self.left_out:
            return [alike]
        return [alike, f"{len(self.left_out):,} answers are left out; {self.left_out[0]}"]


def sides(answers: Sequence[AlignedAnswer]) -> tuple[Side, Side]:
    """Several answers joined: the teacher's side and the student's, with the same number of groups."""
    joined = []
    for teacher in (True, False):
        tokens: list[int] = []
        ranges: list[tuple[int, int]] = []
        for one in answers:
            example, at = (one.teacher if teacher else one.student).example, len(tokens)
            tokens.extend(example.tokens[example.prompt_length :])
            for group in one.groups:
                span = (
                    (group.teacher_start, group.teacher_stop) if teacher else (group.student_start, group.student_stop)
                )
                ranges.append((at + span[0], at + span[1]))
        joined.append(Side(tuple(tokens), tuple(ranges)))
    return joined[0], joined[1]


def align_answers(
    student_answers: Sequence[Answer], teacher_answers: Sequence[Answer], student: Any, teacher: Any
) -> AlignedAnswers:
    """Align the same answers in the tokens of two tokenizers; the prompts, each in its own template, are not.

    The teacher's tokens are those that it sampled. Where they do not spell the answer's text (an answer cut off inside
    a character) it is the text's own tokens. A token that only one side has, such as the end of an answer that the
    teacher never ended, is in no group. Raises RecipeError for a tokenizer whose tokens' bytes cannot be read,
    PotstillError where no answer could be aligned.
    """
    ours, theirs = Spelling(student), Spelling(teacher)
    by_key = {answer.key: answer for answer in teacher_answers}
    found: list[AlignedAnswer] = []
    left_out: list[str] = []
    for answer in student_answers:
        try:
            other, spans = _spelled(by_key[answer.key], theirs)
            groups = align(spans, _spans(answer, ours))
        except AlignmentError as error:
            left_out.append(f"request {answer.key[:12]}: {error}")
            continue
        both = tuple(one for one in groups if one.teacher_length and one.student_length)
        found.append(AlignedAnswer(answer, other, both))
    if not found:
        raise PotstillError(f"no answer has the same bytes in both tokenizers; {left_out[0]}")
    return AlignedAnswers(tuple(found), tuple(left_out), match_vocabularies(theirs, ours))


def _spans(answer: Answer, spelling: Spelling) -> Spans:
    return spelling.spans(answer.example.tokens[answer.example.prompt_length :], answer.text)


def _spelled(answer: Answer, spelling: Spelling) -> tuple[Answer, Spans]:
    """The answer in tokens that spell its text, as sampled or else as the tokenizer writes it."""
    try:
        return answer, _spans(answer, spelling)
    except AlignmentError:
        example = answer.example
        tokens = render_answer(spelling.tokenizer, answer.text)
        if example.tokens[-1] != tokens[-1]:
            tokens = tokens[:-1]  # the teacher did not end it
        written = Example((*example.tokens[: example.prompt_length], *tokens), example.prompt_length)
        answer = replace(answer, example=written)
        return answer, _spans(answer, spelling)
