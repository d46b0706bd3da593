"""How alike two texts are as words: the same, the same as SQuAD sees it, by shared words, by words in order."""

import re
import string
from collections import Counter
from collections.abc import Sequence

from potstill.texts.normal import words

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_normal(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and superfluous white space.

    As SQuAD's own evaluate-v1.1.py does it (Rajpurkar et al. 2016, "SQuAD", section 6.1).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, reference: str) -> float:
    """1 where the texts are the same but for white space around them, else 0."""
    return float(answer.strip() == reference.strip())


def normalised_match(answer: str, reference: str) -> float:
    """1 where the texts are the same after `squad_normal`, else 0: what SQuAD calls exact match."""
    return float(squad_normal(answer) == squad_normal(reference))


def token_f1(answer: str, reference: str) -> float:
    """The harmonic mean of precision and recall over words after `squad_normal`, each as often as it stands there.

    As SQuAD has it; where one text has no word left, 1 if the other has none either, else 0 (its version 2.0).
    """
    ours, theirs = squad_normal(answer).split(), squad_normal(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L (Lin 2004, equations 2 to 4, β = 1): F-measure of the longest common subsequence of words.

    Words are lower-case, without punctuation and unstemmed; of scripts without spaces each character is one.
    """
    ours, theirs = words(answer), words(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * _longest_common(ours, theirs) / (len(ours) + len(theirs))


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, a row of the table in one integer (Hyyrö 2004, figure 3)."""
    places: dict[str, int] = {}
    for at, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << at
    whole = (1 << len(first)) - 1
    row = whole  # a bit is 0 where the length grows
    for word in second:
        grown = row & places.get(word, 0)
        row = (row + grown | row - grown) & whole
    return len(first) - row.bit_count()
