"""Grades teacher, student and baselines against the recipe's references, and tells of it for evaluation.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.config import Recipe
from potstill.config.evaluation import CLASSIFYING
from potstill.evaluate.closed_set import closed_set_answers
from potstill.evaluate.held_out import HeldOut
from potstill.evaluate.label_scores import likeliest_labels
from potstill.evaluate.metrics.labels import named_label
from potstill.evaluate.references import References
from potstill.evaluate.task import Graded, Grader
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import Figure


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Figures against references, what evaluation.json says besides, and each held-out answer's first reference.

    `graded` has each model's scores of the answers whose numbers are `kept`, `ranges` the least and most of a metric.
    """

    figures: dict[str, Figure]
    facts: dict[str, Any]
    shown: Sequence[str | None]
    graded: Mapping[str, Graded]
    kept: Sequence[int]
    ranges: Mapping[str, tuple[float, float]]


def grade_models(
    recipe: Recipe, references: References, held: HeldOut, teachers: Mapping[str, LocalModel],
    answered: Mapping[str, tuple[LocalModel, Sequence[str]]], folder: Path, reporter: Reporter,
) -> TaskResult:  # fmt: skip
    """Grade the teacher's collected answers and those that each of `answered`, the student among them, wrote itself.

    Where the task has labels, so are two baselines that take no language model (`closed_set_answers`).
    """
    task, evaluate = recipe.evaluate.task, recipe.evaluate
    if task is None:
        raise ValueError("the recipe has no evaluate.task")
    grader = Grader(task, evaluate, references, held.answers)
    texts = [one.text for one in held.answers]
    labels = references.labels if set(CLASSIFYING) & set(task.metrics) else ()
    # Several teachers have no one distribution over labels that wrote the answers, and an endpoint shows none.
    scores_labels = len(teachers) == 1 and len(recipe.teachers) == 1 and bool(held.teacher_answers)
    how, named = None, None
    if labels:
        reporter.say(f"scoring {len(labels)} labels for {len(grader.kept):,} answers of each model")
        how = "scored" if scores_labels else "named"
        if scores_labels:
            (teacher,) = teachers.values()
            named = _likeliest(teacher, held, "teacher", grader.kept, labels)
        else:
            named = [named_label(texts[at], labels) for at in grader.kept]
    graded: dict[str, Graded] = {"teacher": grader.grade(texts, named)}
    for name, (model, own) in answered.items():
        guesses = _likeliest(model, held, "student", grader.kept, labels) if labels else None
        graded[name] = grader.grade(own, guesses)
    unnamed = sum(one is None for one in named or ())
    facts = grader.facts(how, unnamed)
    if labels:
        prompts = [one.prompt_text for one in held.answers]
        cheap, facts["closed_set"] = closed_set_answers(recipe, folder, labels, prompts)
        for name, given in cheap.items():
            graded[name] = grader.grade(given, [given[at] for at in grader.kept])
    golds = (references.by_prompt.get(one.prompt_hash) for one in held.answers)
    shown = [None if gold is None else gold.references[0] for gold in golds]
    return TaskResult(grader.figures(graded), facts, shown, graded, grader.kept, grader.ranges())


def _likeliest(
    model: LocalModel, held: HeldOut, role: str, kept: Sequence[int], labels: Sequence[str]
) -> list[str | None]:
    answers = held.teacher_answers if role == "teacher" else held.answers
    prompts = [one.example.tokens[: one.example.prompt_length] for one in (answers[at] for at in kept)]
    return list(likeliest_labels(model, prompts, labels))
