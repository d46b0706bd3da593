"""Packed signals on real positions: bytes, the gradient's error, and the speed of coding, with whole rows as the truth.

    make quickstart && make benchmark-signals

Takes a finished run with a local teacher (its folder may be given), asks the teacher for further answers to the run's
held-out prompts until there are some 2,304 positions, and compares the student's gradient from stored signals with
that from whole rows. `rel` is the error of a position's logit gradient over its norm, the mean of all positions; `agg`
that of the head's gradient over its norm. The head's gradient is the sum over positions of (q - p) x hidden state.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from potstill.answers import load_answers
from potstill.config import Recipe
from potstill.models.fetch import fetch
from potstill.models.local import LocalModel
from potstill.models.prefix import answer_states
from potstill.objectives.transform import logit_transform
from potstill.rendering import Example
from potstill.run.folder import read_recipe
from potstill.store.journal import request_seed
from potstill.store.signals import (
    Binding,
    Samples,
    Signals,
    SignalStore,
    encode_sampled,
    encode_top_k,
    tokenizer_hash,
    write_shard,
)

POSITIONS = 2304
REPEATS = (4, 16)
ROWS = 256
TOP_K = ((8, 8), (20, 8), (20, 16), (32, 16))

Encode = Callable[[Tensor], Signals]


@dataclass
class Truth:
    """Teacher rows (n, V) in log space, and all that the errors are measured against."""

    log_p: Tensor
    hidden: Tensor  # (n, D), the student's
    lengths: list[int]  # positions of each answer
    p_squared: Tensor  # (n,): sum of p squared
    gradient_norm: Tensor  # (n,): |q - p|
    p_hidden: Tensor  # (V, D): sum over positions of p x hidden
    head_gradient: Tensor  # (V, D): sum over positions of (q - p) x hidden
    kl: float
    entropy: float


def main(run: Path) -> None:
    recipe = read_recipe(run)
    if recipe.teacher.model is None:
        sys.exit(f"{run}: this benchmark needs a run with a local teacher")
    teacher = LocalModel.load(fetch(recipe.teacher.model, recipe.teacher.sha256), recipe.teacher.model)
    truth = whole_rows(teacher, LocalModel.load(run / "student"), ask(run, recipe, teacher))
    print(
        f"{len(truth.log_p):,} positions of {len(truth.lengths)} answers, V = {truth.log_p.shape[1]:,}, mean entropy "
        f"{truth.entropy:.2f} nats, KL of the student {truth.kl:.3f}; {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}\n"
        f"{'':>20} {'bytes':>7} {'rel':>7} {'agg':>7} {'encode/s':>9} {'decode/s':>10}   "
        f"agg of the mean of {' and '.join(map(str, REPEATS))} repeats"
    )
    bound = partial(
        Binding, tokenizer_hash(teacher.tokenizer), teacher.identity.revision, len(teacher.tokenizer),
        reference=recipe.teacher.model,
    )  # fmt: skip
    for draws in (50, 200):
        report(f"{draws} independent", bound(draws), truth, partial(independent, truth.log_p, draws), timed=False)
        report(f"{draws} systematic", bound(draws), truth, partial(encode_sampled, truth.log_p, draws=draws))
    for k, bits in TOP_K:
        binding = bound(kind="top_k", k=k, bits=bits)
        report(f"top {k} in {bits} bits", binding, truth, lambda _, k=k: encode_top_k(truth.log_p, k))


def ask(run: Path, recipe: Recipe, teacher: LocalModel) -> list[Example]:
    """The run's held-out answers and as many more to the same prompts as make up the positions."""
    held = load_answers(
        run, "holdout", recipe.collect.uses, teacher.tokenizer, teacher.context_tokens, exact_tokens=True
    )
    collect, sample = recipe.collect, recipe.collect.answers_per_prompt
    examples = [one.example for one in held]
    while sum(one.answer_length for one in examples) < POSITIONS:
        prompts = [one.example.tokens[: one.example.prompt_length] for one in held]
        seeds = [request_seed(collect.seed, one.prompt_hash, sample) for one in held]
        made = teacher.generate(
            prompts, max_new_tokens=collect.max_new_tokens, temperature=collect.temperature, top_p=collect.top_p,
            seeds=seeds,
        )  # fmt: skip
        examples += [Example((*prompt, *one.tokens), len(prompt)) for prompt, one in zip(prompts, made, strict=True)]
        sample += 1
    kept, positions = [], 0
    for one in examples:
        if positions + one.answer_length <= POSITIONS:
            kept.append(one)
            positions += one.answer_length
    return kept


@torch.inference_mode()
def whole_rows(teacher: LocalModel, student: LocalModel, examples: Sequence[Example]) -> Truth:
    width = len(teacher.tokenizer)
    log_rows, states = [], []
    for start in range(0, len(examples), 16):
        few = examples[start : start + 16]
        log_rows.append(dense(teacher, states_of(teacher, few))[:, :width].log_softmax(-1))
        states.append(states_of(student, few))
    log_p, hidden = torch.cat(log_rows), torch.cat(states)
    p_hidden, head_gradient = torch.zeros(width, hidden.shape[1]), torch.zeros(width, hidden.shape[1])
    p_squared, norm, kl, entropy = [], [], 0.0, 0.0
    for start in range(0, len(log_p), ROWS):
        here = slice(start, start + ROWS)
        p, log_q = log_p[here].exp(), dense(student, hidden[here])[:, :width].log_softmax(-1)
        kl += (p * (log_p[here] - log_q)).sum().item()
        entropy -= (p * log_p[here]).sum().item()
        difference = log_q.exp_().sub_(p)
        norm.append(difference.double().norm(dim=-1))
        p_squared.append(p.double().square().sum(-1))
        p_hidden.addmm_(p.T, hidden[here])
        head_gradient.addmm_(difference.T, hidden[here])
    return Truth(
        log_p, hidden, [one.answer_length for one in examples], torch.cat(p_squared), torch.cat(norm), p_hidden,
        head_gradient, kl / len(log_p), entropy / len(log_p),
    )  # fmt: skip


