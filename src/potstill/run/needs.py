"""How much disk, memory and time a recipe needs, from the sizes of both models and the most tokens there can be."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from potstill.config import FIRST, ModelStudent, PrunedStudent, Recipe, ScratchStudent
from potstill.config.evaluation import CLASSIFYING
from potstill.models.fetch import cached
from potstill.records import Prompt
from potstill.run.sizes import (
    Weights,
    disk_bytes,
    measured_flops_per_s,
    model_bytes,
    read_weights,
    reported_bytes,
    signal_bytes,
    training_bytes,
)
from potstill.run.teachers import Part, parts

_CHARACTERS_PER_TOKEN = 4  # of a label, for want of the student's tokenizer


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
    recipe: Recipe, prompts: tuple[Prompt, ...], tokens: Tokens, teachers: Mapping[str, Path | None], folder: Path
) -> Needs:
    """Upper estimates for a run in `folder`; `teachers` are the folders of the weights of those that are here."""
    weights = {name: read_weights(one) if one else None for name, one in teachers.items()}
    first = weights[FIRST]
    student = _student_parameters(recipe, first)
    free = shutil.disk_usage(_existing(folder)).free
    if student is None or (recipe.teacher.model is not None and None in weights.values()):
        return Needs(first.parameters if first else None, student, None, free, None, None)
    sizes = {name: one.parameters if one else 0 for name, one in weights.items()}
    shares = parts(recipe, prompts)
    answers = sum(recipe.samples(prompt.split) for prompt in prompts)
    positions = answers * recipe.collect.max_new_tokens
    stored = sum(one.takes_part for one in shares.values()) * positions
    signals = round(stored * signal_bytes(recipe.signals))
    if recipe.teacher.endpoint is not None:
        signals += round(stored * reported_bytes(recipe.signals))
    trained = 1 + ("fine_tuning" in recipe.evaluate.baselines)
    disk = disk_bytes(student, trained, signals, answers, positions)
    together = sum(sizes.values())  # evaluating holds all of them, and so does training beside them
    beside = together if recipe.signals.kind == "full" else 0
    frozen = student if recipe.student.lora is not None else 0
    memory = max(training_bytes(student - frozen, frozen, beside), model_bytes(together + student))
    operations = _operations(recipe, prompts, tokens, _Work.of(recipe, sizes, shares), student)
    return Needs(sizes[FIRST] or None, student, disk, free, memory, operations / measured_flops_per_s())


@dataclass(frozen=True, slots=True)
class _Work:
    """Weights of teachers that a token of the prompts and answers goes through on average, in each kind of work."""

    answering: float
    scoring: float  # of training answers, in a pass of its own; one teacher's signals are kept while it answers
    beside: float
    evaluating: float

    @classmethod
    def of(cls, recipe: Recipe, sizes: Mapping[str, int], shares: Mapping[str, Part]) -> "_Work":
        taking_part = sum(size * shares[name].takes_part for name, size in sizes.items())
        writing = sum(size * shares[name].writes for name, size in sizes.items())
        stored = recipe.more_teachers and recipe.signals.kind in ("sampled", "top_k")
        live = recipe.signals.kind == "full"
        return cls(writing, taking_part if stored else 0, taking_part if live else 0, taking_part)


def _operations(recipe: Recipe, prompts: tuple[Prompt, ...], tokens: Tokens, work: _Work, student: int) -> float:
    """Floating-point operations: 2 for a weight and a token forward, 6 forward and backward."""
    samples = recipe.collect.answers_per_prompt
    train = sum(prompt.split == "train" for prompt in prompts)
    trained_on = samples * (tokens.own_share * tokens.prompt_train + train * recipe.collect.max_new_tokens)
    total = samples * (tokens.own_share * tokens.prompt + len(prompts) * recipe.collect.max_new_tokens)
    trainings = 1 + ("fine_tuning" in recipe.evaluate.baselines)
    training = (6 * student * trainings + 2 * work.beside) * trained_on * recipe.train.epochs
    students = student * (1 + len(recipe.evaluate.baselines))
    # Held-out answers are read by the teachers, and written a second time by those that wrote them.
    again = recipe.evaluate.self_agreement and recipe.teacher.model is not None and samples == 1
    writing = work.answering if again else 0
    evaluating = 2 * (work.evaluating + writing + students) * (total - trained_on)
    # An endpoint's and several teachers' labels are read from their answers; those of one local teacher are scored.
    scored = students + (work.evaluating if not recipe.more_teachers else 0)
    labelling = 2 * scored * _label_tokens(recipe, prompts, tokens)
    return 2 * work.answering * total + 2 * work.scoring * trained_on + training + evaluating + labelling


def _label_tokens(recipe: Recipe, prompts: tuple[Prompt, ...], tokens: Tokens) -> float:
    """Tokens of one model that scores the task's labels as answers to the held-out prompts; 0 where it has none.

    A prompt goes through the layers once, and the tokens of all labels after it at most: a sure model reads few.
    """
    task = recipe.evaluate.task
    if task is None or not set(CLASSIFYING) & set(task.metrics):
        return 0.0
    held = [prompt for prompt in prompts if prompt.split == "holdout"]
    labels = task.labels
    if not labels:
        from potstill.evaluate.references import match_references

        labels = match_references(recipe, task, held).labels
    written = sum(len(label) / _CHARACTERS_PER_TOKEN + 1 for label in labels)  # 1: the end of turn
    return tokens.prompt - tokens.prompt_train + len(held) * written


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
