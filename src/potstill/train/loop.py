"""The one training loop: token batches, mixed precision, cosine schedule, clipping, checkpoints, exact resume."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from potstill.answers import Answer
from potstill.config import Train
from potstill.errors import PotstillError
from potstill.models.attention import use_fast_attention
from potstill.models.local import LocalModel
from potstill.models.norms import use_fast_norms
from potstill.models.prefix import right_pad, shared_prefix_length
from potstill.progress import Reporter
from potstill.train.allocator import freed_memory_kept
from potstill.train.checkpoint import load_checkpoint, save_checkpoint
from potstill.train.data import batches_of_epoch, split_by_tokens
from potstill.train.module import StateMatching, StudentWithLoss
from potstill.train.precision import autocast
from potstill.train.rollouts import Rollouts
from potstill.train.targets import Batch, Targets


@dataclass(frozen=True, slots=True)
class Paths:
    """Where one training writes."""

    checkpoints: Path
    metrics: Path


def learning_rate(step: int, steps: int, train: Train) -> float:
    """Linear warm-up, then half a cosine to a tenth of the peak; `step` counts from 0."""
    warmup = max(1, round(train.warmup_fraction * steps))
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return train.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def run_loop(
    student: LocalModel, network: Any, answers: Sequence[Answer], targets: Targets, train: Train, paths: Paths,
    run: str, reporter: Reporter, matching: StateMatching | None = None, rollouts: Rollouts | None = None,
) -> list[float]:  # fmt: skip
    """Train `network` (the student's, or its LoRA form) in place and return the loss of every step, in nats a token.

    `run` names what is trained on what; a checkpoint of another run is not continued. Raises PotstillError at a loss
    that is not a number, with the checkpoint before it kept.
    """
    torch.manual_seed(train.seed)
    # Accelerator keeps one precision a process, whichever came first; two trainings may want two, so autocast is ours.
    accelerator = Accelerator(mixed_precision="no")
    use_fast_attention(network)
    use_fast_norms(network)
    module = StudentWithLoss(network, matching).to(accelerator.device)
    parameters = [one for one in module.parameters() if one.requires_grad]
    module, optimizer = accelerator.prepare(module, _optimizer(parameters, train))
    plan = [
        (epoch, batch)
        for epoch in range(train.epochs)
        for batch in batches_of_epoch(answers, train.tokens_per_batch, train.seed, epoch)
    ]
    step_of = _Steps(accelerator, module, optimizer, parameters, targets, train, student.tokenizer.pad_token_id or 0)
    losses, tokens, seconds = load_checkpoint(paths, run, parameters, optimizer)
    with (
        freed_memory_kept(),
        _training_mode(network, checkpointing=train.gradient_checkpointing),
        reporter.meter("training", len(plan), "steps", len(losses)) as meter,
    ):
        saved = time.monotonic()
        for step in range(len(losses), len(plan)):
            started = time.monotonic()
            epoch, batch = plan[step]
            members = [answers[index] for index in batch]
            wrote: dict[str, Any] = {}
            if rollouts is not None:
                with autocast(train, accelerator.device):
                    members, wrote = rollouts.mix(members, step)
            rate = learning_rate(step, len(plan), train)
            loss, norm = step_of(members, rate)
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise PotstillError(
                    f"training: the loss of step {step + 1} is {loss} and its gradient's norm {norm}; the last "
                    f"checkpoint is kept; lower train.learning_rate or look at request {members[0].key[:12]}"
                )
            losses.append(loss)
            tokens += sum(len(one.example.tokens) for one in members)
            seconds += time.monotonic() - started
            line = {
                "step": step + 1, "steps": len(plan), "epoch": epoch, "tokens": tokens, "loss": loss,
                "learning_rate": rate, "grad_norm": norm, "seconds": round(seconds, 3), **wrote,
            }  # fmt: skip
            _log(paths.metrics, line)
            meter.advance(1, f"loss {loss:.3f}")
            if time.monotonic() - saved >= train.checkpoint_every_s and step + 1 < len(plan):
                save_checkpoint(paths, run, parameters, optimizer, losses, tokens, seconds)
                saved = time.monotonic()
                if rollouts is not None:
                    rollouts.saved(step + 1)
    return losses


@contextmanager
def _training_mode(network: Any, *, checkpointing: bool) -> Iterator[None]:
    network.train()
    if checkpointing:
        network.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    yield
    network.eval()
    if checkpointing:
        network.activation_checkpointing_disable()


def _optimizer(parameters: Sequence[nn.Parameter], train: Train) -> torch.optim.Optimizer:
    groups = [
        {"params": [one for one in parameters if one.ndim >= 2], "weight_decay": train.weight_decay},
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},
    ]
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=train.learning_rate, betas=train.betas, fused=True)


@dataclass(frozen=True, slots=True)
class _Steps:
    """What every optimizer step of a training works with; calling it takes one."""

    accelerator: Accelerator
    module: nn.Module
    optimizer: Any
    parameters: Sequence[nn.Parameter]
    targets: Targets
    train: Train
    pad: int

    def __call__(self, answers: Sequence[Answer], rate: float) -> tuple[float, float]:
        """Loss in nats a supervised token of the whole step, and the gradient's norm before clipping.

        The denominator is the step's, not the micro-batch's: micro-batches with token losses [1] and [0, 0, 0] give
        0.25.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        train, device = self.train, self.accelerator.device
        lengths = [len(one.example.tokens) for one in answers]
        budget = train.tokens_per_micro_batch or train.tokens_per_batch
        supervised = sum(one.example.answer_length for one in answers)
        total = 0.0
        for indices in split_by_tokens(range(len(answers)), lengths, budget):
            # The states of a shared beginning reach the other rows through the cache, which checkpointing cannot keep.
            few, shared = [answers[index] for index in indices], not train.gradient_checkpointing
            batch = make_batch(few, self.pad, device, share_prefix=shared)
            with autocast(train, device):  # a live teacher computes as the student does
                loss = self.module(batch, self.targets(batch))
            total += float(loss.detach())
            self.accelerator.backward(loss / supervised)
        norm = float(self.accelerator.clip_grad_norm_(self.parameters, train.max_grad_norm))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total / supervised, norm


def make_batch(answers: Sequence[Answer], pad: int, device: Any, *, share_prefix: bool = True) -> Batch:
    """Answers padded to one rectangle on a device, with their shared beginning found."""
    sequences = [one.example.tokens for one in answers]
    limits = [one.example.prompt_length - 1 for one in answers]
    prefix = shared_prefix_length(sequences, limits) if share_prefix else 0
    return Batch(answers, right_pad(sequences, pad).to(device), prefix)


def _log(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
