"""One file of signals: a header that says what it holds for, an index of its sequences, and their codes.

Laid out to the byte in docs/signals.md.
"""

import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from potstill.errors import PotstillError
from potstill.records import canonical_json
from potstill.store.signals import sampled, top_k
from potstill.store.signals.bits import Ints, before
from potstill.store.signals.idsets import read_alphabet, write_alphabet
from potstill.store.signals.pieces import Coded
from potstill.store.signals.records import BOUND, Binding, Samples, Signals, TopK

FORMAT_VERSION = 2  # 1 was a safetensors file
SUFFIX = ".signals"
MAGIC = b"\x89PSIG\r\n\x1a"  # not text: whatever turns line ends or strips the high bit shows at once
_PREFIX = struct.Struct("<8sIIIIQ")  # magic, version, bytes of JSON, sequences, bytes of the alphabet, of the payload
_CHECKSUM = struct.Struct("<I")
_ENTRY = np.dtype(
    [("key", "V16"), ("tokens", "V16"), ("positions", "<u4"), ("bytes", "<u4"), ("unary", "<u4"), ("crc32", "<u4")]
)
_DIGEST_BYTES = 16
_ENTRIES_AT_ONCE = 1 << 20  # coded in one go; bounds the memory of writing
_AGAIN = "run the collect stage again"


def digest(text: str) -> bytes:
    """What stands in the index for a request's key or for the hash of its tokens."""
    return sha256(text.encode()).digest()[:_DIGEST_BYTES]


def write_shard(path: Path, binding: Binding, sequences: Mapping[str, tuple[str, Signals]]) -> None:
    """Write one shard durably: `sequences` maps a request's key to the hash of its tokens and its signals.

    Raises ValueError where the signals are not of the binding's kind, draws or K; OSError where the disk refuses.
    Killed at any moment, it leaves the whole file or none under that name.
    """
    signals = [one for _, one in sequences.values()]
    ids = [one.ids.numpy().ravel() for one in signals]
    alphabet, alphabet_code = write_alphabet(np.concatenate([np.zeros(0, np.int64), *ids]), binding.vocabulary)
    coded = [one for group in _groups(signals) for one in _encode(group, alphabet, binding)]
    if any(len(one.head) + len(one.unary) >= 1 << 32 for one in coded):
        raise ValueError("a sequence takes over 4 GiB; store fewer ids a position")
    rows = [
        (digest(key), digest(tokens), one.positions, len(one.head) + len(one.unary), len(one.head),
         crc32(one.unary, crc32(one.head)))
        for (key, (tokens, _)), one in zip(sequences.items(), coded, strict=True)
    ]  # fmt: skip
    index = np.array(rows, _ENTRY)
    header = canonical_json({**asdict(binding), "alphabet": len(alphabet)}).encode()
    prefix = _PREFIX.pack(
        MAGIC, FORMAT_VERSION, len(header), len(coded), len(alphabet_code), int(index["bytes"].sum(dtype=np.int64))
    )
    top = prefix + header + index.tobytes() + alphabet_code
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(top + _CHECKSUM.pack(crc32(top)))
        file.writelines(part for one in coded for part in (one.head, one.unary))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _groups(signals: Sequence[Signals]) -> Iterator[list[Signals]]:
    group: list[Signals] = []
    entries = 0
    for one in signals:
        group.append(one)
        entries += one.ids.numel()
        if entries >= _ENTRIES_AT_ONCE:
            yield group
            group, entries = [], 0
    if group:
        yield group


def _encode(group: Sequence[Signals], alphabet: Ints, binding: Binding) -> list[Coded]:
    samples = [one for one in group if isinstance(one, Samples)]
    tops = [one for one in group if isinstance(one, TopK)]
    if binding.draws is not None and len(samples) == len(group):
        return sampled.encode(samples, alphabet, binding.draws, binding.vocabulary)
    if binding.k is not None and binding.bits is not None and len(tops) == len(group):
        return top_k.encode(tops, alphabet, binding.k, binding.bits)
    raise ValueError(f"these signals are not of kind {binding.kind}")


