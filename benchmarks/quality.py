"""Equal quality: a student trained on stored samples beside one trained on whole distributions, over three seeds.

    make quickstart && make benchmark-quality

Takes a finished run with a local teacher (its folder may be given). Both sides start from the run's untrained student,
take the same batches in the same order and so the same number of tokens; for every seed the teacher's samples are drawn
anew. Two ways to spend those tokens are shown: the run's answers in several epochs, which read the same samples again
and again, and as many answers to each prompt as there were epochs, each read once. Prints the KL to the teacher on the
run's held-out answers with intervals clustered by prompt, and the ratio to that from whole distributions.
"""

import math
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import stats as scipy_stats

from potstill.answers import Answer, load_answers
from potstill.collect.score import score_answers
from potstill.config import Recipe, SampledSignals
from potstill.evaluate.fidelity import measure
from potstill.models.fetch import fetch
from potstill.models.local import LocalModel
from potstill.objectives.gradients import Part
from potstill.progress import Silent
from potstill.rendering import Example
from potstill.run.folder import read_recipe
from potstill.stats import Interval, ratio_of_sums
from potstill.store.journal import request_seed
from potstill.store.signals import SignalStore
from potstill.terms import clear
from potstill.train.loop import Paths, run_loop
from potstill.train.targets import Targets, live_targets, sampled_targets

SEEDS = (0, 1, 2)
DRAWS = (50, 200)


def main(run: Path) -> None:
    recipe = read_recipe(run)
    if recipe.teacher.model is None:
        sys.exit(f"{run}: this benchmark needs a run with a local teacher")
    teacher = LocalModel.load(fetch(recipe.teacher.model, recipe.teacher.sha256), recipe.teacher.model)
    train, held = (
        load_answers(run, split, recipe.collect.uses, teacher.tokenizer, teacher.context_tokens, exact_tokens=True)
        for split in ("train", "holdout")
    )
    epochs = recipe.train.epochs
    print(f"held out: {len(held)} answers; precision {recipe.train.precision}, torch {torch.__version__}")
    compare(f"{epochs} epochs of the same answers", run, recipe, teacher, train, held)
    once = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1})})
    further = [one for sample in range(1, epochs) for one in asked_again(recipe, teacher, train, sample)]
    compare(f"{epochs} answers a prompt, each read once", run, once, teacher, [*train, *further], held)


def compare(what: str, run: Path, recipe: Recipe, teacher: LocalModel, train: list[Answer], held: list[Answer]) -> None:
    """A line a seed, and the mean ratio over the seeds for each number of draws."""
    tokens = sum(len(one.example.tokens) for one in train) * recipe.train.epochs
    lengths = np.array([one.example.answer_length for one in held], dtype=float)
    print(f"\n{what}: {len(train)} answers, {tokens:,} tokens")
    print(f"{'seed':>6} {'whole distributions':>26}" + "".join(f"{f'{n} samples':>27}{'ratio':>27}" for n in DRAWS))
    ratios: dict[int, list[float]] = {draws: [] for draws in DRAWS}
    for seed in SEEDS:
        whole = held_out_kl(run, recipe, teacher, train, held, live_targets(teacher, [Part("forward_kl")], 1.0), seed)
        columns = [ratio_of_sums(whole, lengths)]
        for draws in DRAWS:
            with tempfile.TemporaryDirectory() as place:
                targets = stored(recipe, teacher, train, Path(place), seed, draws)
                packed = held_out_kl(run, recipe, teacher, train, held, targets, seed)
            ratio = ratio_of_sums(packed, whole)
            ratios[draws].append(ratio.value)
            columns += [ratio_of_sums(packed, lengths), ratio]
        print(f"{seed:6} " + " ".join(f"{shown(one):>26}" for one in columns), flush=True)
    for draws, values in ratios.items():
        mean, spread = statistics.fmean(values), statistics.stdev(values)
        half = scipy_stats.t.ppf(0.975, len(values) - 1) * spread / math.sqrt(len(values))
        print(
            f"{draws} samples: mean ratio {mean:.4f}; 95 % interval by Student's t over {len(values)} seeds "
            f"{mean - half:.4f} to {mean + half:.4f}",
            flush=True,
        )


def asked_again(recipe: Recipe, teacher: LocalModel, train: list[Answer], sample: int) -> list[Answer]:
    """Another answer of the teacher to every prompt, as the run would have sampled it."""
    collect = recipe.collect
    prompts = [one.example.tokens[: one.example.prompt_length] for one in train]
    made = [
        answer
        for start in range(0, len(train), collect.batch_size)
        for answer in teacher.generate(
            prompts[start : start + collect.batch_size], max_new_tokens=collect.max_new_tokens,
            temperature=collect.temperature, top_p=collect.top_p,
            seeds=[
                request_seed(collect.seed, one.prompt_hash, sample)
                for one in train[start : start + collect.batch_size]
            ],
        )
    ]  # fmt: skip
    return [
        replace(
            one, key=f"{one.key}-{sample}", sample=sample, text="", example=Example((*prompt, *new.tokens), len(prompt))
        )
        for one, prompt, new in zip(train, prompts, made, strict=True)
        if new.tokens
    ]


def stored(
    recipe: Recipe, teacher: LocalModel, train: list[Answer], folder: Path, seed: int, draws: int
) -> Targets:  # fmt: skip
    """Samples drawn anew with this seed, written and read back."""
    signals = SampledSignals(kind="sampled", draws=draws)
    binding = score_answers(
        teacher, clear(recipe), {one.key: one.example for one in train}, signals, folder, Silent(), seed=seed
    )
    return sampled_targets(SignalStore(folder, binding, {one.key: one.tokens_hash for one in train}), draws)


def held_out_kl(
    run: Path, recipe: Recipe, teacher: LocalModel, train: list[Answer], held: list[Answer], targets: Targets, seed: int
) -> np.ndarray:
    """The trained student's KL to the teacher, summed over the positions of every held-out answer, in nats."""
    student = LocalModel.load(run / "checkpoints" / "initial")
    settings = recipe.train.model_copy(update={"seed": seed, "checkpoint_every_s": 3600.0})
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        run_loop(
            student, student.network, train, targets, settings, Paths(Path(place), Path(place) / "metrics.jsonl"), "q",
            Silent(),
        )  # fmt: skip
    found = measure(student, teacher, [one.example for one in held])
    print(f"# seed {seed}: trained in {time.monotonic() - started:.0f} s", file=sys.stderr)
    assert found.kl is not None
    return found.sums(found.kl)


def shown(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart"))
