"""The models of an evaluation: the teachers, loaded, and what is told of each model beside its figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.answers import Answer
from potstill.config import FIRST, Recipe
from potstill.evaluate.answering import write_answers
from potstill.evaluate.calibration import error_of
from potstill.evaluate.fidelity import Positions
from potstill.models.fetch import fetch
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import Figure
from potstill.store.journal import request_seed
from potstill.students.layers import decoder_layers


def load_teachers(recipe: Recipe, reporter: Reporter) -> tuple[dict[str, LocalModel], dict[str, Path]]:
    """The local teachers by name, loaded, and their folders."""
    local = {name: (one.model, one.sha256) for name, one in recipe.teachers.items() if one.model is not None}
    homes = {name: fetch(reference, sha256, reporter) for name, (reference, sha256) in local.items()}
    return {name: LocalModel.load(home, local[name][0]) for name, home in homes.items()}, homes


def own_answers(model: LocalModel, held: Sequence[Answer], recipe: Recipe) -> list[str]:
    """The model's own answers, sampled as the teacher's were and with the same random numbers."""
    prompts = [one.example.tokens[: one.example.prompt_length] for one in held]
    seeds = [request_seed(recipe.collect.seed, one.prompt_hash, one.sample) for one in held]
    return [one.text for one in write_answers(model, prompts, seeds, recipe.collect)]


def teacher_facts(
    teachers: Mapping[str, LocalModel], homes: Mapping[str, Path], positions: Positions
) -> dict[str, dict[str, Any]]:
    """Facts of each teacher by name, and where there are several of their mixture, whose the perplexity then is."""
    found = {name: _counted(one, homes[name]) for name, one in teachers.items()}
    if positions.log_p is not None:
        measured = found[FIRST] if len(teachers) == 1 else found.setdefault("mixture", {})
        measured["perplexity"] = positions.perplexity(positions.log_p)
        if positions.teacher_confidence is not None and positions.teacher_hit is not None:
            measured["calibration_error"] = error_of(positions.teacher_confidence, positions.teacher_hit)
    return found


def model_facts(student: LocalModel, home: Path, positions: Positions) -> dict[str, Any]:
    """Facts of a student or baseline, with its perplexity on the teacher's answers."""
    measured = {"perplexity": positions.perplexity(positions.log_q)}
    if positions.confidence is not None and positions.hit is not None:
        measured["calibration_error"] = error_of(positions.confidence, positions.hit)
    return _counted(student, home) | measured


def _counted(model: LocalModel, home: Path) -> dict[str, Any]:
    """What is counted; None stands for what is measured later, or for no model of this kind."""
    return {
        "reference": model.identity.reference,
        "parameters": model.parameters,
        "layers": len(decoder_layers(model.network)),
        "size_bytes": sum(path.stat().st_size for path in home.glob("*.safetensors")),
        "perplexity": None,
        "calibration_error": None,
        "prefill_tokens_per_s": None,
        "decode_tokens_per_s": None,
        "peak_memory_bytes": None,
    }


def size_ratios(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Figure]:
    """Parameters and bytes of weight files, student over teacher: of several the first."""
    student, teacher = models["student"], models["teacher"]
    return {
        "parameter_ratio": exact(student["parameters"] / teacher["parameters"], "student / teacher"),
        "size_ratio": exact(student["size_bytes"] / teacher["size_bytes"], "student / teacher"),
    }


def exact(value: float, unit: str) -> Figure:
    """A figure that is counted, not estimated: it has no interval."""
    return Figure(value, None, None, 1, unit)
