"""The gate for a judge: its scores are not trained on, but they choose what is, so its terms are asked the same."""

from datetime import date

from potstill.config import Recipe, Teacher
from potstill.errors import TermsStopped
from potstill.records import Clearance
from potstill.terms.decision import Decision
from potstill.terms.gate import clear, decide


def decide_judge(recipe: Recipe, today: date | None = None) -> Decision | None:
    """What the terms of the judge's route say; None where the recipe has no judge.

    Judged as if its answers were trained on. Terms that forbid to develop competing models with a service's output do
    not say that choosing the training data is something else, and Potstill does not guess in the user's favour.
    """
    in_its_place = _judge_as_teacher(recipe)
    return decide(in_its_place, today, prompts=False) if in_its_place is not None else None


def clear_judge(recipe: Recipe) -> Clearance | None:
    """The Clearance to ask the judge; None where the recipe has none. Raises TermsStopped (exit code 4)."""
    in_its_place = _judge_as_teacher(recipe)
    if in_its_place is None:
        return None
    try:
        return clear(in_its_place, prompts=False)
    except TermsStopped as stopped:
        raise TermsStopped(in_words(str(stopped))) from None


def in_words(message: str) -> str:
    """A decision's message with the judge where it says the teacher."""
    message = message.replace("The teacher's terms", "The judge's terms", 1)
    message = message.replace("give teacher.license", "give screen.judge.license")
    return f"screen.judge: {message}"


def _judge_as_teacher(recipe: Recipe) -> Recipe | None:
    judge = recipe.screen.judge
    if judge is None:
        return None
    teacher = Teacher(endpoint=judge.endpoint, license=judge.license)
    return recipe.model_copy(update={"teacher": teacher, "more_teachers": ()})
