"""Asks the teacher a few prompts ahead of a run, twice each, so that the run need not pay for them again."""

from collections.abc import Sequence
from pathlib import Path

from potstill.config import NoSignals, Recipe
from potstill.errors import TermsStopped
from potstill.progress import Reporter
from potstill.records import Clearance, Prompt
from potstill.store.journal import Journal
from potstill.store.pilot import PILOT, PilotAnswers, read_asked, read_usage


def answers_asked(recipe: Recipe) -> int:
    """So many answers a prompt: two, unless the second one of a local teacher is bound to be the first."""
    same_again = recipe.teacher.model is not None and recipe.collect.temperature == 0
    return 1 if same_again else max(2, recipe.collect.answers_per_prompt)


def collect_pilot(
    recipe: Recipe, clearance: Clearance, prompts: Sequence[Prompt], folder: Path, reporter: Reporter
) -> PilotAnswers:
    """Have these prompts answered; what is answered already is not asked again.

    Answers of an endpoint go into the run's own journal, where the run finds them. Those of local weights cost nothing
    and stay in a journal of the pilot: the last bit of a batched product depends on the batch, so that the run's
    answers would otherwise depend on whether there was a pilot. Raises what `collect` raises.
    """
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    changed = {"answers_per_prompt": answers_asked(recipe)}
    if recipe.teacher.endpoint is not None:
        from potstill.collect.endpoint import ask_endpoint

        asking = recipe.model_copy(update={"collect": recipe.collect.model_copy(update=changed)})
        with Journal(folder / "answers.sqlite") as journal:
            ask_endpoint(asking, clearance, prompts, journal, reporter)
            asked = read_asked(journal, prompts, recipe.collect.uses)
            return PilotAnswers(asked, read_usage(journal), ())
    from potstill.collect import collect

    silent = recipe.collect.model_copy(update={**changed, "signals": NoSignals(kind="none")})
    place = folder / PILOT
    place.mkdir(exist_ok=True)
    left = collect(recipe.model_copy(update={"collect": silent}), clearance, prompts, place, reporter)
    with Journal(place / "answers.sqlite", read_only=True) as journal:
        asked = read_asked(journal, prompts, recipe.collect.uses)
        return PilotAnswers(asked, (), tuple(f"{PILOT}/{name}" for name in left.outputs))
