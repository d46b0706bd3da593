"""SPDX 3.0.1 JSON-LD, profiles AI and Dataset: the student, the data that it was trained on, the teachers behind it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from potstill import __version__
from potstill.export.lineage import Layer
from potstill.export.subject import Ancestor, Subject

FILE = "bom.spdx3.json"
_NO_LICENCE = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense"
_PROFILES = ["core", "software", "ai", "dataset", "simpleLicensing"]
_HASHED = "The hash is that of the run folder's own table; the exported one joins it with what screening said."
_HERE = "."  # where to download from: the folder that holds this file


class _Graph:
    """The elements of the document, each with a name of its own below the document's."""

    def __init__(self, subject: Subject) -> None:
        self.base = f"https://spdx.org/spdxdocs/{subject.recipe.name}-{subject.identifier('spdx')}"
        self.elements: list[dict[str, Any]] = []

    def add(self, kind: str, short: str, /, **properties: Any) -> str:
        """Add an element; gives its id. What is None or empty is left out."""
        spdx_id = f"{self.base}#{short}"
        said = {key: value for key, value in properties.items() if value not in (None, "", [])}
        self.elements.append({"type": kind, "spdxId": spdx_id, "creationInfo": "_:creation", **said})
        return spdx_id

    def relate(self, kind: str, start: str, *ends: str) -> None:
        """Add a relationship that is known to be complete."""
        name = f"{start.rpartition('#')[2]}-{kind}-{len(self.elements)}"
        ends_given: dict[str, Any] = {"from": start, "to": list(ends)}
        self.add("Relationship", name, relationshipType=kind, completeness="complete", **ends_given)


def document(subject: Subject) -> dict[str, Any]:
    """The whole document, ready to be written as JSON; specification: https://spdx.github.io/spdx-spec/v3.0.1/."""
    graph = _Graph(subject)
    tool = graph.add("Tool", "potstill", name=f"potstill {__version__}")
    maker = graph.add("Agent", "maker", name=f"the maker of {subject.recipe.name}")
    teachers = {one.name: _teacher(graph, one) for one in subject.teachers}
    agents = [graph.add("SoftwareAgent", f"agent-{one.name}", name=one.shown) for one in subject.teachers]
    answers = _answers(graph, subject, agents)
    student = _student(graph, subject, maker)
    for teacher in teachers.values():
        graph.relate("generates", teacher, answers)
    graph.relate("trainedOn", student, answers)
    graph.relate("testedOn", student, answers)
    if parents := _parents(graph, subject, teachers):
        graph.relate("descendantOf", student, *parents)
    licence = _expression(graph, "licence-student", subject.layers)
    graph.relate("hasDeclaredLicense", student, licence)
    graph.relate("hasConcludedLicense", student, licence)
    members = [one["spdxId"] for one in graph.elements]
    sbom = graph.add(
        "software_Sbom", "sbom", name=subject.recipe.name, profileConformance=_PROFILES, software_sbomType=["build"],
        rootElement=[student], element=members,
    )  # fmt: skip
    creation = {
        "type": "CreationInfo",
        "@id": "_:creation",
        "specVersion": "3.0.1",
        "created": subject.created,
        "createdBy": [maker],
        "createdUsing": [tool],
    }
    whole = {"type": "SpdxDocument", "spdxId": graph.base, "creationInfo": "_:creation", "name": subject.recipe.name,
             "profileConformance": _PROFILES, "rootElement": [sbom], "element": [*members, sbom]}  # fmt: skip
    return {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [creation, *graph.elements, whole]}


def _student(graph: _Graph, subject: Subject, maker: str) -> str:
    recipe = subject.recipe
    trained = {
        "objective": recipe.objective.kind,
        "epochs": recipe.train.epochs,
        "learning_rate": recipe.train.learning_rate,
        "tokens_per_batch": recipe.train.tokens_per_batch,
    }
    doubt = f"{subject.decision.get('word')}: {subject.decision.get('reason')}"
    if "despite" in subject.decision:
        doubt += f". Exported despite this: {subject.decision['despite']}"
    student = graph.add(
        "ai_AIPackage", "student", name=recipe.name, description=subject.made, software_packageVersion=subject.version,
        software_primaryPurpose="model", software_downloadLocation=_HERE, releaseTime=subject.created, suppliedBy=maker,
        ai_typeOfModel=[text for text in (subject.family, subject.architecture) if text],
        ai_informationAboutTraining=subject.made, ai_informationAboutApplication=recipe.use.purpose,
        ai_limitation=" ".join((*subject.limits, doubt)), ai_metric=_entries(_metrics(subject)),
        ai_hyperparameter=_entries(trained), software_attributionText=list(subject.obligations),
    )  # fmt: skip
    files = [
        graph.add("software_File", f"file-{at}", name=one.name, verifiedUsing=_hash(one.sha256))
        for at, one in enumerate(subject.files)
    ]
    graph.relate("contains", student, *files)
    return student


