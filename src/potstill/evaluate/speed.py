"""Speed of teacher and student, timed in turn in one process so that the ratio holds on a noisy machine."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import DynamicCache

from potstill.errors import PotstillError
from potstill.models.local import LocalModel

Prompts = Sequence[Sequence[int]]  # token ids


@dataclass(frozen=True, slots=True)
class Timings:
    """Tokens a second of each model at batch 1, one entry a prompt; the entries of one prompt were timed in turn."""

    prefill: Mapping[str, list[float]]
    decode: Mapping[str, list[float]]


@torch.inference_mode()
def time_models(models: Mapping[str, LocalModel], prompts: Mapping[str, Prompts], new_tokens: int) -> Timings:
    """Prefill each prompt and decode `new_tokens` greedily with every model, alternating; the first round warms up.

    `prompts` holds the same prompts in each model's own tokens.
    """
    prefill: dict[str, list[float]] = {name: [] for name in models}
    decode: dict[str, list[float]] = {name: [] for name in models}
    rounds = len(next(iter(prompts.values())))
    for number in range(rounds + 1):
        # The order turns around from prompt to prompt, so that a slow drift of the machine favours neither.
        names = list(models) if number % 2 else list(reversed(list(models)))
        for name in names:
            prompt = prompts[name][max(number - 1, 0)]
            first, rest = _time_once(models[name], prompt, new_tokens)
            if number > 0:
                prefill[name].append(len(prompt) / first)
                decode[name].append((new_tokens - 1) / rest)
    return Timings(prefill, decode)


def in_texts(timings: Timings, prompts: Mapping[str, Prompts], bytes_per_token: Mapping[str, float]) -> Timings:
    """The same timings as prompts read and bytes written a second: what two models with other tokens compare by."""
    prefill = {
        name: [rate / len(prompt) for rate, prompt in zip(rates, prompts[name], strict=True)]
        for name, rates in timings.prefill.items()
    }
    decode = {name: [rate * bytes_per_token[name] for rate in rates] for name, rates in timings.decode.items()}
    return Timings(prefill, decode)


def _time_once(model: LocalModel, prompt: Sequence[int], new_tokens: int) -> tuple[float, float]:
    """Seconds until the first token, and for the `new_tokens` - 1 after it."""
    cache = DynamicCache(config=model.network.config)
    started = time.perf_counter()
    tokens = torch.tensor([list(prompt)])
    taken = _next(model, tokens, cache)
    first = time.perf_counter()
    for _ in range(new_tokens - 1):
        taken = _next(model, taken, cache)
    return first - started, time.perf_counter() - first


def _next(model: LocalModel, tokens: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
    logits = model.network(input_ids=tokens, cache=cache, use_cache=True, logits_to_keep=1).logits
    taken: torch.Tensor = logits[:, -1].argmax(-1, keepdim=True)
    return taken


def peak_memory_bytes(folders: Mapping[str, Path], prompts: Mapping[str, Prompts], new_tokens: int) -> dict[str, int]:
    """Peak resident memory of loading and answering the first prompt, each model in a process of its own.

    Raises PotstillError with the child's last words where one fails.
    """
    names = list(folders)
    jobs = [
        {"folder": str(folders[name]), "prompt": list(prompts[name][0]), "new_tokens": new_tokens} for name in names
    ]
    # A fork of a process with other libraries' threads is not safe everywhere: only where it is, one process imports
    # for all of them.
    together = [jobs] if sys.platform == "linux" else [[job] for job in jobs]
    peaks: list[int] = []
    for some in together:
        done = subprocess.run(
            [sys.executable, "-m", "potstill.evaluate.memory"],
            input=json.dumps(some), capture_output=True, text=True, check=False,
        )  # fmt: skip
        peaks += [int(line) for line in done.stdout.split()]
        if done.returncode != 0:
            words = (done.stderr.splitlines() or ["no words"])[-1]
            raise PotstillError(f"measuring the memory of the {names[len(peaks)]} failed: {words}")
    return dict(zip(names, peaks, strict=True))
