"""Training speed and memory beside TRL: a process a training, the sides in turn, medians of all steps after the first.

    make benchmark-training

The real 135M teacher, a student with 15 of its 30 layers, the same batches in the same order. TRL runs in an
environment of its own (.peers/trl), which the command makes. Takes about half an hour on two cores; do nothing else
on the machine.
"""

import importlib.metadata
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from data import STEPS, prepared

HERE = Path(__file__).parent
ROUNDS = 3


class Side(NamedTuple):
    """One way of training: the script's two words, and in which precision it computes."""

    name: str
    script: str
    what: str
    checkpointing: bool
    precision: str = "bf16 autocast"


SIDES = (
    Side("TRL GKDTrainer (lmbda=0)", "trl", "gkd", False),
    Side("TRL GKDTrainer, checkpointing", "trl", "gkd", True),
    Side("TRL DistillationTrainer", "trl", "distillation", False, "fp32 (bf16=True does not reach it)"),
    Side("TRL DistillationTrainer, checkpointing", "trl", "distillation", True, "fp32 (bf16=True does not reach it)"),
    Side("Potstill, live teacher", "potstill", "live", False),
    Side("Potstill, live teacher, checkpointing", "potstill", "live", True),
    Side("Potstill, stored signals", "potstill", "stored", False),
    Side("Potstill, stored signals, checkpointing", "potstill", "stored", True),
)
# Ratios that are looked at: ours, theirs, and both under which shape.
RATIOS = (
    (4, 0), (4, 2), (4, 3), (6, 0), (5, 3),
)  # fmt: skip


def main(peer: Path, folder: Path, rounds: int = ROUNDS) -> None:
    prepared(folder)
    data = json.loads((folder / "batches.json").read_text(encoding="utf-8"))["batches"]
    print(versions(peer))
    for shape in STEPS:
        batches = data[shape]
        tokens = [sum(len(one["tokens"]) for one in batch) for batch in batches]
        answers = [sum(len(one["tokens"]) - one["prompt_length"] for one in batch) for batch in batches]
        print(
            f"\n{shape}: {len(batches[0])} sequences of {sum(tokens) / len(batches[0]) / len(tokens):.0f} tokens a "
            f"batch, {sum(answers) / sum(tokens):.0%} of them supervised"
        )
        found: list[list[dict[str, Any]]] = [[] for _ in SIDES]
        for _ in range(rounds):
            for number, side in enumerate(SIDES):
                found[number].append(run(side, peer, folder, shape))
        report(found, tokens)


def run(side: Side, peer: Path, folder: Path, shape: str) -> dict[str, Any]:
    python = str(peer / "bin" / "python") if side.script == "trl" else sys.executable
    command = [python, str(HERE / f"{side.script}_side.py"), str(folder), shape, side.what]
    command.append("checkpointing" if side.checkpointing else "no")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side.name}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(found: list[list[dict[str, Any]]], tokens: list[int]) -> None:
    """A line a side: tokens a second (median over steps and rounds, and the range), peak memory, last step's loss."""
    speeds = [
        [count / spent for one in rounds for count, spent in list(zip(tokens, one["seconds"], strict=True))[1:]]
        for rounds in found
    ]
    print(f"{'':42}{'tokens/s':>9}{'(range)':>15}{'peak GB':>9}{'last loss':>11}  precision")
    for side, rates, rounds in zip(SIDES, speeds, found, strict=True):
        peak = statistics.median(one["peak_bytes"] for one in rounds) / 1e9
        span = f"({min(rates):.0f} to {max(rates):.0f})"
        print(
            f"{side.name:42}{statistics.median(rates):9.0f}{span:>15}{peak:9.2f}{rounds[0]['losses'][-1]:11.3f}"
            f"  {side.precision}"
        )
    for ours, theirs in RATIOS:
        # A round's own ratio, so that both sides had the machine in the same state; the median of the rounds.
        per_round = [
            sum(theirs_one["seconds"][1:]) / sum(ours_one["seconds"][1:])
            for ours_one, theirs_one in zip(found[ours], found[theirs], strict=True)
        ]
        memory = [
            ours_one["peak_bytes"] / theirs_one["peak_bytes"]
            for ours_one, theirs_one in zip(found[ours], found[theirs], strict=True)
        ]
        print(
            f"{SIDES[ours].name} / {SIDES[theirs].name}: {statistics.median(per_round):.2f}x as fast "
            f"({min(per_round):.2f} to {max(per_round):.2f}), {statistics.median(memory):.2f}x the memory"
        )


def versions(peer: Path) -> str:
    names = ("torch", "transformers", "accelerate")
    ours = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    code = f"import importlib.metadata as m; print(', '.join(f'{{n}} {{m.version(n)}}' for n in {('trl', *names)}))"
    theirs = subprocess.run([str(peer / "bin" / "python"), "-c", code], capture_output=True, text=True, check=True)
    return f"Potstill with {ours}\nTRL: {theirs.stdout.strip()}"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(".peers/trl"), Path("runs/benchmark-training"), int(arguments[0]) if arguments else ROUNDS)
