"""The chunked head alone: milliseconds a position and peak memory from 1x to 8x the positions, each in a process.

    make benchmark-scaling

The sizes of SmolLM2 (V = 49,152, D = 576), random states and weights, bf16 products, forward KL against a live
teacher's head, both gradients. Beside it the same loss with logits held whole and gradients by autograd, and the
chunked head with autograd inside its chunks; then every other objective in the chunked head.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from potstill.objectives import KINDS, chunked_sum, per_position
from potstill.objectives.gradients import Part
from potstill.objectives.head import differentiable
from potstill.objectives.packed import dense_loss

VOCABULARY, WIDTH = 49_152, 576
POSITIONS = (512, 1024, 2048, 4096)
WAYS = ("chunked", "chunked, gradients by autograd", "whole logits")
REPEATS = 3


def main() -> None:
    print(f"V = {VOCABULARY:,}, D = {WIDTH}, bf16, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'':>32} {'positions':>9} {'ms a position':>13} {'peak GB':>8} (above what is loaded)")
    for way in WAYS:
        for positions in POSITIONS:
            show(way, "forward_kl", positions)
    for kind in KINDS:
        if kind not in ("forward_kl", "cross_entropy"):
            show("chunked", kind, 1024)
    print(f"{'':>32} {'tokens':>9} {'ms, bf16':>13} {'ms, fp32':>8} (a layer's attention, forward and backward)")
    for batch, tokens in ((8, 64), (8, 156), (8, 256), (4, 512), (4, 1024)):
        narrow, wide = (attention_ms(batch, tokens, dtype) for dtype in (torch.bfloat16, torch.float32))
        print(f"{f'attention, {batch} sequences':>32} {tokens:9,} {narrow:13.1f} {wide:8.1f}")


def show(way: str, kind: str, positions: int) -> None:
    command = [sys.executable, __file__, way, kind, str(positions)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    name = way if kind == "forward_kl" else f"{way}, {kind}"
    print(f"{name:>32} {positions:9,} {found['ms']:13.3f} {found['peak'] / 1e9:8.2f}", flush=True)


def measure(way: str, kind: str, positions: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    states, theirs = draw(positions, WIDTH).bfloat16().requires_grad_(), draw(positions, WIDTH).bfloat16()
    weight, their_weight = draw(VOCABULARY, WIDTH).mul_(0.05).requires_grad_(), draw(VOCABULARY, WIDTH).mul_(0.05)
    narrow = their_weight.bfloat16()

    def outputs(start: int, stop: int) -> Tensor:
        return theirs[start:stop] @ narrow.T

    def loss(logits: Tensor, start: int, stop: int) -> Tensor:
        return per_position(kind, logits, outputs(start, stop).float()).sum()

    def once() -> Tensor:
        match way:
            case "chunked":
                return chunked_sum(states, weight, None, dense_loss([Part(kind)], outputs))
            case "chunked, gradients by autograd":
                return chunked_sum(states, weight, None, differentiable(loss), block=1 << 30)
            case _:
                return loss((states @ weight.to(states.dtype).T).float(), 0, positions)

    chunked_sum(states[:64], weight, None, dense_loss([Part(kind)], outputs)).backward()  # what is loaded once
    before, spent = resident("VmRSS"), []
    for _ in range(REPEATS):
        states.grad = weight.grad = None
        started = time.perf_counter()
        once().backward()
        spent.append(time.perf_counter() - started)
    ms = sorted(spent)[REPEATS // 2] / positions * 1e3
    print(json.dumps({"ms": ms, "peak": max(resident("VmHWM") - before, 0)}))


def attention_ms(batch: int, tokens: int, dtype: torch.dtype) -> float:
    """Causal attention of 9 heads of width 64 on 3 key heads, as in SmolLM2: milliseconds, the median of seven."""
    q, k, v = (torch.randn(batch, heads, tokens, 64, dtype=dtype, requires_grad=True) for heads in (9, 3, 3))
    gradient, spent = torch.randn(batch, 9, tokens, 64, dtype=dtype), []
    for _ in range(7):
        started = time.perf_counter()
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).backward(gradient)
        spent.append(time.perf_counter() - started)
    return sorted(spent)[3] * 1e3


def resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this benchmark reads /proc, which only Linux has")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