def _answers(graph: _Graph, subject: Subject, agents: list[str]) -> str:
    answers, source = subject.answers, subject.recipe.prompts.source.name
    prompts = graph.add(
        "software_File", "prompts", name="prompts.parquet", software_primaryPurpose="data",
        verifiedUsing=_hash(subject.prompts_sha256), description=f"The prompts, from {source}, as the run holds them.",
    )  # fmt: skip
    if subject.data_layers:
        graph.relate("hasConcludedLicense", prompts, _expression(graph, "licence-prompts", subject.data_layers))
    built = answers.last.strftime("%Y-%m-%dT%H:%M:%SZ") if answers.last else None
    splits = ", ".join(f"{number:,} {name}" for name, number in sorted(answers.splits.items()))
    found = graph.add(
        "dataset_DatasetPackage", "answers", name=f"answers of {subject.recipe.name}", software_primaryPurpose="data",
        software_downloadLocation=_HERE, releaseTime=subject.created, builtTime=built, originatedBy=agents,
        verifiedUsing=_hash(answers.sha256), dataset_datasetType=["text"], dataset_datasetSize=answers.rows,
        dataset_dataCollectionProcess="Each prompt was sent to the teacher, and its answer kept with the request.",
        description=f"The teachers' answers to the prompts: {splits}.", comment=_HASHED,
    )  # fmt: skip
    graph.relate("dependsOn", found, prompts)
    return found


def _teacher(graph: _Graph, one: Ancestor) -> str:
    """A package and not an AIPackage: that profile wants a time of release, which nobody here knows."""
    known = f"https://huggingface.co/{one.repository}" if one.repository else None
    package = graph.add(
        "software_Package", f"teacher-{one.name}", name=one.shown, software_primaryPurpose="model",
        software_packageVersion=", ".join(one.revisions), software_downloadLocation=known,
        software_packageUrl=f"pkg:huggingface/{one.repository}" if one.repository else None,
        verifiedUsing=_hash(one.sha256) if one.sha256 else None,
        comment=f"served by {one.host}" if one.host else None,
    )  # fmt: skip
    if one.layers:
        graph.relate("hasConcludedLicense", package, _expression(graph, f"licence-{one.name}", one.layers))
    return package


def _parents(graph: _Graph, subject: Subject, teachers: Mapping[str, str]) -> list[str]:
    """Whose weights the student's are made from."""
    if subject.base is not None:
        return [_teacher(graph, subject.base)]
    return [next(iter(teachers.values()))] if subject.recipe.student.kind == "pruned" else []


def _expression(graph: _Graph, name: str, layers: Iterable[Layer]) -> str:
    """All of the layers hold together: AND. A document that is on no list gets a LicenseRef that leads to it."""
    terms = {one.spdx_id or f"LicenseRef-{re.sub(r'[^A-Za-z0-9.-]', '-', one.rule)}": one for one in layers}
    if not terms:
        return _NO_LICENCE
    custom = {term: one.url for term, one in terms.items() if one.spdx_id is None and one.url}
    documents = "; ".join(f"{term}: {one.dated}" for term, one in terms.items())
    return graph.add(
        "simplelicensing_LicenseExpression", name, simplelicensing_licenseExpression=" AND ".join(terms),
        simplelicensing_customIdToUri=_entries(custom), comment=documents,
    )  # fmt: skip


def _metrics(subject: Subject) -> dict[str, Any]:
    """Each figure, with the bounds of its interval, its unit and the number of cases beside it."""
    parts = {"": "value", ".low": "low", ".high": "high", ".n": "n", ".unit": "unit"}
    return {
        f"{name}{suffix}": figure[key]
        for name, figure in subject.figures.items()
        for suffix, key in parts.items()
        if figure.get(key) is not None
    }


def _entries(values: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"type": "DictionaryEntry", "key": key, "value": str(value)} for key, value in values.items()]


def _hash(digest: str) -> list[dict[str, str]]:
    return [{"type": "Hash", "algorithm": "sha256", "hashValue": digest}]
