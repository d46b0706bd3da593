"""The code of kind sampled: a position's entropy, its set of ids, and their counts, which sum to the draws.

Laid out to the byte in docs/signals.md.
"""

from collections.abc import Sequence
from math import log

import numpy as np
import torch

from potstill.store.signals.bits import Fields, Ints, before, read_unary, write_fields, write_unary
from potstill.store.signals.idsets import from_gaps, rice_parameter, to_gaps
from potstill.store.signals.pieces import Coded, Pieces, cut
from potstill.store.signals.records import Samples, join_samples

_ENTROPY_BITS = 16


def entropy_step(vocabulary: int) -> float:
    """Nats between two entropies that can be told apart: ln V has the largest code. Rounding errs by half of it."""
    return log(max(vocabulary, 2)) / ((1 << _ENTROPY_BITS) - 1)


def length_bits(draws: int, vocabulary: int) -> int:
    """Bits of the number of ids at a position, less one."""
    return (min(draws, vocabulary) - 1).bit_length()


def encode(parts: Sequence[Samples], alphabet: Ints, draws: int, vocabulary: int) -> list[Coded]:
    """Sequences as bytes. Raises ValueError where ids do not ascend or counts do not sum to the draws."""
    joined = join_samples(parts)
    lengths = joined.lengths.numpy().astype(np.int64)
    counts = joined.counts.numpy().astype(np.int64)
    positions = np.array([len(one.lengths) for one in parts], np.int64)
    _check(counts, lengths, draws)
    gaps = to_gaps(np.searchsorted(alphabet, joined.ids.numpy()), lengths)
    low = np.repeat(rice_parameter(len(alphabet), lengths), lengths)
    # The last count of a position is what the others leave of the draws, so it is not written.
    told = np.ones(len(counts), bool)
    told[np.cumsum(lengths) - 1] = False
    digits = np.frexp(counts[told].astype(np.float64))[1].astype(np.int64) - 1  # Elias gamma: ⌊log2 count⌋ in unary

    step, width = entropy_step(vocabulary), length_bits(draws, vocabulary)
    rounded = np.rint(joined.entropy.numpy().astype(np.float64) / step).clip(0, (1 << _ENTROPY_BITS) - 1)
    sequence = np.repeat(np.arange(len(parts)), positions)
    by_entry = np.repeat(sequence, lengths)
    by_count = by_entry[told]
    # Four runs of fields follow one another in each sequence: entropies, lengths, low bits of gaps, low bits of counts.
    values = np.concatenate(
        [rounded.astype(np.int64), lengths - 1, gaps & ((1 << low) - 1), counts[told] - (1 << digits)]
    )
    widths = np.concatenate([np.full(len(lengths), _ENTROPY_BITS), np.full(len(lengths), width), low, digits])
    owner = np.concatenate([sequence, sequence, by_entry, by_count])
    order = np.argsort(owner, kind="stable")
    values, widths, owner = values[order], widths[order], owner[order]
    bits = np.bincount(owner, widths, len(parts)).astype(np.int64)
    sizes = (bits + 7) >> 3
    offsets = before(widths) + np.repeat(before(sizes) * 8 - before(bits), np.bincount(owner, minlength=len(parts)))
    heads = write_fields(int(sizes.sum()), offsets, values)

    runs = np.concatenate([by_entry, by_count])
    unary, unary_sizes = write_unary(
        np.concatenate([gaps >> low, digits])[np.argsort(runs, kind="stable")], np.bincount(runs, minlength=len(parts))
    )
    return cut(positions, heads, sizes, unary, unary_sizes)


def _check(counts: Ints, lengths: Ints, draws: int) -> None:
    if len(lengths) and lengths.min() < 1:
        raise ValueError("a position without a sample cannot be stored")
    sums = np.add.reduceat(counts, before(lengths)) if len(lengths) else counts
    if len(counts) and (counts.min() < 1 or (sums != draws).any()):
        raise ValueError(f"the counts of each position must be positive and sum to the draws, {draws}")


def decode(pieces: Pieces, draws: int, vocabulary: int) -> Samples | None:
    """What `encode` wrote, one sequence after the other; None where the bytes are not a code."""
    positions, starts = pieces.positions, pieces.head_bits
    fields, width = Fields(pieces.head()), length_bits(draws, vocabulary)
    sequence = np.repeat(np.arange(len(positions)), positions)
    place = np.arange(len(sequence)) - before(positions)[sequence]
    begin = starts[sequence]
    entropy = fields.read(begin + place * _ENTROPY_BITS, _ENTROPY_BITS)
    lengths = fields.read(begin + positions[sequence] * _ENTROPY_BITS + place * width, width) + 1

    ids_of = np.bincount(sequence, lengths, len(positions)).astype(np.int64)
    counts_of = ids_of - positions
    unary = read_unary(pieces.unary(), pieces.unary_sizes, ids_of + counts_of)
    if unary is None:
        return None
    is_id = np.repeat(np.tile([True, False], len(positions)), np.stack([ids_of, counts_of], 1).flatten())

    rice = rice_parameter(pieces.alphabet_sizes[sequence], lengths)
    low_of = np.bincount(sequence, rice * lengths, len(positions)).astype(np.int64)
    lows = starts + positions * (_ENTROPY_BITS + width)  # where each sequence's low bits of gaps begin
    first = lows[sequence] + before(rice * lengths) - before(low_of)[sequence]
    entries = before(lengths)
    low = np.repeat(rice, lengths)
    offsets = np.arange(len(low)) * low + np.repeat(first - entries * rice, lengths)
    gaps = (unary[is_id] << low) | fields.read(offsets, low)
    places = from_gaps(gaps, lengths)
    if len(places) and (places > np.repeat(pieces.alphabet_sizes[sequence] - 1, lengths)).any():
        return None
    joined = pieces.alphabets[0] if len(pieces.alphabets) == 1 else np.concatenate(pieces.alphabets)
    ids = joined[places + np.repeat(pieces.alphabet_starts[sequence], lengths)]

    counts = _counts(fields, unary[~is_id], counts_of, lows + low_of, lengths, draws)
    if counts is None:
        return None
    nats = (entropy * entropy_step(vocabulary)).astype(np.float32)
    return Samples(*(torch.from_numpy(one) for one in (ids, counts, lengths, nats)))


def _counts(fields: Fields, digits: Ints, counts_of: Ints, starts: Ints, lengths: Ints, draws: int) -> Ints | None:
    """Counts in an Elias gamma code whose unary part is `digits`; the last of each position from the sum."""
    values = 1 << digits
    large = np.flatnonzero(digits)
    shift = starts - np.concatenate([[0], np.cumsum(digits)])[before(counts_of)]
    offsets = before(digits)[large] + np.repeat(shift, counts_of)[large]
    values[large] |= fields.read(offsets, digits[large])
    last = np.cumsum(lengths) - 1
    counts = np.zeros(int(lengths.sum()), np.int64)
    told = np.ones(len(counts), bool)
    told[last] = False
    counts[told] = values
    if len(lengths):
        counts[last] = draws - np.add.reduceat(counts, before(lengths))
    return counts if not len(counts) or counts.min() > 0 else None
