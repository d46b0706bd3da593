"""Answers in the tokens of two models: sampled tokens kept, cut characters written anew, the rest named."""

import pytest

from potstill.aligned import AlignedAnswers, align_answers, sides
from potstill.answers import Answer
from potstill.errors import PotstillError
from potstill.rendering import Example
from tokenizing import byte_fallback, byte_level, render

TEACHER, STUDENT = byte_level(420), byte_fallback()
PROMPTS = {TEACHER: (0, 5, 6, 7), STUDENT: (1, 9)}


def answer(tokenizer: object, text: str, tokens: list[int], key: str = "k") -> Answer:
    prompt = PROMPTS[tokenizer]
    return Answer(key, f"prompt of {key}", 0, "?", text, Example((*prompt, *tokens), len(prompt)))


def aligned(text: str, sampled: list[int] | None = None) -> AlignedAnswers:
    """The text aligned, with the tokens that the teacher sampled for it where they are given."""
    theirs = [*render(TEACHER, text), TEACHER.eos_token_id] if sampled is None else sampled
    ours = [*render(STUDENT, text), STUDENT.eos_token_id]
    return align_answers([answer(STUDENT, text, ours)], [answer(TEACHER, text, theirs)], STUDENT, TEACHER)


def test_the_tokens_that_were_sampled_are_kept() -> None:
    letters = [TEACHER.convert_tokens_to_ids(letter) for letter in "kettle"]
    assert letters != render(TEACHER, "kettle")
    (one,) = aligned("kettle", [*letters, TEACHER.eos_token_id]).answers
    assert one.teacher.example.tokens[4:-1] == tuple(letters)
    # "▁kettle" is one token of the student's.
    assert [(group.teacher_length, group.student_length) for group in one.groups] == [(6, 1), (1, 1)]
    assert one.size_bytes == 6


def test_an_answer_cut_inside_a_character_is_written_anew_and_not_ended() -> None:
    tokens = render(TEACHER, "kettle €")[:-1]
    text = TEACHER.decode(tokens)
    assert text.endswith("\ufffd")
    (one,) = aligned(text, tokens).answers
    assert one.teacher.example.tokens == (*PROMPTS[TEACHER], *render(TEACHER, text))
    # The student's end of turn has no partner, so it is in no group.
    assert one.groups[-1].student_stop == one.student.example.answer_length - 1
    assert one.groups[-1].teacher_stop == one.teacher.example.answer_length


def test_groups_of_several_answers_follow_each_other() -> None:
    texts = ["kettle", "the barometer falls"]
    both = [
        [answer(made, text, [*render(made, text), made.eos_token_id], text) for text in texts]
        for made in (STUDENT, TEACHER)
    ]
    found = align_answers(both[0], list(reversed(both[1])), STUDENT, TEACHER)
    teacher, student = sides(found.answers)
    assert len(teacher.ranges) == len(student.ranges) == sum(len(one.groups) for one in found.answers)
    for side, made in ((teacher, TEACHER), (student, STUDENT)):
        assert [token for start, stop in side.ranges for token in side.tokens[start:stop]] == list(side.tokens)
        assert made.decode(side.tokens, skip_special_tokens=True).replace(" ", "") == "".join(texts).replace(" ", "")
    facts = found.facts()
    assert (facts["answers"], facts["left_out"], facts["groups"]) == (2, 0, len(teacher.ranges))
    assert facts["bytes"] == sum(len(text) for text in texts)
    assert "of them of one token on each side" in found.lines()[0]


def test_an_answer_that_spells_a_special_token_is_left_out_by_name() -> None:
    good, bad = "kettle", "kettle</s>"
    both = [
        [answer(made, text, [*render(made, text), made.eos_token_id], text) for text in (good, bad)]
        for made in (STUDENT, TEACHER)
    ]
    found = align_answers(both[0], both[1], STUDENT, TEACHER)
    assert [one.student.text for one in found.answers] == [good]
    assert found.left_out[0].startswith("request kettle</s>: the tokens spell b'' at byte 6")
    assert "1 answers are left out" in found.lines()[1]
    with pytest.raises(PotstillError, match="no answer has the same bytes in both tokenizers"):
        align_answers(both[0][1:], both[1][1:], STUDENT, TEACHER)