@dataclass(frozen=True, slots=True)
class Shard:
    """An opened file: everything but its alphabet and its payload, which stay on the disk."""

    path: Path
    binding: Binding
    index: NDArray[Any]
    offsets: Ints  # (S,): where in the file each sequence begins
    alphabet_at: tuple[int, int, int]  # where it begins and ends in the file, and how many ids it has

    @classmethod
    def open(cls, path: Path) -> "Shard":
        """Read header and index. Raises PotstillError, naming the file, where it is not a whole file of this format."""
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                prefix = file.read(_PREFIX.size)
                if prefix[: len(MAGIC)] != MAGIC[: len(prefix)] or not prefix:
                    raise PotstillError(f"{path}: not a signals file; {_AGAIN}")
                if len(prefix) < _PREFIX.size:
                    raise PotstillError(f"{path}: truncated, it ends after {size} bytes; {_AGAIN}")
                _, version, json_bytes, sequences, alphabet_bytes, payload_bytes = _PREFIX.unpack(prefix)
                if version != FORMAT_VERSION:
                    raise PotstillError(
                        f"{path}: format version {version}, but this Potstill reads {FORMAT_VERSION}; {_AGAIN}"
                    )
                top_bytes = _PREFIX.size + json_bytes + sequences * _ENTRY.itemsize + alphabet_bytes
                whole = top_bytes + _CHECKSUM.size + payload_bytes
                if size < top_bytes + _CHECKSUM.size:
                    raise PotstillError(f"{path}: truncated, {size:,} of {whole:,} bytes; {_AGAIN}")
                top = prefix + file.read(top_bytes - _PREFIX.size)
                (checksum,) = _CHECKSUM.unpack(file.read(_CHECKSUM.size))
        except OSError as error:
            raise PotstillError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from None
        if crc32(top) != checksum:
            raise PotstillError(f"{path}: damaged, its header and index do not match their checksum; {_AGAIN}")
        if size != whole:
            words = "truncated," if size < whole else "longer than it was written:"
            raise PotstillError(f"{path}: {words} {size:,} of {whole:,} bytes; {_AGAIN}")
        facts = json.loads(top[_PREFIX.size : _PREFIX.size + json_bytes])
        alphabet_size = int(facts.pop("alphabet"))
        index = np.frombuffer(top, _ENTRY, sequences, _PREFIX.size + json_bytes)
        offsets = before(index["bytes"]) + top_bytes + _CHECKSUM.size
        alphabet_at = (top_bytes - alphabet_bytes, top_bytes, alphabet_size)
        return cls(path, Binding(**facts), index, offsets, alphabet_at)

    def require(self, expected: Binding) -> None:
        """Raise PotstillError, naming what differs, where the file was made for something else."""
        for name in BOUND:
            found, wanted = getattr(self.binding, name), getattr(expected, name)
            if found != wanted:
                raise PotstillError(f"{self.path}: made for {name} {found}, but this run has {wanted}; {_AGAIN}")

    def check(self) -> None:
        """Read the whole payload once, a sequence at a time. Raises PotstillError where a checksum does not match."""
        with self.path.open("rb") as file:
            file.seek(int(self.offsets[0]) if len(self.offsets) else 0)
            for number, entry in enumerate(self.index):
                if crc32(file.read(int(entry["bytes"]))) != entry["crc32"]:
                    raise PotstillError(
                        f"{self.path}: damaged, sequence {number + 1} of {len(self.index)} does not match its "
                        f"checksum; {_AGAIN}"
                    )

    def alphabet(self, content: memoryview) -> Ints:
        """The ids that the file uses, from its bytes."""
        start, stop, size = self.alphabet_at
        found = read_alphabet(bytes(content[start:stop]), size, self.binding.vocabulary)
        if found is None:
            raise PotstillError(f"{self.path}: damaged, its alphabet cannot be read; {_AGAIN}")
        return found

    def coded(self, content: memoryview, row: int) -> Coded:
        """The code of one sequence, from the file's bytes."""
        entry, start = self.index[row], int(self.offsets[row])
        middle, stop = start + int(entry["unary"]), start + int(entry["bytes"])
        return Coded(int(entry["positions"]), bytes(content[start:middle]), bytes(content[middle:stop]))
