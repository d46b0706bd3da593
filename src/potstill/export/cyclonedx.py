"""CycloneDX 1.6: the student as a machine-learning component with model card, its teachers as ancestors, its data."""

from collections.abc import Iterable, Mapping
from typing import Any

from potstill import __version__
from potstill.export.lineage import Layer
from potstill.export.subject import Ancestor, Subject

FILE = "bom.cdx.json"
_STUDENT, _PROMPTS, _ANSWERS = "student", "prompts", "answers"


def bill_of_materials(subject: Subject) -> dict[str, Any]:
    """The whole document, ready to be written as JSON; specification: ECMA-424, https://cyclonedx.org/docs/1.6/json/."""
    ancestors = [_ancestor(one) for one in (*subject.teachers, *([subject.base] if subject.base else ()))]
    teachers = [_ref(one) for one in subject.teachers]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": subject.identifier("cyclonedx").urn,
        "version": 1,
        "metadata": {
            "timestamp": subject.created,
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [{"type": "application", "name": "potstill", "version": __version__}]},
            "component": _student(subject, ancestors),
        },
        "components": [_prompts(subject), _answers(subject)],
        "dependencies": [
            {"ref": _STUDENT, "dependsOn": [_ANSWERS]},
            {"ref": _ANSWERS, "dependsOn": [_PROMPTS, *teachers]},
            *({"ref": one} for one in teachers),
        ],
    }


def _student(subject: Subject, ancestors: list[dict[str, Any]]) -> dict[str, Any]:
    weights = [one for one in subject.files if one.name.endswith(".safetensors")]
    return {
        "type": "machine-learning-model",
        "bom-ref": _STUDENT,
        "name": subject.recipe.name,
        "version": subject.version,
        "description": subject.made,
        **({"hashes": _sha256(weights[0].sha256)} if len(weights) == 1 else {}),
        "licenses": _licences(subject.layers) or [{"license": {"name": "not stated: see the terms in README.md"}}],
        "pedigree": {"ancestors": ancestors, "notes": subject.made},
        "components": [
            {"type": "file", "name": one.name, "hashes": _sha256(one.sha256)}
            | _properties({"potstill:size_bytes": one.size_bytes})
            for one in subject.files
        ],
        "modelCard": _card(subject),
        **_properties(
            [("potstill:obligation", text) for text in subject.obligations]
            + [("potstill:limit", text) for text in subject.limits]
            + [("potstill:decision", subject.decision.get("word"))]
            + [("potstill:despite", subject.decision[key]) for key in ("despite",) if key in subject.decision]
        ),
    }


def _card(subject: Subject) -> dict[str, Any]:
    figures, use = subject.figures, subject.recipe.use
    shown = {key: text for key, text in (("architectureFamily", subject.family),
                                         ("modelArchitecture", subject.architecture)) if text}  # fmt: skip
    kind = "reinforcement-learning" if subject.recipe.scores_rollouts else "supervised"
    doubt = [str(subject.decision.get("reason"))] if subject.decision.get("word") != "ship" else []
    considerations = {
        "useCases": [use.purpose] if use.purpose else [],
        "technicalLimitations": [*doubt, *subject.limits],
    }
    return {
        "modelParameters": {
            "approach": {"type": kind},
            "task": "text-generation",
            **shown,
            "datasets": [{"ref": _ANSWERS}, {"ref": _PROMPTS}],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [_metric(name, one) for name, one in figures.items()]},
        "considerations": {key: texts for key, texts in considerations.items() if texts},
        **_properties({f"potstill:unit:{name}": one.get("unit") for name, one in figures.items()}),
    }


def _metric(name: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    metric = {"type": name, "value": str(figure["value"])}
    low, high, cases = figure.get("low"), figure.get("high"), figure.get("n")
    if cases is not None and cases > 1:  # what was taken once, such as a size, is of no prompt
        metric["slice"] = f"held-out prompts, n = {cases}"
    if low is None or high is None:
        return metric
    return metric | {"confidenceInterval": {"lowerBound": str(low), "upperBound": str(high)}}


def _ancestor(one: Ancestor) -> dict[str, Any]:
    component: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": _ref(one), "name": one.shown}
    if one.revisions:
        component["version"] = ", ".join(one.revisions)
    if one.sha256 is not None:
        component["hashes"] = _sha256(one.sha256)
    if one.repository is not None:
        component["purl"] = f"pkg:huggingface/{one.repository}" + (f"@{one.commit}" if one.commit else "")
    if licences := _licences(one.layers):
        component["licenses"] = licences
    return component | _properties(
        [("potstill:role", "teacher" if one.name != "base" else "weights that training began with")]
        + ([("potstill:host", one.host)] if one.host else [])
        + [("potstill:terms", f"{of.name}: rule {of.rule}, {of.dated}") for of in one.layers]
    )  # fmt: skip


def _prompts(subject: Subject) -> dict[str, Any]:
    said = f"The prompts of {subject.recipe.name}, from {subject.recipe.prompts.source.name}, as the run holds them."
    licences = _licences(subject.data_layers)
    return _data(_PROMPTS, "prompts.parquet", subject.prompts_sha256, said) | (
        {"licenses": licences} if licences else {}
    )


def _answers(subject: Subject) -> dict[str, Any]:
    answers = subject.answers
    splits = ", ".join(f"{number:,} {name}" for name, number in sorted(answers.splits.items()))
    said = (
        f"The teachers' answers, {answers.rows:,} rows ({splits}): what the student was trained and evaluated on. The "
        "hash is that of the run folder's own table, which the exported one joins with what screening said."
    )
    return _data(_ANSWERS, "answers.parquet", answers.sha256, said)


def _data(ref: str, name: str, sha256: str, description: str) -> dict[str, Any]:
    return {
        "type": "data",
        "bom-ref": ref,
        "name": name,
        "description": description,
        "hashes": _sha256(sha256),
        "data": [{"type": "dataset", "name": name, "description": description}],
    }


def _licences(layers: Iterable[Layer]) -> list[dict[str, Any]]:
    found = []
    for one in layers:
        link = {"url": one.url} if one.url else {}
        named = {"id": one.spdx_id} if one.spdx_id else {"name": one.dated}
        found.append({"license": {**named, **link, "acknowledgement": "concluded"}})
    return [one for at, one in enumerate(found) if one not in found[:at]]


def _ref(one: Ancestor) -> str:
    return f"ancestor:{one.name}"


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _properties(values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = values.items() if isinstance(values, Mapping) else values
    listed = [{"name": name, "value": str(value)} for name, value in pairs if value is not None]
    return {"properties": listed} if listed else {}
