"""What a pilot's answers say: teacher, untrained student and cheap baselines on the same training prompts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypedDict

from potstill.answers import Answer, shown
from potstill.config import FIRST, Recipe
from potstill.config.evaluation import CLASSIFYING
from potstill.errors import PotstillError
from potstill.evaluate.closed_set import most_frequent
from potstill.evaluate.fidelity import as_figure, chrf_scores, with_prefix
from potstill.evaluate.label_scores import likeliest_labels
from potstill.evaluate.learning_curve import LearningCurve, by_labels, by_nearest, learning_curve
from potstill.evaluate.metrics.labels import named_label
from potstill.evaluate.models import load_teachers, own_answers
from potstill.evaluate.references import References
from potstill.evaluate.task import Grader, Labels
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import Figure
from potstill.rendering import Example, join, render_answer, render_prompt
from potstill.stats import cluster_mean, wilson
from potstill.store.pilot import Asked
from potstill.students import build_student
from potstill.texts.normal import same_text

_SHARE, _SCORE = "0 to 1", "0 to 100"


class Draws(TypedDict):
    """Of every bootstrap."""

    resamples: int
    seed: int


_Loaded = Callable[[], LocalModel | None]  # loads the model when it is first needed


@dataclass(frozen=True, slots=True)
class PilotResult:
    """Figures over the pilot's prompts by name, as in evaluation.json, and the learning curve.

    `most_frequent` is the gold label of most training prompts with a reference; None without gold labels.
    """

    figures: dict[str, Figure]
    answered: int
    with_reference: int
    most_frequent: str | None
    curve: LearningCurve


@dataclass(frozen=True, slots=True)
class _Answered:
    """The prompts with a usable answer: as asked, in the student's tokens, and both models' texts."""

    asked: Sequence[Asked]
    answers: Sequence[Answer]
    teachers: Sequence[str]
    students: Sequence[str]


def measure_pilot(
    recipe: Recipe, asked: Sequence[Asked], references: References | None, target: int, reporter: Reporter
) -> PilotResult:
    """Measure on the prompts that have a usable answer; `references` are those of all training prompts.

    `target` is the number of training prompts of the run. Raises PotstillError where no answer is usable.
    """
    usable = [one for one in asked if one.first is not None]
    texts = [shown(one.first) for one in usable if one.first is not None]
    if not texts:
        raise PotstillError("pilot: the teacher gave no usable answer; `potstill status` shows why")
    student, teacher = _models(recipe, usable, reporter)
    answers = [_as_answer(student, one, text) for one, text in zip(usable, texts, strict=True)]
    reporter.say(f"the untrained student answers {len(answers):,} prompts")
    found = _Answered(usable, answers, texts, own_answers(student, answers, recipe))
    draws: Draws = {"resamples": recipe.evaluate.resamples, "seed": recipe.evaluate.seed}
    alike = cluster_mean(chrf_scores(found.students, texts), **draws)
    figures = {"initial_student.chrf": as_figure(alike, _SCORE)}
    task = recipe.evaluate.task
    if task is None or references is None or not any(one.prompt_hash in references.by_prompt for one in answers):
        figures |= _again(usable, (), draws)
        return PilotResult(figures, len(answers), 0, None, _curve_by_nearest(found, target, draws))
    labels = references.labels if set(CLASSIFYING) & set(task.metrics) else ()
    grader = Grader(task, recipe.evaluate, references, answers)
    reporter.say(f"grading {len(grader.kept):,} answers of each model")
    figures |= _again(usable, labels, draws) | _graded(found, grader, student, teacher, labels)
    if not labels:
        return PilotResult(figures, len(answers), len(grader.kept), None, _curve_by_nearest(found, target, draws))
    firsts = [gold.references[0] for gold in references.by_prompt.values()]
    top = most_frequent(firsts)
    figures["majority.accuracy"] = as_figure(wilson(firsts.count(top), len(firsts)), _SHARE)
    curve = _curve_by_labels(found, grader.kept, references, target, draws)
    if curve.last is not None:
        figures["tfidf.accuracy"] = as_figure(curve.last, _SHARE)
    return PilotResult(figures, len(answers), len(grader.kept), top, curve)


def _graded(
    found: _Answered, grader: Grader, student: LocalModel, teacher: _Loaded,
    labels: tuple[str, ...],
) -> dict[str, Figure]:  # fmt: skip
    """Every metric of the teacher and of the untrained student; of labels always the accuracy."""
    figures: dict[str, Figure] = {}
    golds = grader.references.by_prompt
    for name, texts in (("teacher", found.teachers), ("initial_student", found.students)):
        chosen: Labels | None = None
        if labels and name == "teacher":
            chosen = _teachers_labels(teacher(), found, grader.kept, labels)
        elif labels:
            asked = [found.answers[at].example for at in grader.kept]
            chosen = likeliest_labels(student, [one.tokens[: one.prompt_length] for one in asked], labels)
        measured = grader.of_model(grader.grade(texts, chosen))
        if chosen is not None:  # one answer a prompt: hits of trials
            wanted = [golds[found.answers[at].prompt_hash].references for at in grader.kept]
            hits = sum(one in right for one, right in zip(chosen, wanted, strict=True))
            measured = {"accuracy": as_figure(wilson(hits, len(wanted)), _SHARE)} | {
                metric: figure for metric, figure in measured.items() if metric != "accuracy"
            }
        figures |= with_prefix(measured, name)
    return figures


def _curve_by_labels(
    found: _Answered, kept: Sequence[int], references: References, target: int, draws: Draws
) -> LearningCurve:
    answers = [found.answers[at] for at in kept]
    named = [named_label(found.teachers[at], references.labels) for at in kept]
    wanted = [references.by_prompt[one.prompt_hash].references for one in answers]
    learn = by_labels([one.prompt_text for one in answers], named, wanted)
    return learning_curve(learn, len(answers), target, "TF-IDF with logistic regression", **draws)


def _curve_by_nearest(found: _Answered, target: int, draws: Draws) -> LearningCurve:
    learn = by_nearest([one.prompt_text for one in found.answers], found.teachers)
    stand_in = "the teacher's answer to the nearest prompt by TF-IDF"
    return learning_curve(learn, len(found.answers), target, stand_in, **draws)


def _models(
    recipe: Recipe, asked: Sequence[Asked], reporter: Reporter
) -> tuple[LocalModel, Callable[[], LocalModel | None]]:
    """The untrained student, as the run will make it, and a function that gives the one local teacher or None.

    A student that is cut from its teacher is calibrated on the pilot's answers; the run does so on its own.
    """
    loaded = cache(lambda: load_teachers(recipe, reporter)[0])

    def examples() -> list[Example]:
        return [_example(loaded()[FIRST], one, shown(one.first)) for one in asked if one.first is not None]

    student, _ = build_student(recipe.student, lambda: loaded()[FIRST], examples, recipe.train.seed, reporter)
    # Several teachers have no one distribution over labels that wrote the answers, and an endpoint shows none.
    alone = recipe.teacher.model is not None and not recipe.more_teachers
    return student, lambda: loaded()[FIRST] if alone else None


def _example(model: LocalModel, asked: Asked, text: str) -> Example:
    """Prompt and answer in a model's tokens."""
    prompt = render_prompt(model.tokenizer, asked.prompt.messages, asked.prompt.tools)
    answer = render_answer(model.tokenizer, text)
    return join(prompt, answer, model.context_tokens, asked.prompt.source)


