"""One training by TRL in a process of its own, in its own environment: same batches, same order, same output.

It imports nothing of Potstill.
"""

import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from memory import peak_bytes
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DistillationConfig, DistillationTrainer
from trl.experimental.gkd import GKDConfig, GKDTrainer

COMMON: dict[str, Any] = {
    "learning_rate": 1e-4, "lr_scheduler_type": "constant", "max_grad_norm": 1.0, "num_train_epochs": 1, "bf16": True,
    "use_cpu": True, "report_to": [], "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True,
    "adam_beta2": 0.95, "weight_decay": 0.0,
}  # fmt: skip


class Watch(TrainerCallback):
    """Seconds and loss of every step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._started = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.seconds.append(time.monotonic() - self._started)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" in logs:
            self.losses.append(float(logs["loss"]))


class StoredAnswers(DistillationTrainer):
    """DistillationTrainer learns from what the student writes; here it is given the stored answers as if it had."""

    answers: dict[tuple[int, ...], list[int]]

    def _generate_single_turn(self, prompt_ids: Any, images: Any, fields: Any, has_tool_images: bool = False) -> Any:
        return [self.answers[tuple(one)] for one in prompt_ids]


def main(folder: Path, shape: str, trainer: str, checkpointing: bool) -> None:
    warnings.simplefilter("ignore")  # what TRL warns of is not what is measured
    logging.disable(logging.WARNING)
    data = json.loads((folder / "batches.json").read_text(encoding="utf-8"))
    rows = [one for batch in data["batches"][shape] for one in batch]
    tokenizer = AutoTokenizer.from_pretrained(folder / "student")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    student, teacher = (
        AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32)
        for where in (folder / "student", data["teacher"])
    )
    watch = Watch()
    make = _gkd if trainer == "gkd" else _distillation
    with tempfile.TemporaryDirectory() as place:
        settings = {
            **COMMON, "output_dir": place, "per_device_train_batch_size": len(data["batches"][shape][0]),
            "gradient_checkpointing": checkpointing,
        }  # fmt: skip
        made = make(student, teacher, tokenizer, rows, settings, watch)
        made.train()
    print(json.dumps({"seconds": watch.seconds, "losses": watch.losses, "peak_bytes": peak_bytes()}))


def _gkd(student: Any, teacher: Any, tokenizer: Any, rows: list[Any], settings: Any, watch: Watch) -> Any:
    """Offline forward KL: lmbda=0 takes the data's answers, beta=0 is KL(teacher‖student) in TRL's convention."""
    dataset = Dataset.from_list(
        [
            {
                "input_ids": row["tokens"],
                "completion_mask": [int(at >= row["prompt_length"]) for at in range(len(row["tokens"]))],
                "prompt": tokenizer.decode(row["tokens"][: row["prompt_length"]]),
            }
            for row in rows
        ]
    )
    args = GKDConfig(**settings, lmbda=0.0, beta=0.0, temperature=1.0, max_length=4096)

    class InOrder(GKDTrainer):
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    return InOrder(
        model=student, teacher_model=teacher, args=args, train_dataset=dataset, processing_class=tokenizer,
        callbacks=[watch],
    )  # fmt: skip


def _distillation(student: Any, teacher: Any, tokenizer: Any, rows: list[Any], settings: Any, watch: Watch) -> Any:
    tokenizer.padding_side = "left"
    prompts = [tokenizer.decode(row["tokens"][: row["prompt_length"]]) for row in rows]
    longest = max(len(row["tokens"]) for row in rows)
    args = DistillationConfig(
        **settings, beta=0.0, temperature=1.0, max_completion_length=longest, shuffle_dataset=False
    )
    dataset = Dataset.from_list([{"prompt": prompt} for prompt in prompts])
    made = StoredAnswers(
        model=student, teacher_model=teacher, args=args, train_dataset=dataset, processing_class=tokenizer,
        callbacks=[watch],
    )  # fmt: skip
    made.answers = {}
    for prompt, row in zip(prompts, rows, strict=True):
        ids = tuple(tokenizer(text=prompt)["input_ids"])
        assert list(ids) == row["tokens"][: row["prompt_length"]], "the prompt's text must give the prompt's tokens"
        made.answers[ids] = row["tokens"][row["prompt_length"] :]
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] == "checkpointing")
