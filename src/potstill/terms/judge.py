"""The gate for judges: their verdicts are not trained on, but they choose what is, or what ships: asked the same."""

from datetime import date

from potstill.config import Endpoint, Recipe, Teacher
from potstill.errors import TermsStopped
from potstill.records import Clearance
from potstill.terms.decision import Decision
from potstill.terms.gate import clear, decide

_SCREENING = "screen.judge"


def decide_judge(recipe: Recipe, today: date | None = None) -> Decision | None:
    """What the terms of the route of the judge of `screen:` say; None where the recipe has none.

    Judged as if its answers were trained on. Terms that forbid to develop competing models with a service's output do
    not say that choosing the training data is something else, and Potstill does not guess in the user's favour.
    """
    judge = recipe.screen.judge
    if judge is None:
        return None
    return decide(_in_its_place(recipe, None, judge.endpoint, judge.license), today, prompts=False)


def clear_judge(recipe: Recipe) -> Clearance | None:
    """The Clearance to ask the judge of `screen:`; None without one. Raises TermsStopped (exit code 4)."""
    judge = recipe.screen.judge
    if judge is None:
        return None
    return _clear(_in_its_place(recipe, None, judge.endpoint, judge.license), _SCREENING)


def decide_judges(recipe: Recipe, today: date | None = None) -> dict[str, Decision]:
    """What the terms say of each judge of `evaluate:`, by name: it says which student ships."""
    return {name: decide(one, today, prompts=False) for name, one in _evaluating(recipe).items()}


def clear_judges(recipe: Recipe) -> dict[str, Clearance]:
    """The Clearance to ask each judge of `evaluate:`, by name. Raises TermsStopped (exit code 4)."""
    return {name: _clear(one, f"evaluate.judge.judges.{name}") for name, one in _evaluating(recipe).items()}


def in_words(message: str, field: str = _SCREENING) -> str:
    """A decision's message with the judge of this field where it says the teacher."""
    message = message.replace("The teacher's terms", "The judge's terms", 1)
    message = message.replace("give teacher.license", f"give {field}.license")
    return f"{field}: {message}"


def _clear(in_its_place: Recipe, field: str) -> Clearance:
    try:
        return clear(in_its_place, prompts=False)
    except TermsStopped as stopped:
        raise TermsStopped(in_words(str(stopped), field)) from None


def _evaluating(recipe: Recipe) -> dict[str, Recipe]:
    judging = recipe.evaluate.judge
    if judging is None:
        return {}
    return {
        name: _in_its_place(recipe, one.model, one.endpoint, one.license, one.sha256)
        for name, one in judging.named.items()
    }


def _in_its_place(
    recipe: Recipe, model: str | None, endpoint: Endpoint | None, license_id: str | None, sha256: str | None = None
) -> Recipe:
    """The recipe with a judge where its teacher stands."""
    teacher = Teacher(model=model, endpoint=endpoint, license=license_id, sha256=sha256)
    return recipe.model_copy(update={"teacher": teacher, "more_teachers": ()})
