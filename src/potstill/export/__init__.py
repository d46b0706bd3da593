"""The student leaves the run: an ordinary Hugging Face folder with its papers, and the teacher's obligations met."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.config import Recipe
from potstill.errors import PotstillError
from potstill.export.answers import ANSWERS, read_answers, write_answers
from potstill.export.card import write_card
from potstill.export.licences import check_texts, write_licences
from potstill.export.notice import write_notice
from potstill.export.obligations import check
from potstill.export.refusal import refusal
from potstill.export.subject import gather
from potstill.records import StageResult

__all__ = ["check_before", "export"]

_MODEL = "export/safetensors"
_DATA = "export/answers"


def check_before(recipe: Recipe, terms_facts: Mapping[str, Any]) -> None:
    """Refuse before anything is paid for what `export` would refuse for the terms' sake. Raises TermsStopped."""
    check(recipe, terms_facts)
    check_texts(recipe, terms_facts)


def export(recipe: Recipe, terms_facts: Mapping[str, Any], folder: Path, *, despite: str | None = None) -> StageResult:
    """Copy the run's student to export/safetensors with licence files and papers, and its answers to export/answers.

    `terms_facts` are the fields of the Clearance, `url` and, where known, `layers` (see `lineage.layers_of`). `despite`
    says why a student that was refused goes out all the same; the papers tell it. Raises NotAccepted or Inconclusive
    where the evaluation says no ship or inconclusive to what is asked and nobody does, TermsStopped where an obligation
    is not met, PotstillError where files lack.
    """
    evaluation = _evaluation(folder)
    if (refused := refusal(recipe, evaluation["decision"])) is not None and despite is None:
        raise refused
    if despite is not None:
        evaluation = {**evaluation, "decision": {**evaluation["decision"], "despite": despite}}
    check(recipe, terms_facts)
    student = folder / "student"
    if not (student / "config.json").is_file() or not any(student.glob("*.safetensors")):
        raise PotstillError(f"{student}: holds no config.json with .safetensors weights; run the train stage first")
    targets = [folder / _MODEL, *([folder / _DATA] if "croissant" in recipe.export.papers else [])]
    parts = [target.with_name(f"{target.name}.part") for target in targets]
    try:
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(student, parts[0])
        texts = (*write_licences(recipe, terms_facts, parts[0]), *write_notice(recipe, terms_facts, parts[0]))
        _write_papers(recipe, terms_facts, evaluation, folder, parts)
        for part, target in zip(parts, targets, strict=True):
            _swap(part, target)
        if "croissant" not in recipe.export.papers and (folder / _DATA).exists():
            shutil.rmtree(folder / _DATA)  # of an earlier recipe
    except BaseException as error:
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise PotstillError(
            f"{folder / 'export'}: could not be written ({error.strerror or error}); make room and run again"
        ) from None
    size_bytes = sum(path.stat().st_size for path in targets[0].rglob("*") if path.is_file())
    facts = {"name": recipe.name, "format": "safetensors", "size_bytes": size_bytes, "licence_files": list(texts),
             "papers": ["model_card", *recipe.export.papers]}  # fmt: skip
    facts |= {"decision": evaluation["decision"].get("word"), **({"despite": despite} if despite is not None else {})}
    return StageResult(outputs=tuple(target.relative_to(folder).as_posix() for target in targets), facts=facts)


def _write_papers(
    recipe: Recipe, terms_facts: Mapping[str, Any], evaluation: Mapping[str, Any], folder: Path, parts: list[Path]
) -> None:
    """The papers into the model's folder, the card last because it lists the others; the answers into theirs."""
    from potstill.export import croissant, cyclonedx, spdx
    from potstill.export.dataset_card import write_dataset_card

    model, papers = parts[0], recipe.export.papers
    (model / "README.md").unlink(missing_ok=True)  # the teacher's card may have come along with the tokenizer
    if papers:
        subject = gather(recipe, terms_facts, evaluation, read_answers(folder), folder, model)
        if "cyclonedx" in papers:
            _write_json(cyclonedx.bill_of_materials(subject), model / cyclonedx.FILE)
        if "spdx" in papers:
            _write_json(spdx.document(subject), model / spdx.FILE)
        if "croissant" in papers:
            parts[1].mkdir(parents=True)
            write_answers(recipe, terms_facts, folder, parts[1] / ANSWERS)
            write_dataset_card(subject, terms_facts, parts[1])
            _write_json(croissant.metadata(subject, parts[1]), parts[1] / croissant.FILE)
    write_card(recipe, terms_facts, evaluation, model)


def _write_json(document: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _evaluation(folder: Path) -> Mapping[str, Any]:
    path = folder / "evaluation.json"
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PotstillError(f"{path}: is not there; run the evaluate stage first") from None
    except ValueError as error:
        raise PotstillError(f"{path}: is not valid JSON ({error}); run the evaluate stage again") from None
    if not isinstance(data, dict) or not isinstance(data.get("decision"), dict):
        raise PotstillError(f"{path}: has no decision; run the evaluate stage again")
    if not isinstance(data.get("created"), str):
        raise PotstillError(f"{path}: does not say when it was made; run the evaluate stage again")
    return data


def _swap(part: Path, target: Path) -> None:
    """Put the finished folder in the place of an older one; a crash between the renames leaves no half folder there."""
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)
