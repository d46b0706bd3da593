"""Batches of answers that are the same in every run."""

import random
from collections.abc import Sequence

from potstill.answers import Answer


def batches_of_epoch(answers: Sequence[Answer], tokens_per_batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the answers of each optimizer step: like lengths together, at most `tokens_per_batch` padded tokens.

    Depends on nothing but its arguments, so that a resumed run takes the same steps. A single answer longer than the
    budget is a batch of its own.
    """
    rng = random.Random(f"{seed}/{epoch}")
    order = list(range(len(answers)))
    rng.shuffle(order)  # breaks ties between equal lengths anew in each epoch
    order.sort(key=lambda index: len(answers[index].example.tokens))
    batches = split_by_tokens(order, [len(one.example.tokens) for one in answers], tokens_per_batch)
    rng.shuffle(batches)
    return batches


def split_by_tokens(order: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut a sequence of indices into runs whose padded size, count × longest, stays within a budget of tokens."""
    batches: list[list[int]] = []
    current: list[int] = []
    longest = 0
    for index in order:
        longest_then = max(longest, lengths[index])
        if current and longest_then * (len(current) + 1) > budget:
            batches.append(current)
            current, longest_then = [], lengths[index]
        current.append(index)
        longest = longest_then
    return [*batches, current] if current else batches
