"""Files and stores: what is written is read, what does not belong or is damaged is refused by name."""

import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
import torch

from potstill.errors import PotstillError
from potstill.store.signals import (
    Binding,
    Samples,
    Shard,
    Signals,
    SignalStore,
    TopK,
    encode_sampled,
    encode_top_k,
    write_shard,
)
from potstill.store.signals import store as reading

VOCABULARY = 700
SAMPLED = Binding("tokenizer", "teacher", VOCABULARY, draws=50, reference="path:/models/teacher")
TOP_K = Binding("tokenizer", "teacher", VOCABULARY, kind="top_k", k=9, bits=16)
LOGITS = torch.randn(40, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 2
CUTS = [slice(0, 5), slice(5, 6), slice(6, 6), slice(6, 40)]
KEYS = [f"request {number}" for number in range(len(CUTS))]
TOKENS = {key: f"tokens of {key}" for key in KEYS}


def signals_of(binding: Binding, cut: slice) -> Signals:
    rows = LOGITS[cut]
    if binding.k is not None:
        return encode_top_k(rows, binding.k)
    return encode_sampled(rows, torch.full((len(rows),), 0.3, dtype=torch.float64), binding.draws or 1)


def write(folder: Path, binding: Binding = SAMPLED) -> Path:
    path = folder / "00000.signals"
    write_shard(
        path, binding, {key: (TOKENS[key], signals_of(binding, cut)) for key, cut in zip(KEYS, CUTS, strict=True)}
    )
    return path


def assert_same(found: Signals, expected: Signals) -> None:
    if isinstance(found, Samples) and isinstance(expected, Samples):
        for name in ("ids", "counts", "lengths"):
            assert torch.equal(getattr(found, name), getattr(expected, name))
        torch.testing.assert_close(found.entropy, expected.entropy, atol=6e-5, rtol=0)
    else:
        assert isinstance(found, TopK)
        assert isinstance(expected, TopK)
        assert torch.equal(found.ids, expected.ids)
        torch.testing.assert_close(found.log_probabilities, expected.log_probabilities, atol=2e-3, rtol=0)
        torch.testing.assert_close(found.tail, expected.tail, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("binding", [SAMPLED, TOP_K, replace(TOP_K, bits=8, k=1), replace(TOP_K, k=VOCABULARY)])
def test_any_sequence_is_read_alone_and_in_any_company(binding: Binding, tmp_path: Path) -> None:
    write(tmp_path, binding)
    store = SignalStore(tmp_path, binding, TOKENS)
    store.check()
    one, several = (store.samples, store.samples_of) if binding.kind == "sampled" else (store.top_k, store.top_k_of)
    if binding.bits == 8:
        return
    for key, cut in zip(KEYS, CUTS, strict=True):
        assert_same(one(key), signals_of(binding, cut))
    rows = torch.cat([torch.arange(40)[CUTS[at]] for at in (3, 0, 3, 2, 1)])
    whole = signals_of(binding, slice(0, 40))
    assert_same(several([KEYS[at] for at in (3, 0, 3, 2, 1)]), whole.select(rows))


def test_shards_with_alphabets_of_their_own_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MAPPED", 2)
    order = []
    for number in range(0, 40, 4):
        cut = slice(number, number + 4)
        write_shard(tmp_path / f"{number:05d}.signals", SAMPLED, {f"key {number}": ("t", signals_of(SAMPLED, cut))})
        order.append((f"key {number}", torch.arange(40)[cut]))
    store = SignalStore(tmp_path, SAMPLED, {key: "t" for key, _ in order})
    order = [order[at] for at in (7, 2, 9, 0, 3, 3, 5)]
    whole = signals_of(SAMPLED, slice(0, 40))
    assert_same(store.samples_of([key for key, _ in order]), whole.select(torch.cat([rows for _, rows in order])))


def test_the_other_kind_is_not_read_by_accident(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(TypeError, match="samples_of"):
        SignalStore(tmp_path, SAMPLED, TOKENS).top_k(KEYS[0])
    with pytest.raises(ValueError, match="not of kind top_k"):
        write_shard(tmp_path / "x.signals", TOP_K, {"key": ("t", signals_of(SAMPLED, CUTS[0]))})
    for wrong in ({"draws": None}, {"k": 5}, {"kind": "top_k"}):
        with pytest.raises(ValueError, match="takes"):
            replace(SAMPLED, **wrong)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokenizer_sha256": "other"}, "tokenizer_sha256 tokenizer, but this run has other"),
        ({"teacher": "other"}, "teacher teacher, but this run has other"),
        ({"draws": 20}, "draws 50, but this run has 20"),
        ({"temperature": 2.0}, r"temperature 1.0, but this run has 2.0"),
        ({"vocabulary": 701}, "vocabulary 700, but this run has 701"),
        ({"kind": "top_k", "draws": None, "k": 9, "bits": 16}, "kind sampled, but this run has top_k"),
    ],
)
def test_a_store_for_something_else_is_refused_by_name(change: dict[str, object], words: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(PotstillError, match=f"{path.name}: made for {words}"):
        SignalStore(tmp_path, replace(SAMPLED, **change), {})


@pytest.mark.parametrize(("change", "words"), [({"k": 8}, "k 9, but this run has 8"), ({"bits": 8}, "bits 16, but")])
def test_a_top_k_store_of_another_k_or_precision_is_refused(change: dict[str, int], words: str, tmp_path: Path) -> None:
    path = write(tmp_path, TOP_K)
    with pytest.raises(PotstillError, match=f"{path.name}: made for {words}"):
        SignalStore(tmp_path, replace(TOP_K, **change), {})


def test_what_the_teacher_was_called_may_change(tmp_path: Path) -> None:
    write(tmp_path)
    moved = SignalStore(tmp_path, replace(SAMPLED, reference="path:/elsewhere"), TOKENS)
    assert_same(moved.samples_of(KEYS), SignalStore(tmp_path, SAMPLED, TOKENS).samples_of(KEYS))


def test_other_sequences_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(PotstillError, match=f"{tmp_path}: no signals for request another"):
        SignalStore(tmp_path, SAMPLED, {**TOKENS, "another request": "t"})
    with pytest.raises(PotstillError, match=f"{path.name}: the signals of request request 1 belong to another answer"):
        SignalStore(tmp_path, SAMPLED, {**TOKENS, KEYS[1]: "other tokens"})


@pytest.mark.parametrize("kept", [0, 5, 8, 31, 40, 400, -30, -1])
def test_a_truncated_file_is_refused_when_it_is_opened(kept: int, tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(PotstillError, match=rf"{path.name}: (truncated|not a signals file)"):
        SignalStore(tmp_path, SAMPLED, TOKENS)


def test_a_file_that_has_grown_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(PotstillError, match=f"{path.name}: longer than it was written"):
        SignalStore(tmp_path, SAMPLED, TOKENS)


@pytest.mark.parametrize("binding", [SAMPLED, TOP_K])
def test_every_flipped_bit_is_found_before_training(binding: Binding, tmp_path: Path) -> None:
    """In header and index when the store is opened, in the payload when it is checked."""
    path = write(tmp_path, binding)
    good = path.read_bytes()
    payload = int(Shard.open(path).offsets[0])
    for place in [
        *range(0, payload, 7),
        *range(payload, len(good), max(1, (len(good) - payload) // 200)),
        len(good) - 1,
    ]:
        path.write_bytes(good[:place] + bytes([good[place] ^ (1 << place % 8)]) + good[place + 1 :])
        if place < payload:
            with pytest.raises(PotstillError, match=path.name):
                SignalStore(tmp_path, binding, TOKENS)
            continue
        opened = SignalStore(tmp_path, binding, TOKENS)
        with pytest.raises(PotstillError, match=path.name):
            opened.check()
    path.write_bytes(good)
    SignalStore(tmp_path, binding, TOKENS).check()


def test_damage_in_the_payload_names_the_sequence(tmp_path: Path) -> None:
    path = write(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(PotstillError, match=f"{path.name}: damaged, sequence 4 of 4 does not match its checksum"):
        SignalStore(tmp_path, SAMPLED, TOKENS).check()


def test_other_files_and_other_versions_are_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path)
    good = path.read_bytes()
    path.write_bytes(b"PK\x03\x04" + good[4:])
    with pytest.raises(PotstillError, match=f"{path.name}: not a signals file"):
        SignalStore(tmp_path, SAMPLED, TOKENS)
    path.write_bytes(good[:8] + struct.pack("<I", 3) + good[12:])
    with pytest.raises(PotstillError, match=f"{path.name}: format version 3, but this Potstill reads 2"):
        SignalStore(tmp_path, SAMPLED, TOKENS)
    path.unlink()
    path.mkdir()
    with pytest.raises(PotstillError, match=f"{path.name}: cannot be read"):
        SignalStore(tmp_path, SAMPLED, TOKENS)


def test_bytes_that_match_their_checksums_but_are_no_code_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    shard, content = Shard.open(path), bytearray(path.read_bytes())
    start, size = int(shard.offsets[3]), int(shard.index[3]["bytes"])
    content[start + int(shard.index[3]["unary"]) : start + size] = bytes(size - int(shard.index[3]["unary"]))
    top = int(shard.offsets[0]) - 4
    entry = shard.alphabet_at[0] - 4
    content[entry : entry + 4] = struct.pack("<I", crc32(content[start : start + size]))
    content[top : top + 4] = struct.pack("<I", crc32(content[:top]))
    path.write_bytes(content)
    store = SignalStore(tmp_path, SAMPLED, TOKENS)
    store.check()
    with pytest.raises(PotstillError, match=f"{path.name}: holds bytes that are no signals"):
        store.samples_of(KEYS)


CHILD = """
import sys, torch
from pathlib import Path
from potstill.store.signals import Binding, encode_sampled, write_shard
bound = Binding("t", "r", 700, 50)
found = encode_sampled(torch.randn(1000, 700), torch.rand(1000), 50)
for number in range(10_000):
    write_shard(Path(sys.argv[1]) / f"{number % 3}.signals", bound, {"key": ("tokens", found)})
    if number == 0:
        print("ready", flush=True)
"""


def test_a_kill_while_writing_leaves_no_half_shard(tmp_path: Path) -> None:
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(random.Random(1).uniform(0.05, 0.3))
            os.kill(child.pid, signal.SIGKILL)
        whole = list(tmp_path.glob("*.signals"))
        assert whole
        for path in whole:
            Shard.open(path).check()
        assert {path.suffix for path in tmp_path.iterdir()} <= {".signals", ".partial"}


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_dying_at_any_step_leaves_the_old_file_or_none(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DiesError(BaseException):
        pass

    def dies(*_: object) -> None:
        raise DiesError

    path = write(tmp_path)
    before = path.read_bytes()
    targets: dict[str, Callable[[], None]] = {
        "write": lambda: monkeypatch.setattr("potstill.store.signals.shard._CHECKSUM", None),
        "fsync": lambda: monkeypatch.setattr(os, "fsync", dies),
        "replace": lambda: monkeypatch.setattr(Path, "replace", dies),
    }
    targets[step]()
    with pytest.raises((DiesError, AttributeError)):
        write_shard(path, replace(SAMPLED, reference=None), {"key": ("t", signals_of(SAMPLED, CUTS[0]))})
    assert path.read_bytes() == before


# In a process of its own: what other tests leave behind, and what they make the allocator keep, is not counted.
_WATCH = """
import sys, tracemalloc
from pathlib import Path
from potstill.store.signals import Binding, SignalStore

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])

folder, k, sequences = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
bound = Binding("tokenizer", "teacher", 8192, kind="top_k", k=k, bits=16)
before = anonymous()
tracemalloc.start()
store = SignalStore(folder, bound, {f"key {number}": "t" for number in range(sequences)})
store.check()
opened = tracemalloc.get_traced_memory()[0]
store.top_k("key 5")
print(opened, tracemalloc.get_traced_memory()[0], anonymous() - before)
"""


def test_opening_a_store_does_not_hold_the_payload_in_memory(tmp_path: Path) -> None:
    """14 MB of payload, of which opening and checking keep little, and so does reading one sequence."""
    k, positions, sequences = 4096, 64, 24
    bound = Binding("tokenizer", "teacher", 8192, kind="top_k", k=k, bits=16)
    rows = encode_top_k(torch.randn(positions, 8192), k)
    write_shard(tmp_path / "0.signals", bound, {f"key {number}": ("t", rows) for number in range(sequences)})
    size = (tmp_path / "0.signals").stat().st_size
    assert size > 13 << 20
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, str(tmp_path), str(k), str(sequences)],
        capture_output=True,
        text=True,
        check=True,
    )
    opened, read, grown = map(int, done.stdout.split())
    assert opened < size // 20
    assert read < size // 20
    assert grown < size // 2
