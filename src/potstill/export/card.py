"""The model card: what the student is, whose outputs made it under which terms, how good it is, and how to use it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill import __version__
from potstill.config import ModelStudent, PrunedStudent, Recipe, called
from potstill.export.lineage import base_model, layers_of, shown_teacher, shown_teachers, student_layers
from potstill.export.notice import limits, terms_list
from potstill.export.obligations import displays, obligations_of, sentence
from potstill.ledger import tree_hashes

_USE = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder, or its name on a model hub
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
messages = [{"role": "user", "content": "..."}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**inputs, max_new_tokens=256)
print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
```"""

_REPRODUCE = """```sh
potstill run recipe.yaml --out run     # with the recipe.yaml of the run folder
potstill verify run                    # re-hashes every file and walks the ledger
```"""


def write_card(recipe: Recipe, terms_facts: Mapping[str, Any], evaluation: Mapping[str, Any], folder: Path) -> None:
    """Write README.md into `folder`, which holds the files that the card lists. Asks no network."""
    (folder / "README.md").unlink(missing_ok=True)  # the teacher's card may have come along with the tokenizer
    (folder / "README.md").write_text(card_text(recipe, terms_facts, evaluation, folder), encoding="utf-8")


def card_text(recipe: Recipe, terms_facts: Mapping[str, Any], evaluation: Mapping[str, Any], folder: Path) -> str:
    """The card's front matter and body."""
    sections = (
        ("What this is", _what(recipe, evaluation)),
        ("Teacher", _teacher(recipe, evaluation)),
        ("Terms", _terms(recipe, terms_facts)),
        ("Data", _data(recipe, evaluation)),
        ("Results", _results(evaluation)),
        ("Decision", _decision(evaluation)),
        ("How to use", _USE),
        ("How to reproduce", f"Made with Potstill {__version__}.\n\n{_REPRODUCE}"),
        ("Files", _files(folder)),
    )
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
    head = "".join(f"**{text}**\n\n" for text in (*displays(terms_facts), *limits(terms_facts)))
    return f"---\n{_front_matter(recipe, terms_facts, evaluation)}\n---\n\n# {recipe.name}\n\n{head}{body}\n"


def _front_matter(recipe: Recipe, terms_facts: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    licence, licence_name, link = _licence(recipe, terms_facts)
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=f"{recipe.name}-holdout",
            dataset_name=f"held-out prompts of {recipe.name}",
            metric_type=name,
            metric_name=name.replace("_", " "),
            metric_value=figure["value"],
        )
        for name, figure in _figures(evaluation).items()
        if "." not in name and isinstance(figure["value"], int | float) and math.isfinite(figure["value"])
    ]
    data = ModelCardData(
        license=licence,
        base_model=base_model(recipe),
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["distillation", "potstill", *(_tag(text) for text in limits(terms_facts))],
        model_name=recipe.name,
        eval_results=results or None,
        license_name=licence_name if licence == "other" else None,
        license_link=link if licence == "other" else None,
    )
    return data.to_yaml().strip()


