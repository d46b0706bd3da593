"""The headline's table and its targets, all read off the finished run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.evaluate.summary import format_interval, format_value, mapping, number

MODELS = (
    ("teacher.", "teacher, fine-tuned on gold labels"),
    ("", "student"),
    ("fine_tuning.", "the same student, plain fine-tuning"),
    ("initial_student.", "the same student, untrained"),
    ("tfidf.", "TF-IDF and logistic regression"),
    ("majority.", "the most frequent label"),
)  # fmt: skip
TARGETS = (
    ("at least 40 % smaller", "size_ratio", "<=", 0.60),
    ("at least 60 % faster, in turn at batch 1 and one precision", "decode_speedup", ">=", 1.60),
    ("at least 97 % of the accuracy retained", "retention.accuracy", ">=", 0.97),
)
MINUTES = 90


def show(folder: Path, teacher: Path) -> None:
    """Print the table in Markdown, the targets, and what the run took."""
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    figures, models, data = (mapping(evaluation.get(key)) for key in ("figures", "models", "data"))
    print(
        f"\n{data['prompts_train']:,} training queries, {data['prompts_holdout']:,} test queries of CLINC150 "
        f"(CC BY 3.0), {evaluation['task']['labels']['count']} intents; {evaluation['machine']['processor']}, "
        f"{evaluation['machine']['threads']} threads\n"
    )
    print("| | accuracy (95 %) | macro-F1 | accuracy retained | written freely | parameters | decode | prefill |")
    print("|---|---|---|---|---|---|---|---|")
    for prefix, title in MODELS:
        if f"{prefix}accuracy" in figures:
            print("| " + " | ".join([title, *_cells(prefix, figures, mapping(models.get(_role(prefix))))]) + " |")
    print()
    for text, name, sign, threshold in TARGETS:
        print(f"{_met(figures, name, sign, threshold)}: {text}: {name} {_shown(figures, name)}")
    spent = seconds(folder, teacher)
    total = sum(spent.values())
    print(f"{'met' if total <= 60 * MINUTES else 'NOT MET'}: within {MINUTES} minutes: {total / 60:.1f} minutes")
    print("time: " + ", ".join(f"{name} {value / 60:.1f} min" for name, value in spent.items()))
    print(f"decision of the run: {evaluation['decision']['word']}")


def seconds(folder: Path, teacher: Path) -> dict[str, float]:
    """Of the fine-tuning and of each stage; of a training that was cut off, all of its parts."""
    spent = {"fine-tuning the teacher": float(json.loads((teacher / "trained.json").read_text())["seconds"])}
    for stage in ("prompts", "collect", "screen", "train", "evaluate", "export"):
        path = folder / "stages" / f"{stage}.json"
        if path.exists():
            spent[stage] = float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    logs = (folder / "metrics.jsonl", folder / "baselines" / "fine_tuning" / "metrics.jsonl")
    logged = sum(json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["seconds"] for path in logs)
    return spent | {"train": max(spent["train"], logged)}


def _role(prefix: str) -> str:
    return prefix.rstrip(".") or "student"


def _cells(prefix: str, figures: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    def rate(name: str) -> str:
        found = number(model.get(name))
        return "" if found is None else f"{found:,.0f} tokens/s"

    parameters = number(model.get("parameters"))
    return [
        _shown(figures, f"{prefix}accuracy"),
        _shown(figures, f"{prefix}macro_f1", interval=False),
        _shown(figures, "retention.accuracy") if prefix == "" else "",
        _shown(figures, f"{prefix}exact_match", interval=False) if model else "",
        "" if parameters is None else f"{parameters / 1e6:,.1f} million",
        rate("decode_tokens_per_s"),
        rate("prefill_tokens_per_s"),
    ]


def _shown(figures: Mapping[str, Any], name: str, *, interval: bool = True) -> str:
    figure = mapping(figures.get(name))
    ends = format_interval(name, figure.get("low"), figure.get("high")) if interval else ""
    return format_value(name, figure.get("value")) + (f" ({ends})" if ends else "")


def _met(figures: Mapping[str, Any], name: str, sign: str, threshold: float) -> str:
    """Decided on the interval's unfavourable end, as the recipe's `accept:` is."""
    figure = mapping(figures.get(name))
    end = figure.get("high" if sign == "<=" else "low")
    found = number(figure.get("value") if end is None else end)
    if found is None:
        return "NOT MEASURED"
    return "met" if (found <= threshold if sign == "<=" else found >= threshold) else "NOT MET"
