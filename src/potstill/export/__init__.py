"""The student leaves the run: an ordinary Hugging Face folder with a card, and the teacher's obligations met."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.config import Recipe
from potstill.errors import NotAccepted, PotstillError
from potstill.export.card import write_card
from potstill.export.obligations import check_name, write_licences
from potstill.records import StageResult

__all__ = ["export"]

_WHERE = "export/safetensors"


def export(recipe: Recipe, terms_facts: Mapping[str, Any], folder: Path) -> StageResult:
    """Copy the run's student to export/safetensors with its card and licence files, in one step.

    `terms_facts` are the fields of the Clearance (and `url`, where known). Raises NotAccepted where the evaluation says
    no ship to what `accept:` asks, TermsStopped where the name breaks an obligation, PotstillError where files lack.
    """
    evaluation = _evaluation(folder)
    decision = evaluation["decision"]
    if recipe.accept and decision.get("word") == "no ship":
        raise NotAccepted(f"not exported: {decision.get('reason', 'no ship')}; change the recipe or what accept: asks")
    check_name(recipe, terms_facts)
    student = folder / "student"
    if not (student / "config.json").is_file() or not any(student.glob("*.safetensors")):
        raise PotstillError(f"{student}: holds no config.json with .safetensors weights; run the train stage first")
    target = folder / _WHERE
    part = target.with_name("safetensors.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(student, part)
        licences = write_licences(recipe, terms_facts, part)
        write_card(recipe, terms_facts, evaluation, part)
        _swap(part, target)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise PotstillError(
            f"{target}: could not be written ({error.strerror or error}); make room and run again"
        ) from None
    size_bytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    facts = {"name": recipe.name, "format": "safetensors", "size_bytes": size_bytes, "licence_files": list(licences)}
    return StageResult(outputs=(_WHERE,), facts=facts)


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
    return data


def _swap(part: Path, target: Path) -> None:
    """Put the finished folder in the place of an older one; a crash between the renames leaves no half folder there."""
    old = target.with_name("safetensors.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)