def states_of(model: LocalModel, examples: Sequence[Example]) -> Tensor:
    pad = model.tokenizer.pad_token_id or 0
    return answer_states(model.network, [one.tokens for one in examples], [one.prompt_length for one in examples], pad)


def dense(model: LocalModel, states: Tensor) -> Tensor:
    return logit_transform(model.network.config)(model.network.get_output_embeddings()(states).float())


def independent(log_p: Tensor, draws: int, uniform: Tensor) -> Samples:
    """Random-sampling KD's draws, for comparison: each on its own."""
    generator = torch.Generator().manual_seed(int(uniform[0] * 2**31))
    parts = []
    for start in range(0, len(log_p), ROWS):
        taken = torch.multinomial(log_p[start : start + ROWS].exp(), draws, replacement=True, generator=generator)
        rows = torch.arange(len(taken))[:, None] * log_p.shape[1]
        flat, counts = (taken + rows).flatten().unique(return_counts=True)
        lengths = torch.bincount(flat // log_p.shape[1], minlength=len(taken))
        parts.append((flat % log_p.shape[1], counts, lengths, torch.zeros(len(taken))))
    return Samples(*(torch.cat(column) for column in zip(*parts, strict=True)))


def report(name: str, binding: Binding, truth: Truth, encode: Encode, *, timed: bool = True) -> None:
    """Encode, write, read, and print one line."""
    n = len(truth.log_p)
    generator = torch.Generator().manual_seed(1)

    def again() -> Signals:
        return encode(torch.rand(n, generator=generator, dtype=torch.float64))

    signals = again()
    stored, size, decoding = through_a_file(binding, truth.lengths, signals)
    encoding = f"{n / fastest(again, 8):9,.0f}" if timed else f"{'':9}"
    relative, error = errors(stored, truth, binding)
    norm = truth.head_gradient.norm()
    agg, means = (error.norm() / norm).item(), []
    for done in range(2, REPEATS[-1] + 1 if binding.kind == "sampled" and timed else 0):
        error += errors(again(), truth, binding)[1]
        if done in REPEATS:
            means.append(f"{(error.norm() / norm / done).item():.3f}")
    line = f"{name:>20} {size / n:7.2f} {relative:7.3f} {agg:7.3f} {encoding} {n / decoding:10,.0f}   {' '.join(means)}"
    print(line.rstrip(), flush=True)


def through_a_file(binding: Binding, lengths: Sequence[int], signals: Signals) -> tuple[Signals, int, float]:
    """What comes back from a file, its size in bytes, and the seconds of reading it whole."""
    cuts = torch.split(torch.arange(sum(lengths)), list(lengths))
    keys = [f"request {number}" for number in range(len(cuts))]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "0.signals"
        write_shard(path, binding, {key: (key, signals.select(cut)) for key, cut in zip(keys, cuts, strict=True)})
        store = SignalStore(path.parent, binding, dict(zip(keys, keys, strict=True)))
        read = partial(store.samples_of if binding.kind == "sampled" else store.top_k_of, keys)
        return read(), path.stat().st_size, fastest(read, 20)


def errors(signals: Signals, truth: Truth, binding: Binding) -> tuple[float, Tensor]:
    """`rel`, and the error of the head's gradient (V, D), with the stored distribution in the teacher's place.

    The tail of a top-K signal is spread evenly over the other tokens, which is all that can be known of them.
    """
    n, vocabulary = truth.log_p.shape
    if isinstance(signals, Samples):
        rows = torch.repeat_interleave(torch.arange(n), signals.lengths)
        ids, even = signals.ids, torch.zeros(n, dtype=torch.float64)
        weights = signals.counts.double() / (binding.draws or 1)
    else:
        k = signals.ids.shape[1]
        rows = torch.arange(n).repeat_interleave(k)
        ids, even = signals.ids.flatten(), signals.tail.double() / max(vocabulary - k, 1)
        weights = signals.log_probabilities.double().exp().flatten() - even[rows]

    def by_position(values: Tensor) -> Tensor:
        return torch.zeros(n, dtype=torch.float64).index_add_(0, rows, values)

    # The stored row is `even` everywhere and `weights` more at its ids.
    p = truth.log_p[rows, ids].double().exp()
    cross = even + by_position(weights * p)
    own = vocabulary * even**2 + by_position(weights**2 + 2 * weights * even[rows])
    distance = (truth.p_squared - 2 * cross + own).clamp(min=0).sqrt()
    stored = torch.zeros_like(truth.p_hidden).index_add_(0, ids, truth.hidden[rows] * weights[:, None].float())
    return (distance / truth.gradient_norm).mean().item(), truth.p_hidden - stored.add_(even.float() @ truth.hidden)


def fastest(act: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of several calls: the machine may have other work."""
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        spent.append(time.perf_counter() - started)
    return min(spent)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart"))
