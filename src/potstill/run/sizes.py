"""What a run will take in weights, disk, memory and time, from file headers and one short measurement; no torch."""

import json
import re
import struct
import time
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from potstill.config import FullSignals, NoSignals, SampledSignals, TopKSignals
from potstill.errors import RecipeError

_LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")
_FP32_BYTES = 4
_ADAM_BYTES = 2 * _FP32_BYTES  # two moments a weight
_LISTED_BYTES = 40  # a token's text and its log-probability, as JSON
_ID_BYTES = 3  # of an id in a gap code, of any vocabulary up to 4 million
_POSITION_BYTES = 12  # entropy or tail, number of ids, and a share of header and index
_SPEED_S = 0.2
_MATRIX = 512


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a model folder: all of them, and how many are in each decoder layer."""

    parameters: int
    by_layer: tuple[int, ...]

    def pruned_to(self, layers: int) -> int:
        """Weights that are left with so many layers; which ones go is not known yet, so their mean counts."""
        if not self.by_layer:
            raise RecipeError("student: the teacher's folder shows no decoder layers to prune; take student kind model")
        if layers > len(self.by_layer):
            raise RecipeError(f"student.keep_layers: {layers}, but the teacher has {len(self.by_layer)} layers")
        gone = sum(self.by_layer) * (len(self.by_layer) - layers) // len(self.by_layer)
        return self.parameters - gone


def read_weights(folder: Path) -> Weights | None:
    """Count the weights from the headers of a folder's safetensors files; None where there are none."""
    layers: dict[int, int] = {}
    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        for name, shape in _shapes(path).items():
            count = prod(shape)
            total += count
            if found := _LAYER.search(f".{name}"):
                layers[int(found[1])] = layers.get(int(found[1]), 0) + count
    return Weights(total, tuple(layers[index] for index in sorted(layers))) if total else None


def _shapes(path: Path) -> dict[str, list[int]]:
    """Tensor shapes of a safetensors file: eight bytes of length, then a JSON header."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
    except (struct.error, ValueError, MemoryError, OverflowError) as error:
        raise RecipeError(f"{path}: not a readable safetensors file ({error})") from None
    return {name: one["shape"] for name, one in header.items() if name != "__metadata__"}


def signal_bytes(signals: SampledSignals | FullSignals | TopKSignals | NoSignals) -> int:
    """Upper estimate of what the signal store takes for a position."""
    match signals:
        case SampledSignals(draws=draws):
            return _POSITION_BYTES + draws * _ID_BYTES + draws // 4  # a count of 1 is one bit; of large ones few fit
        case TopKSignals(k=k, bits=bits):
            return _POSITION_BYTES + k * (_ID_BYTES + (bits or 16) // 8)
    return 0


def reported_bytes(signals: SampledSignals | FullSignals | TopKSignals | NoSignals) -> int:
    """Upper estimate of what a server's list of a position takes in the journal, as it reports it."""
    return _LISTED_BYTES * (1 + signals.k) if isinstance(signals, TopKSignals) else 0


def disk_bytes(student: int, students: int, signals: int, answers: int, answer_tokens: int) -> int:
    """Upper estimate of what a run folder takes: models in fp32, a checkpoint with Adam, signals, journal, table.

    `students` counts the trained ones, baselines included; `signals` are the bytes of the signal store.
    """
    models = student * _FP32_BYTES * (2 + students)  # initial, each trained one, the exported copy
    checkpoint = student * (_FP32_BYTES + _ADAM_BYTES)
    text = 2 * (answer_tokens * 8 + answers * 1024)  # text and token ids, in the journal and in the table
    return models + checkpoint + signals + text


def training_bytes(trained: int, frozen: int, teacher_beside: int) -> int:
    """Weights, gradients and Adam of what is trained, weights of what is not, and the teacher where it runs beside."""
    return trained * (2 * _FP32_BYTES + _ADAM_BYTES) + (frozen + teacher_beside) * _FP32_BYTES


def model_bytes(parameters: int) -> int:
    """A model in fp32."""
    return parameters * _FP32_BYTES


def measured_flops_per_s() -> float:
    """Floating-point operations a second of this machine's matrix product, measured for a fifth of a second."""
    left = np.ones((_MATRIX, _MATRIX), np.float32)
    left @ left  # the first call starts threads
    started, rounds = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < _SPEED_S:
        left @ left
        rounds += 1
    return rounds * 2 * _MATRIX**3 / spent
