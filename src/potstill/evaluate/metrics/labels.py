"""Classification: which label an answer names, and macro-F1 from counts."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from potstill.texts.normal import words

Floats = NDArray[np.float64]


def named_label(answer: str, labels: tuple[str, ...]) -> str | None:
    """The one label that an answer names; None where it names none, or several.

    Compared are lower-case words without punctuation, underscores being spaces. The answer is the label, or has it in
    it; a label that stands inside a longer one that is named too ("card" in "lost card") is not named.
    """
    said = _spaced(answer)
    spelled = {label: _spaced(label) for label in labels}
    same = [label for label, text in spelled.items() if text == said]
    if same:
        return same[0] if len(same) == 1 else None
    inside = [label for label, text in spelled.items() if text.strip() and text in said]
    left = said
    named = set()
    for label in sorted(inside, key=lambda one: -len(spelled[one])):
        if spelled[label] in left:
            named.add(label)
            left = left.replace(spelled[label], " \n ")
    return next(iter(named)) if len(named) == 1 else None


def _spaced(text: str) -> str:
    """Words with a space before and after each, so that whole words are found."""
    return "".join(f" {word} " for word in words(re.sub("_", " ", text)))


def confusion_columns(predicted: Sequence[str | None], truth: Sequence[str], labels: tuple[str, ...]) -> Floats:
    """(answers, 3 · labels) counts of each label's hits, false alarms and misses, label after label.

    A prediction of None is a miss of its true label and no false alarm of any.
    """
    place = {label: at for at, label in enumerate(labels)}
    counts = np.zeros((len(truth), 3 * len(labels)))
    for row, (guess, true) in enumerate(zip(predicted, truth, strict=True)):
        if guess == true:
            counts[row, 3 * place[true]] = 1
            continue
        counts[row, 3 * place[true] + 2] = 1
        if guess is not None:
            counts[row, 3 * place[guess] + 1] = 1
    return counts


def macro_f1(sums: Floats) -> Floats:
    """The mean over labels of F1 = 2 hits / (2 hits + false alarms + misses), of sums (…, 3 · labels) of such counts.

    A label that is neither true nor predicted anywhere is left out of the mean, as scikit-learn's f1_score does.
    """
    counts = sums.reshape(*sums.shape[:-1], -1, 3)
    hits, false_alarms, misses = counts[..., 0], counts[..., 1], counts[..., 2]
    there = 2 * hits + false_alarms + misses
    each = np.divide(2 * hits, there, out=np.zeros_like(there), where=there > 0)
    found: Floats = each.sum(-1) / np.maximum((there > 0).sum(-1), 1)
    return found
