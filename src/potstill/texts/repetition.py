"""How much of a text repeats itself: the share of it in word n-grams that stood there before."""

from collections.abc import Hashable

from potstill.texts.normal import words


def repeated_share(text: str, n: int) -> float:
    """The share of a text's word characters that lie in word n-grams which an earlier one repeats, from 0 to 1.

    The rule of MassiveText for n from 5 to 10 (Rae et al., "Scaling language models: methods, analysis and insights
    from training Gopher", 2021, section A.1.1), where 0.15 for n = 5 down to 0.10 for n = 10 is too much. A character
    counts once, and the first occurrence of an n-gram is not repetition, so a text said twice has a share of a half.
    Of scripts without spaces a character counts as a word.
    """
    found = words(text)
    total = sum(map(len, found))
    seen: set[Hashable] = set()
    repeated = covered = 0  # characters; the first word that no repeated n-gram covers yet
    for start in range(len(found) - n + 1):
        gram = tuple(found[start : start + n])
        if gram in seen:
            repeated += sum(map(len, found[max(start, covered) : start + n]))
            covered = start + n
        else:
            seen.add(gram)
    return repeated / total if total else 0.0