def _as_answer(student: LocalModel, asked: Asked, text: str) -> Answer:
    prompt = asked.prompt
    return Answer("", prompt.hash, 0, prompt.messages[-1].content, text, _example(student, asked, text), prompt.tag)


def _teachers_labels(
    teacher: LocalModel | None, found: _Answered, kept: Sequence[int], labels: tuple[str, ...]
) -> list[str | None]:
    """As evaluation has them: the likeliest of a single local teacher, else the one that the answer names."""
    if teacher is None:
        return [named_label(found.teachers[at], labels) for at in kept]
    prompts = [found.asked[at].prompt for at in kept]
    asked = [tuple(render_prompt(teacher.tokenizer, one.messages, one.tools)) for one in prompts]
    return list(likeliest_labels(teacher, asked, labels))


def _again(asked: Sequence[Asked], labels: tuple[str, ...], draws: Draws) -> dict[str, Figure]:
    """How far the teacher agrees with itself when asked twice: in its label, or else in its text and by chrF."""
    both = [(shown(one.first), shown(one.second)) for one in asked if one.first is not None and one.second is not None]
    if not both:
        return {}
    if labels:
        named = [(named_label(one, labels), named_label(other, labels)) for one, other in both]
        same = [one is not None and one == other for one, other in named]
        return {"teacher.self_agreement": as_figure(wilson(sum(same), len(same)), _SHARE)}
    same = [same_text(one) == same_text(other) for one, other in both]
    alike = cluster_mean(chrf_scores([other for _, other in both], [one for one, _ in both]), **draws)
    return {
        "teacher.self_agreement": as_figure(wilson(sum(same), len(same)), _SHARE),
        "teacher.chrf": as_figure(alike, _SCORE),
    }
