"""All shards of a folder, memory-mapped and read by request key."""

import mmap
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from potstill.errors import PotstillError
from potstill.store.signals import sampled, top_k
from potstill.store.signals.bits import Ints
from potstill.store.signals.pieces import Pieces
from potstill.store.signals.records import Binding, Samples, TopK
from potstill.store.signals.shard import SUFFIX, Shard, digest

_MAPPED = 64  # shards mapped at a time; each holds a file descriptor


class SignalStore:
    """The signals of a run. Opening it reads headers and indices; signals come from the disk when they are asked for.

    Several processes may read one store, but one object belongs to one thread.
    """

    def __init__(self, folder: Path, expected: Binding, sequences: Mapping[str, str]) -> None:
        """`sequences` maps the request keys that training wants to the hashes of their tokens.

        Raises PotstillError, naming the file and what differs, where the store was made for something else, is
        truncated, or has a damaged header or index. `check` looks at the rest.
        """
        self._binding = expected
        self._shards: list[Shard] = []
        self._where: dict[str, tuple[int, int]] = {}
        self._mapped: OrderedDict[int, tuple[memoryview, Ints]] = OrderedDict()
        wanted = {digest(key): key for key in sequences}
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            self._add(Shard.open(path), wanted, sequences)
        for key in sequences:
            if key not in self._where:
                raise PotstillError(f"{folder}: no signals for request {key[:12]}; run the collect stage again")

    def _add(self, shard: Shard, wanted: Mapping[bytes, str], sequences: Mapping[str, str]) -> None:
        shard.require(self._binding)
        number = len(self._shards)
        self._shards.append(shard)
        for row, (found, tokens) in enumerate(shard.index[["key", "tokens"]].tolist()):
            key = wanted.get(found)
            if key is None:
                continue
            if tokens != digest(sequences[key]):
                raise PotstillError(
                    f"{shard.path}: the signals of request {key[:12]} belong to another answer; "
                    "run the collect stage again"
                )
            self._where[key] = (number, row)

    def check(self) -> None:
        """Read every file once and compare checksums. Raises PotstillError that names the file that is damaged."""
        for shard in self._shards:
            shard.check()

    def samples(self, key: str) -> Samples:
        """The samples of one answer."""
        return self.samples_of([key])

    def samples_of(self, keys: Sequence[str]) -> Samples:
        """The samples of several answers one after the other; decoding many at once is much the fastest."""
        if self._binding.draws is None:
            raise TypeError("this store holds top_k signals; read them with top_k_of")
        found = sampled.decode(self._pieces(keys), self._binding.draws, self._binding.vocabulary)
        if found is None:
            raise self._damaged(keys)
        return found

    def top_k(self, key: str) -> TopK:
        """The top-K signals of one answer."""
        return self.top_k_of([key])

    def top_k_of(self, keys: Sequence[str]) -> TopK:
        """The top-K signals of several answers one after the other: ids, log-probabilities, and the tail's mass."""
        if self._binding.k is None or self._binding.bits is None:
            raise TypeError("this store holds sampled signals; read them with samples_of")
        found = top_k.decode(self._pieces(keys), self._binding.k, self._binding.bits)
        if found is None:
            raise self._damaged(keys)
        return found

    def _pieces(self, keys: Sequence[str]) -> Pieces:
        places = [self._where[key] for key in keys]
        numbers = list(dict.fromkeys(number for number, _ in places))
        order = {number: at for at, number in enumerate(numbers)}
        opened = [self._open(number) for number in numbers]
        coded = [self._shards[number].coded(opened[order[number]][0], row) for number, row in places]
        return Pieces(
            coded, [alphabet for _, alphabet in opened], np.array([order[number] for number, _ in places], np.int64)
        )

    def _open(self, number: int) -> tuple[memoryview, Ints]:
        """A shard's bytes, mapped, and its alphabet; the least recently used one is let go for it."""
        if number in self._mapped:
            self._mapped.move_to_end(number)
            return self._mapped[number]
        shard = self._shards[number]
        with shard.path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if len(self._mapped) >= _MAPPED:
            self._mapped.popitem(last=False)
        self._mapped[number] = (content, shard.alphabet(content))
        return self._mapped[number]

    def _damaged(self, keys: Sequence[str]) -> PotstillError:
        files = sorted({str(self._shards[self._where[key][0]].path) for key in keys})
        return PotstillError(f"{', '.join(files)}: holds bytes that are no signals; run the collect stage again")
