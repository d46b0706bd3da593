"""The code of kind top_k: K ids, their log-probabilities in 8 or 16 bits, and the mass of the tail in 16.

Laid out to the byte, with the bound on the rounding error, in docs/signals.md.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from potstill.store.signals.bits import Fields, Ints, before, read_unary, write_fields, write_unary
from potstill.store.signals.idsets import from_gaps, rice_parameter, to_gaps
from potstill.store.signals.pieces import Coded, Pieces, cut
from potstill.store.signals.records import TopK, join_top_k

TAIL_NATS = 100.0  # -log of the smallest tail that can be told from none
_TAIL_LEVELS = (1 << 16) - 2
_SCALE_BITS = 32


def levels(bits: int) -> int:
    """The largest code of a log-probability; the one above it stands for -inf."""
    return (1 << bits) - 2


def quantise(log_p: NDArray[np.float32], scale: NDArray[np.float32] | float, largest: int) -> Ints:
    """Codes: largest·√(-log p / scale), rounded. Fine near p = 1, where an error of log p moves p most."""
    impossible = np.isneginf(log_p)
    depth = np.where(impossible, 0, np.maximum(-log_p, 0)).astype(np.float64) / scale
    codes = np.rint(np.sqrt(depth) * largest).astype(np.int64)
    return np.where(impossible, largest + 1, np.minimum(codes, largest))


def _table(largest: int) -> NDArray[np.float32]:
    values = np.square(np.arange(largest + 2, dtype=np.float64) / largest)
    values[-1] = np.inf
    return values.astype(np.float32)


def encode(parts: Sequence[TopK], alphabet: Ints, k: int, bits: int) -> list[Coded]:
    """Sequences as bytes. Raises ValueError where ids do not ascend or there are not K of them."""
    joined = join_top_k(parts)
    if joined.ids.shape[1] != k:
        raise ValueError(f"a position has {joined.ids.shape[1]} ids, but the store holds {k} of each")
    positions = np.array([len(one.ids) for one in parts], np.int64)
    sequence = np.repeat(np.arange(len(parts)), positions)
    lengths = np.full(len(sequence), k)
    log_p = joined.log_probabilities.numpy().astype(np.float32)
    depth = np.where(np.isneginf(log_p), 0, -log_p).max(-1, initial=0)
    scales = np.full(len(parts), np.finfo(np.float32).tiny, np.float32)
    np.maximum.at(scales, sequence, depth)
    codes = quantise(log_p, scales[sequence][:, None], levels(bits))
    with np.errstate(divide="ignore"):
        tails = quantise(np.log(joined.tail.numpy().astype(np.float32)), TAIL_NATS, _TAIL_LEVELS)
    gaps = to_gaps(np.searchsorted(alphabet, joined.ids.numpy().flatten()), lengths)
    low = int(rice_parameter(len(alphabet), np.array([k]))[0])

    # In each sequence: the scale, the codes, the tails, and the low bits of the gaps.
    runs = [
        (scales.view(np.uint32).astype(np.int64), np.ones(len(parts), np.int64), _SCALE_BITS),
        (codes.flatten(), positions * k, bits),
        (tails, positions, 16),
        (gaps & ((1 << low) - 1), positions * k, low),
    ]
    sizes: Ints = (np.sum([each * width for _, each, width in runs], 0) + 7) >> 3
    start = before(sizes) * 8
    offsets = []
    for values, each, width in runs:
        offsets.append(np.arange(len(values)) * width + np.repeat(start - before(each) * width, each))
        start = start + each * width
    heads = write_fields(int(sizes.sum()), np.concatenate(offsets), np.concatenate([values for values, _, _ in runs]))
    unary, unary_sizes = write_unary(gaps >> low, positions * k)
    return cut(positions, heads, sizes, unary, unary_sizes)


def decode(pieces: Pieces, k: int, bits: int) -> TopK | None:
    """What `encode` wrote, one sequence after the other; None where the bytes are not a code."""
    positions = pieces.positions
    sequence = np.repeat(np.arange(len(positions)), positions)
    scales = np.array([np.frombuffer(one.head, "<f4", 1)[0] for one in pieces.coded], np.float32)
    codes = _numbers(pieces, 4, k * bits // 8, bits).reshape(-1, k)
    tails = _numbers(pieces, 4, 2, 16, after=k * bits // 8)
    log_p = _table(levels(bits))[codes] * -scales[sequence][:, None]
    tail = np.exp(_table(_TAIL_LEVELS)[tails] * np.float32(-TAIL_NATS))
    # Rounding moved the masses; the K tokens and the tail are one distribution, so they are brought back to sum to 1.
    total = np.exp(log_p).sum(-1) + tail

    unary = read_unary(pieces.unary(), pieces.unary_sizes, positions * k)
    if unary is None or not (total > 0).all():
        return None
    low = rice_parameter(pieces.alphabet_sizes, np.full(len(positions), k))
    starts = pieces.head_bits + _SCALE_BITS + positions * (k * bits + 16)
    widths = np.repeat(low, positions * k)
    offsets = np.arange(len(widths)) * widths + np.repeat(starts - before(positions * k) * low, positions * k)
    gaps = (unary << widths) | Fields(pieces.head()).read(offsets, widths)
    places = from_gaps(gaps, np.full(len(sequence), k))
    if len(places) and (places > np.repeat(pieces.alphabet_sizes - 1, positions * k)).any():
        return None
    joined = pieces.alphabets[0] if len(pieces.alphabets) == 1 else np.concatenate(pieces.alphabets)
    ids = joined[places + np.repeat(pieces.alphabet_starts, positions * k)].reshape(-1, k)
    return TopK(torch.from_numpy(ids), torch.from_numpy(log_p - np.log(total)[:, None]), torch.from_numpy(tail / total))


def _numbers(pieces: Pieces, start: int, size: int, bits: int, after: int = 0) -> NDArray[np.uint8 | np.uint16]:
    """Whole-byte numbers of all sequences, `size` bytes a position: from byte `start` + `after` bytes a position on."""
    parts = []
    for one in pieces.coded:
        low = start + after * one.positions
        parts.append(one.head[low : low + size * one.positions])
    return np.frombuffer(b"".join(parts), "<u2" if bits == 16 else np.uint8)