def _licence(recipe: Recipe, terms_facts: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """The hub's id of the licence; where it has none or several hold, a name and a link to the first's document."""
    layers = student_layers(recipe, terms_facts)
    ids = {one.hub_id for one in layers}
    if len(ids) == 1 and "other" not in ids:
        return ids.pop(), "", None
    named = "-and-".join(dict.fromkeys(one.rule for one in layers)) or "see-terms-below"
    restricted = [_tag(text) for text in limits(terms_facts)]
    link = next((one.url for one in layers if one.url), None)
    return "other", "-".join([*([] if layers else restricted), named]), link


def _tag(limit: str) -> str:
    """A limit such as "Not to be distributed." as a tag."""
    return limit.rstrip(".").lower().replace(" ", "-")


def _figures(evaluation: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    figures: Mapping[str, Mapping[str, Any]] = evaluation.get("figures") or {}
    return figures


def _what(recipe: Recipe, evaluation: Mapping[str, Any]) -> str:
    decision = evaluation["decision"]
    student = recipe.student
    if isinstance(student, PrunedStudent):
        whose = "the first teacher" if recipe.more_teachers else "the teacher"
        made = f"{whose} with {student.keep_layers} of its decoder layers"
    elif isinstance(student, ModelStudent):
        made = f"{base_model(recipe) or 'a model'}"
    else:
        made = "a new model"
    doubt, why = "", str(decision.get("reason", "")).rstrip(".")
    if decision.get("word") == "inconclusive":
        doubt = f"**The evidence is inconclusive**: {why}. Measure on more prompts before you rely on this model. "
    if decision.get("word") == "no ship":
        doubt = f"**This student was not accepted**: {why}. "
    if "despite" in decision:
        doubt += f"**It was exported all the same**: {str(decision['despite']).rstrip('.')}. "
    purpose = f" Its purpose: {recipe.use.purpose}." if recipe.use.purpose else ""
    whose = "the teachers'" if recipe.more_teachers else "the teacher's"
    trained = f"{whose} distributions" if recipe.objective.kind == "forward_kl" else f"{whose} answers"
    if recipe.scores_rollouts:
        trained = "its own answers as the teacher scored them"
    return (
        f"{doubt}A student made by distillation: {made}, trained on {trained} to do one job of "
        f"{shown_teacher(recipe)}.{purpose}"
    )


def _teacher(recipe: Recipe, evaluation: Mapping[str, Any]) -> str:
    models = evaluation.get("models") or {}
    roles = (*recipe.teachers, "student")
    facts = [models.get(role) or {} for role in roles]
    rows = [("", *roles)]
    for key, title in (("parameters", "parameters"), ("layers", "decoder layers"), ("size_bytes", "bytes on disk")):
        if any(one.get(key) is not None for one in facts):
            rows.append((title, *(_number(one.get(key)) for one in facts)))
    sizes = f"\n\n{table(rows)}" if len(rows) > 1 else ""
    if not recipe.more_teachers:
        return f"`{shown_teacher(recipe)}`{sizes}"
    listed = "\n".join(_one_of_several(name, shown, recipe) for name, shown in shown_teachers(recipe).items())
    aim = "trained and measured against" if recipe.objective.divergences else "measured against"
    return (
        f"{listed}\n\nEach prompt's answer was written by the first of these that takes part in it. The student was "
        f"{aim} the mixture of the probabilities of all that do, with weights brought to a sum of 1. Sizes and speeds "
        f"below are relative to the first.{sizes}"
    )


def _one_of_several(name: str, shown: str, recipe: Recipe) -> str:
    one = recipe.teachers[name]
    where = f"in prompts tagged {' or '.join(one.tags)}" if one.tags else "in every prompt"
    return f"- {called(name)}: `{shown}`, weight {one.weight:g}, takes part {where}"


def _terms(recipe: Recipe, terms_facts: Mapping[str, Any]) -> str:
    obligations = [f"- {sentence(given)}" for given in obligations_of(terms_facts)] or ["- none"]
    caution = [
        f"\nMade not to be distributed. Before you pass it on, rename it to begin with {given.partition(':')[2]}."
        for given in obligations_of(terms_facts)
        if given.startswith("name_prefix:") and recipe.use.distributed is False
    ]
    source = f" ([source]({terms_facts['url']}))" if terms_facts.get("url") else ""
    each = [
        f"- {called(name)}: **{one.get('verdict')}** (rule `{one.get('rule')}`: {one.get('document')})"
        for name, one in (terms_facts.get("teachers") or {}).items()
    ]
    several = len({one.rule for one in layers_of(terms_facts)}) > 1
    all_terms = ("\nThe terms of every layer, ancestors and services included:\n", terms_list(terms_facts))
    inherited = all_terms if several else ()
    return "\n".join(
        (
            f"- Verdict: **{terms_facts.get('verdict')}** (rule `{terms_facts.get('rule')}`)",
            f"- Document: {terms_facts.get('document')} ({terms_facts.get('version_or_date')}){source}",
            f"- Section: {terms_facts.get('section')}",
            f"- Why: {terms_facts.get('reason') or '-'}",
            *(["\nEvery teacher's terms, of which the strictest is above:\n", *each] if each else []),
            "\nObligations of all these terms:\n" if each else "\nObligations of the teacher's terms:\n",
            *obligations,
            *caution,
            *inherited,
            "\nPotstill gives no legal advice.",
        )
    )


def _data(recipe: Recipe, evaluation: Mapping[str, Any]) -> str:
    data = evaluation.get("data") or {}
    rows = [("", "count")]
    for key in ("prompts_train", "prompts_holdout", "answers", "answers_trained_on", "train_tokens"):
        if data.get(key) is not None:
            rows.append((key.replace("_", " "), _number(data[key])))
    rejected = data.get("rejected") or {}
    rows += [(f"rejected: {reason}", _number(count)) for reason, count in sorted(rejected.items())]
    temperature = f"{recipe.collect.temperature:g}"
    whom = "the teachers" if recipe.more_teachers else "the teacher"
    source = f"Prompts from `{recipe.prompts.source.name}`, answered by {whom} at temperature {temperature}."
    return f"{source}\n\n{table(rows)}" if len(rows) > 1 else source


def _results(evaluation: Mapping[str, Any]) -> str:
    rows = [("figure", "value", "95 % interval", "n", "unit")]
    for name, figure in _figures(evaluation).items():
        low, high = figure.get("low"), figure.get("high")
        interval = "-" if low is None or high is None else f"{_number(low)} to {_number(high)}"
        rows.append(
            (f"`{name}`", _number(figure["value"]), interval, _number(figure.get("n")), figure.get("unit") or "")
        )
    if len(rows) == 1:
        return "No figure was measured."
    return f"On held-out prompts, student against teacher.\n\n{table(rows)}"


def _decision(evaluation: Mapping[str, Any]) -> str:
    decision = evaluation["decision"]
    rows = [("asked", "measured", "95 % interval", "met")]
    for condition in decision.get("conditions") or []:
        low, high = condition.get("low"), condition.get("high")
        rows.append(
            (
                f"`{condition['figure']}` {condition['operator']} {_number(condition['threshold'])}",
                _number(condition.get("value")),
                "-" if low is None or high is None else f"{_number(low)} to {_number(high)}",
                str(condition.get("met")),
            )
        )
    head = f"**{decision.get('word')}**: {decision.get('reason', '')}"
    if "despite" in decision:
        head += f"\n\n**Exported despite this decision**: {decision['despite']}"
    for floor in decision.get("floors") or []:
        rows.append(
            (
                f"`{floor['figure']}` {floor['operator']} {_number(floor['threshold'])} in every slice",
                _number((floor.get("worst") or {}).get("value")),
                "-",
                str(floor.get("met")),
            )
        )
    return f"{head}\n\n{table(rows)}" if len(rows) > 1 else head


def _files(folder: Path) -> str:
    rows = [("file", "bytes", "sha256")]
    for name, digest in tree_hashes(folder, ["."]).items():
        rows.append((f"`{name}`", _number((folder / name).stat().st_size), f"`{digest}`"))
    return table(rows)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else "-"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; the first row is the heading."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join((lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]))
