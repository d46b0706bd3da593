"""Tells the jobs apart that share a key: by what their system prompts have in common, and by how users' turns begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from potstill.texts.shingles import Shingles, shingles

PARTS_AT_MOST = 20
_ALIKE = 0.5  # similarity from which two system prompts are versions or fillings of one template
_COMMON = 0.05  # share of exchanges from which a piece of text belongs to a template and not to what fills it
_BEGINS = 0.1  # share of exchanges that a way to begin must have, to be a template …
_IN_COMMON = 2  # words
_TOGETHER = 0.9  # … where such beginnings together cover so many

OTHERS = -1
_KEPT = 500  # different system prompts of a job


@dataclass(frozen=True, slots=True)
class Templates:
    """Which template each system prompt of a job belongs to; OTHERS for the few that are like no other."""

    of: tuple[int, ...]  # template by number of system prompt
    first: tuple[int, ...]  # the most used system prompt of each template
    varied: bool
    heads: tuple[Shingles, ...] = ()  # what each template's prompts have in common, as far as it is compared
    common: Shingles | None = None


@dataclass(slots=True)
class SystemPrompts:
    """A job's different system prompts by number, up to a limit; later ones take the number of one that is alike."""

    texts: list[str] = field(default_factory=list)
    exchanges: list[int] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _known: Templates | None = None

    def number(self, text: str) -> int:
        """The number of a system prompt, counted once more; OTHERS beyond the limit where it is like none."""
        if text in self._numbers:
            at = self._numbers[text]
        elif len(self.texts) < _KEPT:
            at = self._numbers[text] = len(self.texts)
            self.texts.append(text)
            self.exchanges.append(0)
        else:
            at = self._like(text)
        if at != OTHERS:
            self.exchanges[at] += 1
        return at

    def _like(self, text: str) -> int:
        if self._known is None:
            self._known = group_system_prompts(self.texts, self.exchanges)
        known = self._known
        if known.varied or known.common is None:
            return known.first[0]
        own = np.intersect1d(shingles(text), known.common, assume_unique=True)
        alike = (n for n, head in enumerate(known.heads) if _similarity(head, own) >= _ALIKE)
        found = next(alike, None)
        return OTHERS if found is None else known.first[found]


def group_system_prompts(texts: Sequence[str], exchanges: Sequence[int]) -> Templates:
    """Group a job's distinct system prompts, each used by so many exchanges, into templates, the most used first.

    What less than 5 % of the exchanges have in common is taken for filling (a date, a name, retrieved passages) and not
    compared; two prompts are of one template where the rest is similar by a half, as sets of 5-character shingles.
    Where most exchanges have a system prompt like no other, nothing is told apart: `varied`.
    """
    found = [shingles(text) for text in texts]
    common = _common(found, exchanges)
    order = sorted(range(len(texts)), key=lambda at: (-exchanges[at], at))
    heads: list[tuple[Shingles, int]] = []
    of = [OTHERS] * len(texts)
    for at in order:
        own = np.intersect1d(found[at], common, assume_unique=True)
        compared = own if len(own) else found[at]
        of[at] = next((n for n, (head, _) in enumerate(heads) if _similarity(head, compared) >= _ALIKE), len(heads))
        if of[at] == len(heads):
            heads.append((compared, at))
    sizes = [sum(count for count, n in zip(exchanges, of, strict=True) if n == number) for number in range(len(heads))]
    lonely = {number for number, size in enumerate(sizes) if size < 2}
    total = sum(exchanges)
    if len(lonely) * 2 > total and total > 1:
        return Templates(tuple(0 for _ in texts), (order[0],), True)
    kept = [n for n in sorted(range(len(heads)), key=lambda n: -sizes[n]) if n not in lonely or total == 1]
    number_of = {old: new for new, old in enumerate(kept[:PARTS_AT_MOST])}
    first = tuple(heads[n][1] for n in kept[:PARTS_AT_MOST])
    shown = tuple(heads[n][0] for n in kept[:PARTS_AT_MOST])
    return Templates(tuple(number_of.get(n, OTHERS) for n in of), first, False, shown, common)


def group_beginnings(words: NDArray[np.uint64], spelled: Mapping[int, str]) -> dict[int, int]:
    """Number by digest of the first words, where a job's exchanges begin in a few ways only; else nothing.

    A few: each with at least 10 % of the exchanges, and together at least 90 %. Ways to begin that have two words in
    common are one ("What is a small …", "What is a red …"), numbered by the most frequent, and one alone is no way to
    tell jobs apart. `spelled` gives the words of a digest.
    """
    found, counts = np.unique(words, return_counts=True)
    frequent = np.flatnonzero(counts >= max(2, _BEGINS * len(words)))
    if counts[frequent].sum() < _TOGETHER * len(words):
        return {}
    order = frequent[np.argsort(-counts[frequent], kind="stable")]
    numbers: dict[str, int] = {}
    grouped: dict[int, int] = {}
    for digest in found[order].tolist():
        start = " ".join(spelled.get(digest, str(digest)).casefold().split()[:_IN_COMMON])
        grouped[digest] = numbers.setdefault(start, len(numbers))
    return grouped if len(numbers) > 1 else {}


def _common(found: Sequence[Shingles], exchanges: Sequence[int]) -> Shingles:
    """The shingles that at least 5 % of the exchanges have; all of them where that is less than two exchanges."""
    if not found:
        return np.array([], np.uint64)
    values, inverse = np.unique(np.concatenate(found), return_inverse=True)
    weights = np.repeat(np.asarray(exchanges, np.int64), [len(one) for one in found])
    holders = np.bincount(inverse, weights=weights, minlength=len(values))
    return values[holders >= max(2.0, _COMMON * sum(exchanges))]


def _similarity(one: Shingles, other: Shingles) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(len(one) + len(other) - shared, 1)
