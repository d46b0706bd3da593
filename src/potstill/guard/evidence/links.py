"""A link: accounts that have something in common, of what kind, and how rare that is."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """Accounts that share one thing. Kinds are those of `potstill.guard.needs`.

    `strength_bits` is how surprising it is that two accounts share it, in bits: log2 of all accounts over those that
    have it, so what everybody has weighs nothing. For `coactivation` and `near_duplicates` it is None, and `similarity`
    is there: a correlation, or a Jaccard similarity that was at least reached.
    """

    kind: str
    accounts: tuple[str, ...]  # in order, two or more
    value: str  # what is shared: a pseudonym, a template's number, a time; "" for pairs
    events: int  # of these accounts that show it
    strength_bits: float | None = None
    similarity: float | None = None


def rarity_bits(sharing: int, all_accounts: int) -> float:
    """log2(all / sharing), in bits."""
    return math.log2(all_accounts / sharing)
