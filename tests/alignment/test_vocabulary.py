"""Tokens paired by their bytes, and every other token counted where the other tokenizer would begin."""

import numpy as np
import pytest

from potstill.alignment import Spelling, match_vocabularies
from tokenizing import byte_fallback, byte_level

LEVEL, BYTES, FALLBACK = (Spelling(made) for made in (byte_level(420), byte_level(258), byte_fallback()))


@pytest.mark.parametrize("spelling", [LEVEL, BYTES, FALLBACK], ids=["bpe", "bytes", "fallback"])
def test_a_vocabulary_matches_itself_token_by_token(spelling: Spelling) -> None:
    found = match_vocabularies(spelling, spelling)
    expected = np.arange(spelling.size)
    assert np.array_equal(found.pairs, np.stack([expected, expected], 1))
    assert np.array_equal(found.teacher_class, expected)
    assert np.array_equal(found.student_class, expected)


@pytest.mark.parametrize(
    ("teacher", "student"), [(LEVEL, BYTES), (BYTES, LEVEL), (LEVEL, FALLBACK), (FALLBACK, LEVEL), (BYTES, FALLBACK)]
)
def test_pairs_write_the_same_and_are_all_there(teacher: Spelling, student: Spelling) -> None:
    found = match_vocabularies(teacher, student)
    ours, theirs = found.pairs[:, 0].tolist(), found.pairs[:, 1].tolist()
    assert len(set(ours)) == len(set(theirs)) == len(ours)
    for one, other in zip(ours, theirs, strict=True):
        assert teacher.bytes_of[one] == student.bytes_of[other]
    assert (teacher.end, student.end) in zip(ours, theirs, strict=True)
    both = {*teacher.bytes_of} & {*student.bytes_of} - {b""}
    assert {teacher.bytes_of[one] for one in ours} == both | {b""}


@pytest.mark.parametrize(("teacher", "student"), [(LEVEL, BYTES), (LEVEL, FALLBACK), (FALLBACK, LEVEL)])
def test_an_unmatched_token_is_counted_with_its_beginning(teacher: Spelling, student: Spelling) -> None:
    found = match_vocabularies(teacher, student)
    rest = len(found.pairs)
    for spelling, classes, side in ((teacher, found.teacher_class, 0), (student, found.student_class, 1)):
        for token in range(spelling.size):
            if classes[token] < rest:
                named = int(found.pairs[classes[token], side])
                assert spelling.bytes_of[token].startswith(spelling.bytes_of[named])
            else:
                assert token in spelling.special or len(spelling.bytes_of[token]) >= 1
    assert found.teacher_class.min() >= 0
    # Only special tokens have no beginning in a vocabulary that has every byte.
    assert all(token in teacher.special for token in np.flatnonzero(found.teacher_class == rest))


def test_against_bytes_every_class_is_a_first_byte() -> None:
    found = match_vocabularies(LEVEL, BYTES)
    for token, written in enumerate(LEVEL.bytes_of):
        if written:
            assert LEVEL.bytes_of[found.pairs[found.teacher_class[token], 0]] == written[:1]


def test_of_two_tokens_for_one_byte_the_plain_one_is_paired() -> None:
    plain, spare = (FALLBACK.content.index(name) for name in ("k", "<0x6B>"))
    found = match_vocabularies(FALLBACK, BYTES)
    assert (plain, BYTES.content.index("k")) in [tuple(pair) for pair in found.pairs.tolist()]
    assert spare not in found.pairs[:, 0]
    assert found.teacher_class[spare] == found.teacher_class[plain]


def test_special_tokens_pair_by_content_and_the_ends_whatever_they_are_called() -> None:
    teacher, student = byte_level(300), byte_level(258)
    for one in (teacher, student):
        one.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    teacher.eos_token = "<|turn|>"
    ours, theirs = Spelling(teacher), Spelling(student)
    pairs = {(ours.content[a], theirs.content[b]) for a, b in match_vocabularies(ours, theirs).pairs.tolist()}
    assert ("<|turn|>", "</s>") in pairs
    assert ("<s>", "<s>") in pairs
    assert ("<|turn|>", "<|turn|>") not in pairs
