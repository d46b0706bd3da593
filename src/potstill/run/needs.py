"""How much disk, memory and time a recipe needs, from the sizes of both models and the most tokens there can be."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from potstill.config import ModelStudent, PrunedStudent, Recipe, ScratchStudent
from potstill.models.fetch import cached
from potstill.records import Prompt
from potstill.run.sizes import (
    Weights,
    disk_bytes,
    measured_flops_per_s,
    model_bytes,
    read_weights,
    signal_bytes,
    training_bytes,
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of the work. `exact` where the teacher's own tokenizer counted the prompts."""

    prompt: int  # of one request a prompt
    prompt_train: int  # the part of the training split
    exact: bool
    own_share: float = 1.0  # of the prompts' tokens, those after what all prompts begin with; that is computed once
    too_long: tuple[str, ...] = ()  # places of the prompts that leave no room for an answer in the teacher's context


@dataclass(frozen=True, slots=True)
class Needs:
    """What the machine has to give; None where it cannot be known before the models are fetched."""

    teacher_parameters: int | None
    student_parameters: int | None
    disk_bytes: int | None
    disk_free_bytes: int
    memory_bytes: int | None
    time_s: float | None


def estimate_needs(
    recipe: Recipe, prompts: tuple[Prompt, ...], tokens: Tokens, teacher: Path | None, folder: Path
) -> Needs:
    """Upper estimates for a run in `folder`; `teacher` is the folder of a local teacher's weights, if it is here."""
    ours = read_weights(teacher) if teacher else None
    teacher_size = ours.parameters if ours else 0
    student = _student_parameters(recipe, ours)
    free = shutil.disk_usage(_existing(folder)).free
    if student is None or (recipe.teacher.model is not None and ours is None):
        return Needs(teacher_size or None, student, None, free, None, None)
    samples = recipe.collect.answers_per_prompt
    positions = len(prompts) * samples * recipe.collect.max_new_tokens
    signals = positions * signal_bytes(recipe.signals) if recipe.teacher.model is not None else 0
    trained = 1 + ("fine_tuning" in recipe.evaluate.baselines)
    disk = disk_bytes(student, trained, signals, len(prompts) * samples, positions)
    beside = teacher_size if recipe.signals.kind == "full" else 0
    frozen = student if recipe.student.lora is not None else 0
    memory = max(training_bytes(student - frozen, frozen, beside), model_bytes(teacher_size + student))
    operations = _operations(recipe, prompts, tokens, teacher_size, student, beside)
    return Needs(teacher_size or None, student, disk, free, memory, operations / measured_flops_per_s())


def _operations(
    recipe: Recipe, prompts: tuple[Prompt, ...], tokens: Tokens, teacher: int, student: int, beside: int
) -> float:
    """Floating-point operations: 2 for a weight and a token forward, 6 forward and backward."""
    samples = recipe.collect.answers_per_prompt
    train = sum(prompt.split == "train" for prompt in prompts)
    trained_on = samples * (tokens.own_share * tokens.prompt_train + train * recipe.collect.max_new_tokens)
    total = samples * (tokens.own_share * tokens.prompt + len(prompts) * recipe.collect.max_new_tokens)
    trainings = 1 + ("fine_tuning" in recipe.evaluate.baselines)
    training = (6 * student * trainings + 2 * beside) * trained_on * recipe.train.epochs
    evaluating = 2 * (teacher + student * (1 + len(recipe.evaluate.baselines))) * (total - trained_on)
    return 2 * teacher * total + training + evaluating


def _existing(folder: Path) -> Path:
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())


def _student_parameters(recipe: Recipe, teacher: Weights | None) -> int | None:
    match recipe.student:
        case PrunedStudent(keep_layers=layers):
            return teacher.pruned_to(layers) if teacher else None
        case ModelStudent(model=reference):
            folder = cached(reference)
            weights = read_weights(folder) if folder else None
            return weights.parameters if weights else None
        case ScratchStudent() as student:
            from potstill.students.compatibility import load_tokenizer, scratch_parameters

            source = student.tokenizer or recipe.teacher.model
            folder = cached(source) if source else None
            if folder is None and "vocab_size" not in student.config:
                return None
            return scratch_parameters(student.config, len(load_tokenizer(folder)) if folder else None)
