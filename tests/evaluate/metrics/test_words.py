"""Metrics of words and n-grams: values by hand, from the papers, and from sacreBLEU; any text is survived."""

from collections.abc import Callable

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluate.metrics.ngrams import bleu, chrf
from potstill.evaluate.metrics.words import exact_match, normalised_match, rouge_l, squad_normal, token_f1

TEXT = st.text(max_size=40)


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "normalised"),
    [
        ("Paris", "Paris", 1, 1),
        (" Paris\n", "Paris", 1, 1),
        ("paris.", "Paris", 0, 1),
        ("The  Eiffel Tower!", "eiffel tower", 0, 1),
        ("Paris, France", "Paris", 0, 0),
        ("", "", 1, 1),
        ("the", "an", 0, 1),  # articles alone are nothing, as SQuAD's script has it
        ("Köln", "köln", 0, 1),
    ],
)
def test_exact_and_normalised(answer: str, reference: str, exact: float, normalised: float) -> None:
    assert exact_match(answer, reference) == exact
    assert normalised_match(answer, reference) == normalised


def test_normal_form_is_squads() -> None:
    assert squad_normal("A man,  an  (old) plan; the canal-boat") == "man old plan canalboat"


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("the cat sat", "a cat sat down", 2 * (2 / 2) * (2 / 3) / (2 / 2 + 2 / 3)),
        ("cat cat cat", "cat", 2 * (1 / 3) * 1 / (1 / 3 + 1)),  # a word counts as often as it stands there
        ("dog", "cat", 0),
        ("", "cat", 0),
        ("cat", "", 0),
        ("", "the", 1),
    ],
)
def test_token_f1(answer: str, reference: str, expected: float) -> None:
    assert token_f1(answer, reference) == pytest.approx(expected)


# Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3.1, with β = 1.
@pytest.mark.parametrize(
    ("answer", "expected"),
    [("police kill the gunman", 0.75), ("the gunman kill police", 0.5), ("the gunman police killed", 0.5)],
)
def test_rouge_l_has_the_values_of_its_paper(answer: str, expected: float) -> None:
    assert rouge_l(answer, "police killed the gunman") == expected


def longest_common(first: list[str], second: list[str]) -> int:
    """The table of the textbook."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.lists(st.sampled_from("abc"), min_size=1))
def test_rouge_l_is_the_textbooks_subsequence(first: list[str], second: list[str]) -> None:
    expected = 2 * longest_common(first, second) / (len(first) + len(second))
    assert rouge_l(" ".join(first), " ".join(second)) == pytest.approx(expected)


def test_rouge_l_of_scripts_without_spaces_is_by_character() -> None:
    assert rouge_l("東京都", "東京") == pytest.approx(2 * 2 / 5)


def test_bleu_by_hand_and_by_sacrebleu() -> None:
    answer, reference = "the cat sat on the mat", "the cat is on the mat"
    # Precisions 5/6, 3/5, 1/4, and for the 4-grams, of which none of 3 is right, 1 / (2 · 3).
    assert bleu(answer, reference) == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25)
    assert bleu(answer, reference) == pytest.approx(sacrebleu.sentence_bleu(answer, [reference]).score)
    assert bleu("Oslo", "Oslo") == pytest.approx(100)  # of one word only 1-grams are asked for
    assert bleu("", "Oslo") == 0


def test_chrf_by_hand_and_by_sacrebleu() -> None:
    # 2 of 3 letters, 1 of 2 pairs, no triple: precision and recall are (2/3 + 1/2 + 0) / 3.
    assert chrf("abc", "abd") == pytest.approx(100 * (2 / 3 + 1 / 2) / 3)
    answer, reference = "the cat sat on the mat", "the cat is on the mat"
    assert chrf(answer, reference) == pytest.approx(sacrebleu.sentence_chrf(answer, [reference]).score)


@pytest.mark.parametrize(
    ("score", "most"),
    [(exact_match, 1), (normalised_match, 1), (token_f1, 1), (rouge_l, 1), (bleu, 100), (chrf, 100)],
)
@given(answer=TEXT, reference=TEXT)
def test_any_text_is_survived(score: Callable[[str, str], float], most: int, answer: str, reference: str) -> None:
    assert 0 <= score(answer, reference) <= most + 1e-9
    if answer.split() and score in (exact_match, normalised_match, token_f1, rouge_l):
        assert score(answer, answer) == 1
