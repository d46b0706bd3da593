"""What every paper tells of one student, gathered once: its files, teachers, licences, data, figures and limits."""

import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from potstill.config import ModelStudent, PrunedStudent, Recipe, Teacher
from potstill.export.answers import Answers
from potstill.export.lineage import PROMPTS, Layer, base_model, layers_of, shown_teacher, shown_teachers, student_layers
from potstill.export.notice import limits
from potstill.export.obligations import obligations_of, sentence
from potstill.ledger import file_hash
from potstill.models.reference import HubReference, parse_reference
from potstill.records import content_hash

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class File:
    """A file of the model folder."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A teacher, or another model whose weights training began with."""

    name: str  # in the recipe; "base" for weights that are no teacher's
    shown: str  # its reference, without a place on this machine
    revisions: tuple[str, ...]  # sha256 of local weights, what a server says it served; sorted
    host: str | None
    repository: str | None  # ORG/NAME on a model hub
    commit: str | None  # of the repository, where the recipe pins one
    layers: tuple[Layer, ...]

    @property
    def sha256(self) -> str | None:
        """The hash of the weights' file; None at a server, and where several files hold the weights."""
        only = self.revisions[0] if self.host is None and len(self.revisions) == 1 else ""
        return only if _SHA256.fullmatch(only) else None


@dataclass(frozen=True, slots=True)
class Subject:
    """One exported student. Everything in it is safe to publish: no place on this machine, no key, no prompt."""

    recipe: Recipe
    version: str  # the first 12 digits of the hash of its weights
    created: str  # when it was evaluated, as 2026-11-26T14:11:49Z
    files: tuple[File, ...]
    architecture: str | None  # as its config names it
    family: str | None
    teachers: tuple[Ancestor, ...]
    base: Ancestor | None  # None where the student was cut from a teacher, or began from nothing
    data_layers: tuple[Layer, ...]  # terms of the prompts' data set
    layers: tuple[Layer, ...]  # licences that its own weights are under, as far as the teachers say
    limits: tuple[str, ...]
    obligations: tuple[str, ...]  # in words
    answers: Answers
    prompts_sha256: str
    figures: Mapping[str, Mapping[str, Any]]
    decision: Mapping[str, Any]
    counts: Mapping[str, Any]  # of prompts and answers, from the evaluation

    @property
    def made(self) -> str:
        """How the student came to be, in one sentence."""
        start = "a new model"
        if isinstance(self.recipe.student, PrunedStudent):
            start = f"the teacher with {self.recipe.student.keep_layers} of its decoder layers"
        elif self.base is not None:
            start = self.base.shown
        learned = "distributions" if self.recipe.objective.divergences else "answers"
        return f"Made by distillation: {start}, trained on {learned} of {shown_teacher(self.recipe)}."

    def identifier(self, what: str) -> uuid.UUID:
        """A name for one of the student's papers: the same bytes of weights and answers give the same name."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"potstill:{what}:{self.fingerprint}")

    @property
    def fingerprint(self) -> str:
        """A hash of the model's files and the answers behind them."""
        return content_hash([[one.name, one.sha256] for one in self.files] + [self.answers.sha256])


def gather(
    recipe: Recipe, terms_facts: Mapping[str, Any], evaluation: Mapping[str, Any], answers: Answers, run: Path,
    model: Path,
) -> Subject:  # fmt: skip
    """The subject of a run folder's papers; `model` is the exported folder, licences and notices included."""
    files = tuple(
        File(path.relative_to(model).as_posix(), path.stat().st_size, file_hash(path))
        for path in sorted(model.rglob("*"))
        if path.is_file()
    )
    weights = [[one.name, one.sha256] for one in files if one.name.endswith(".safetensors")]
    config = json.loads((model / "config.json").read_bytes())
    return Subject(
        recipe=recipe,
        version=content_hash(weights)[:12],
        created=_second(evaluation["created"]),
        files=files,
        architecture=next(iter(config.get("architectures") or ()), None),
        family=config.get("model_type"),
        teachers=tuple(_teachers(recipe, terms_facts, answers)),
        base=_base(recipe),
        data_layers=tuple(one for one in layers_of(terms_facts) if one.teacher == PROMPTS),
        layers=student_layers(recipe, terms_facts),
        limits=limits(terms_facts),
        obligations=tuple(sentence(given) for given in obligations_of(terms_facts)),
        answers=answers,
        prompts_sha256=file_hash(run / "prompts.parquet"),
        figures=finite(evaluation),
        decision=evaluation["decision"],
        counts=evaluation.get("data") or {},
    )


def finite(evaluation: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The figures that have a value."""
    figures: Mapping[str, Mapping[str, Any]] = evaluation.get("figures") or {}
    return {
        name: one
        for name, one in figures.items()
        if isinstance(one["value"], int | float) and math.isfinite(one["value"])
    }


def _teachers(recipe: Recipe, terms_facts: Mapping[str, Any], answers: Answers) -> list[Ancestor]:
    shown, layers = shown_teachers(recipe), layers_of(terms_facts)
    found = []
    for name, one in recipe.teachers.items():
        sources = [source for source in answers.sources if source.teacher == name]
        revisions = {text for source in sources if (text := source.served or source.asked)}
        host = next((source.host for source in sources if source.host), None)
        own = tuple(layer for layer in layers if layer.teacher == name)
        found.append(Ancestor(name, shown[name], tuple(sorted(revisions)), host, *_place(one), own))
    return found


def _base(recipe: Recipe) -> Ancestor | None:
    if not isinstance(recipe.student, ModelStudent):
        return None
    start = Teacher(model=recipe.student.model)
    name = base_model(recipe) or f"path:{recipe.student.model.rstrip('/').rpartition('/')[2]}"
    return Ancestor("base", name, (), None, *_place(start), ())


def _place(teacher: Teacher) -> tuple[str | None, str | None]:
    parsed = parse_reference(teacher.model) if teacher.model else None
    return (parsed.repository, parsed.revision) if isinstance(parsed, HubReference) else (None, None)


def _second(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
