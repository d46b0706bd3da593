"""docs/signals.md to the byte: a reader written from that page alone, bit by bit, finds what was stored."""

import json
import struct
from hashlib import sha256
from math import exp, log
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import torch

from potstill.store.signals import Binding, encode_sampled, encode_top_k, write_shard

VOCABULARY, POSITIONS = 3000, (7, 1, 0, 12)
LOGITS = torch.randn(20, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 3


class Bits:
    """A stream, least significant bit first."""

    def __init__(self, data: bytes) -> None:
        self.number, self.at = int.from_bytes(data, "little"), 0

    def take(self, width: int) -> int:
        value = self.number >> self.at & ((1 << width) - 1)
        self.at += width
        return value

    def unary(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return zeros


def rice(alphabet: int, length: int) -> int:
    return max((2 * alphabet // (3 * length)).bit_length() - 1, 0)


def read(path: Path) -> tuple[dict[str, Any], list[int], list[tuple[bytes, bytes, int, bytes, bytes]]]:
    """The header, the alphabet, and key, tokens, positions, head and unary part of each sequence."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PSIG\r\n\x1a"
    version, json_bytes, count, alphabet_bytes, payload_bytes = struct.unpack("<IIIIQ", data[8:32])
    assert version == 2
    header = json.loads(data[32 : 32 + json_bytes])
    index_at = 32 + json_bytes
    alphabet_at = index_at + 48 * count
    payload_at = alphabet_at + alphabet_bytes + 4
    assert crc32(data[: payload_at - 4]) == int.from_bytes(data[payload_at - 4 : payload_at], "little")
    assert len(data) == payload_at + payload_bytes
    sequences = []
    at = payload_at
    for number in range(count):
        entry = data[index_at + 48 * number : index_at + 48 * (number + 1)]
        positions, size, unary, checksum = struct.unpack("<IIII", entry[32:])
        code = data[at : at + size]
        assert crc32(code) == checksum
        sequences.append((entry[:16], entry[16:32], positions, code[:unary], code[unary:]))
        at += size
    return (
        header,
        read_alphabet(data[alphabet_at : payload_at - 4], header["alphabet"], header["vocabulary"]),
        sequences,
    )


def read_alphabet(code: bytes, size: int, vocabulary: int) -> list[int]:
    width = rice(vocabulary, size)
    low_bytes = (width * size + 7) // 8
    low, high = Bits(code[:low_bytes]), Bits(code[low_bytes:])
    ids, last = [], -1
    for _ in range(size):
        last += (high.unary() << width | low.take(width)) + 1
        ids.append(last)
    return ids


def ids_of(length: int, alphabet: list[int], fields: Bits, quotients: list[int]) -> list[int]:
    width, last, ids = rice(len(alphabet), length), -1, []
    for _ in range(length):
        last += (quotients.pop(0) << width | fields.take(width)) + 1
        ids.append(alphabet[last])
    return ids


@pytest.mark.parametrize("draws", [1, 50, 3000])
def test_sampled(draws: int, tmp_path: Path) -> None:
    bound = Binding("tokenizer", "revision", VOCABULARY, draws, reference="path:teacher")
    parts = [encode_sampled(rows, torch.rand(len(rows)), draws) for rows in LOGITS.split(POSITIONS)]
    write_shard(tmp_path / "a.signals", bound, {f"key {at}": (f"tokens {at}", one) for at, one in enumerate(parts)})
    header, alphabet, sequences = read(tmp_path / "a.signals")
    assert header == {
        "alphabet": len(alphabet), "bits": None, "draws": draws, "k": None, "kind": "sampled",
        "reference": "path:teacher", "teacher": "revision", "temperature": 1.0, "tokenizer_sha256": "tokenizer",
        "vocabulary": VOCABULARY,
    }  # fmt: skip
    assert alphabet == sorted(set(torch.cat([one.ids for one in parts]).tolist()))
    for at, ((key, tokens, positions, head, unary), expected) in enumerate(zip(sequences, parts, strict=True)):
        assert key == sha256(f"key {at}".encode()).digest()[:16]
        assert tokens == sha256(f"tokens {at}".encode()).digest()[:16]
        assert positions == POSITIONS[at]
        fields, ones = Bits(head), Bits(unary)
        entropy = [fields.take(16) * log(VOCABULARY) / 65535 for _ in range(positions)]
        lengths = [fields.take((min(draws, VOCABULARY) - 1).bit_length()) + 1 for _ in range(positions)]
        quotients = [ones.unary() for _ in range(sum(lengths))]
        digits = [ones.unary() for _ in range(sum(lengths) - positions)]
        ids = [token for length in lengths for token in ids_of(length, alphabet, fields, quotients)]
        counts = []
        for length in lengths:
            told = [1 << width | fields.take(width) for width in [digits.pop(0) for _ in range(length - 1)]]
            counts += [*told, draws - sum(told)]
        assert (ids, counts, lengths) == (expected.ids.tolist(), expected.counts.tolist(), expected.lengths.tolist())
        assert entropy == pytest.approx(expected.entropy.tolist(), abs=log(VOCABULARY) / 131070 + 1e-6)
        assert len(head) == (fields.at + 7) // 8
        assert len(unary) == (ones.at + 7) // 8


@pytest.mark.parametrize(("k", "bits"), [(1, 8), (20, 8), (20, 16), (VOCABULARY, 16)])
def test_top_k(k: int, bits: int, tmp_path: Path) -> None:
    bound = Binding("tokenizer", "revision", VOCABULARY, None, 2.0, "top_k", k, bits)
    parts = [encode_top_k(rows, k) for rows in LOGITS.split(POSITIONS)]
    write_shard(tmp_path / "a.signals", bound, {f"key {at}": ("tokens", one) for at, one in enumerate(parts)})
    header, alphabet, sequences = read(tmp_path / "a.signals")
    assert (header["kind"], header["k"], header["bits"], header["temperature"]) == ("top_k", k, bits, 2.0)
    largest = 2**bits - 2
    for (_, _, positions, head, unary), expected in zip(sequences, parts, strict=True):
        fields, ones = Bits(head), Bits(unary)
        (scale,) = struct.unpack("<f", fields.take(32).to_bytes(4, "little"))
        codes = [[fields.take(bits) for _ in range(k)] for _ in range(positions)]
        tails = [fields.take(16) for _ in range(positions)]
        quotients = [ones.unary() for _ in range(positions * k)]
        ids = [ids_of(k, alphabet, fields, quotients) for _ in range(positions)]
        assert ids == expected.ids.tolist()
        for at in range(positions):
            p = [exp(-scale * (code / largest) ** 2) if code <= largest else 0.0 for code in codes[at]]
            tail = exp(-100 * (tails[at] / 65534) ** 2) if tails[at] <= 65534 else 0.0
            total = sum(p) + tail
            assert [one / total for one in p] == pytest.approx(
                expected.log_probabilities[at].exp().tolist(), abs=1e-2 if bits == 8 else 1e-4
            )
            assert tail / total == pytest.approx(expected.tail[at].item(), abs=1e-2 if bits == 8 else 1e-4)
        assert len(head) == (fields.at + 7) // 8
        assert len(unary) == (ones.at + 7) // 8
