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
from potstill.models.prefix import left_pad

Prompts = Sequence[Sequence[int]]  # token ids
Rounds = Sequence[Prompts]  # of each timing, the prompts that are answered together
_WARM_UP_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Timings:
    """What each model did in each round; the entries of one round were timed in turn.

    `prefill`: tokens of prompts read a second, padding not counted. `decode`: new tokens written a second, those of all
    prompts of the round together. `first_token_s`: seconds from the prompts as text to the first token of each.
    """

    prefill: Mapping[str, list[float]]
    decode: Mapping[str, list[float]]
    first_token_s: Mapping[str, list[float]]


def rounds_of(prompts: Prompts, together: int, count: int) -> list[list[Sequence[int]]]:
    """`count` rounds of so many prompts `together`, in order; where there are no more, the first ones come again."""
    return [
        [prompts[(number * together + row) % len(prompts)] for row in range(together)] for number in range(count)
    ]  # fmt: skip


@torch.inference_mode()
def time_models(models: Mapping[str, LocalModel], rounds: Mapping[str, Rounds], new_tokens: int) -> Timings:
    """Prefill the prompts of each round and decode `new_tokens` greedily for each, every model in turn.

    `rounds` holds the same prompts in each model's own tokens. The first round is gone through once more before all
    others, with few tokens and without being counted: it warms up. No answer ends early, so that all write as much.
    """
    found = Timings(*({name: [] for name in models} for _ in range(3)))
    for number in range(-1, len(next(iter(rounds.values())))):
        # The order turns around from round to round, so that a slow drift of the machine favours neither.
        names = list(models) if number % 2 else list(reversed(list(models)))
        for name in names:
            prompts = rounds[name][max(number, 0)]
            if number < 0:
                _time_once(models[name], prompts, min(new_tokens, _WARM_UP_TOKENS))
                continue
            reading, prefilling, decoding = _time_once(models[name], prompts, new_tokens)
            found.prefill[name].append(sum(map(len, prompts)) / prefilling)
            found.decode[name].append(len(prompts) * (new_tokens - 1) / decoding)
            found.first_token_s[name].append(reading + prefilling)
    return found


def in_texts(timings: Timings, rounds: Mapping[str, Rounds], bytes_per_token: Mapping[str, float]) -> Timings:
    """The same timings as prompts read and bytes written a second: what two models with other tokens compare by."""
    prefill = {
        name: [
            rate * len(prompts) / sum(map(len, prompts)) for rate, prompts in zip(rates, rounds[name], strict=True)
        ]
        for name, rates in timings.prefill.items()
    }  # fmt: skip
    decode = {name: [rate * bytes_per_token[name] for rate in rates] for name, rates in timings.decode.items()}
    return Timings(prefill, decode, timings.first_token_s)


def _time_once(model: LocalModel, prompts: Prompts, new_tokens: int) -> tuple[float, float, float]:
    """Seconds of cutting the prompts' text into tokens, of their first new tokens, and of the others after these."""
    texts = [model.tokenizer.decode(prompt) for prompt in prompts]
    end = model.tokenizer.eos_token_id
    cache = DynamicCache(config=model.network.config)
    started = time.perf_counter()
    for text in texts:
        model.tokenizer(text, add_special_tokens=False)
    read = time.perf_counter()
    tokens, mask = left_pad(prompts, end if end is not None else 0)
    padded = not bool(mask.all())
    taken = _next(model, tokens, mask if padded else None, cache)
    first = time.perf_counter()
    for _ in range(new_tokens - 1):
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], 1) if padded else mask
        taken = _next(model, taken, mask if padded else None, cache)
    return read - started, first - read, time.perf_counter() - first


def _next(model: LocalModel, tokens: torch.Tensor, mask: torch.Tensor | None, cache: DynamicCache) -> torch.Tensor:
    """The likeliest next token of each row (B, 1), after tokens (B, T) and with a mask of all so far where rows pad."""
    place: dict[str, torch.Tensor] = {}
    if mask is not None:
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        place = {"attention_mask": mask, "position_ids": positions}
    logits = model.network(input_ids=tokens, cache=cache, use_cache=True, logits_to_keep=1, **place).logits
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
