"""One training by Potstill in a process of its own: prints the seconds of every step, its loss and the peak memory."""

import itertools
import json
import sys
import tempfile
from pathlib import Path

import torch
from memory import peak_bytes

from potstill.answers import Answer
from potstill.config import Train
from potstill.models.local import LocalModel
from potstill.objectives.gradients import Part
from potstill.progress import Silent
from potstill.rendering import Example
from potstill.store.signals import Binding, SignalStore, tokenizer_hash
from potstill.train import loop
from potstill.train.targets import Targets, live_targets, narrow_linears, sampled_targets

DRAWS = 50


def main(folder: Path, shape: str, signals: str, checkpointing: bool) -> None:
    data = json.loads((folder / "batches.json").read_text(encoding="utf-8"))
    answers = [
        Answer(f"{shape}-{step}-{row}", "", 0, "", "", Example(tuple(one["tokens"]), one["prompt_length"]))
        for step, batch in enumerate(data["batches"][shape])
        for row, one in enumerate(batch)
    ]
    size = len(data["batches"][shape][0])
    # Both sides take the same batches in the same order, so the loop's own sorting by length is set aside.
    plan = [list(range(start, start + size)) for start in range(0, len(answers), size)]
    loop.batches_of_epoch = lambda *_: plan
    student = LocalModel.load(folder / "student")
    targets = _stored(folder, answers, student) if signals == "stored" else _live(Path(data["teacher"]))
    settings = Train(
        tokens_per_batch=1 << 20, epochs=1, learning_rate=1e-4, precision="bf16", checkpoint_every_s=3600,
        gradient_checkpointing=checkpointing,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        paths = loop.Paths(Path(place) / "checkpoints", Path(place) / "metrics.jsonl")
        losses = loop.run_loop(student, student.network, answers, targets, settings, paths, "run", Silent())
        lines = [json.loads(line) for line in paths.metrics.read_text(encoding="utf-8").splitlines()]
    ends = [0.0, *(line["seconds"] for line in lines)]
    seconds = [after - before for before, after in itertools.pairwise(ends)]
    print(json.dumps({"seconds": seconds, "losses": losses, "peak_bytes": peak_bytes()}))


def _live(source: Path) -> Targets:
    teacher = LocalModel.load(source)
    narrow_linears(teacher.network, torch.bfloat16)
    return live_targets(teacher, [Part("forward_kl")], 1.0)


def _stored(folder: Path, answers: list[Answer], student: LocalModel) -> Targets:
    facts = json.loads((folder / "signals" / "teacher.json").read_text(encoding="utf-8"))
    tokenizer = student.tokenizer
    binding = Binding(tokenizer_hash(tokenizer), str(facts["revision"]), len(tokenizer), DRAWS)
    store = SignalStore(folder / "signals", binding, {one.key: one.tokens_hash for one in answers})
    store.check()
    return sampled_targets(store, DRAWS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] == "checkpointing")
