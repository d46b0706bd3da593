"""A few prompts before the bill: can the teacher do the job, how far is a student off, and what would it save."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.config import Recipe
from potstill.errors import Inconclusive, PotstillError
from potstill.progress import Reporter, Silent
from potstill.records import Figure, Prompt, content_hash
from potstill.run import inputs
from potstill.run.break_even import break_even
from potstill.run.folder import create_folder, default_folder, locked, write_recipe
from potstill.run.inputs import resolved
from potstill.run.pilot_record import asked_about, raise_stopped, read_pilot, write_pilot
from potstill.run.plan import Plan
from potstill.run.record import note, reopen
from potstill.run.terms_stage import record_decision
from potstill.run.versions import versions
from potstill.stats import needed_n

if TYPE_CHECKING:
    from potstill.evaluate.pilot import PilotResult

_VERSION = 1  # raised when a change of the code would find other things in the same answers
_TITLES = {
    "teacher": "teacher", "initial_student": "untrained student", "majority": "the most frequent label",
    "tfidf": "TF-IDF with logistic regression",
}  # fmt: skip
_AGAIN = ("teacher.self_agreement", "teacher.chrf")
_SLOWER = 3  # than its arithmetic, at most: see `run.plan`


@dataclass(frozen=True, slots=True)
class Pilot:
    """What a pilot found, in words, and why it stops the run; `stopped` is None where it does not."""

    lines: tuple[str, ...]
    stopped: str | None
    exit_code: int

    def check(self) -> None:
        """Raise PotstillError (exit code 1) or Inconclusive (5) where the pilot stops the run."""
        if self.stopped is not None:
            raise_stopped(self.stopped, self.exit_code)


def run_pilot(made: Plan, count: int, folder: Path | None = None, reporter: Reporter | None = None) -> Pilot:
    """Ask the planned recipe's teacher `count` training prompts, twice each, and measure on them.

    pilot.json in the run folder keeps what was found: the same call reads it, and a run heeds it. Answers of an
    endpoint are those of the run, which does not pay for them again. Held-out prompts are never asked. Raises
    TermsStopped before anything is asked, RecipeError, and PotstillError where the route or the budget ends it; the
    same call goes on from there.
    """
    from potstill.terms import clear

    recipe, reporter = made.recipe, reporter or Silent()
    folder = folder or default_folder(recipe)
    clear(recipe)
    create_folder(folder, recipe)
    with locked(folder):
        wanted = _inputs(recipe, count)
        known = read_pilot(folder)
        if known is not None and known["inputs"] == wanted:
            reporter.say("pilot: done before, and nothing that it reads has changed")
            return Pilot(tuple(known["lines"]), known["stopped"], known["exit_code"])
        facts = {"recipe_sha256": content_hash(dict(resolved(recipe))), "pilot": count, "versions": versions()}
        write_recipe(folder, recipe, lambda found: note(folder, "run", {**facts, "recipe_file_sha256": found}))
        record_decision(recipe, folder, reporter)
        found, files = _measured(made, count, folder, reporter)
        write_pilot(folder, {"inputs": wanted, "about": asked_about(recipe), **found}, files)
    return Pilot(tuple(found["lines"]), found["stopped"], found["exit_code"])


def choose(prompts: Sequence[Prompt], count: int, with_reference: Collection[str]) -> list[Prompt]:
    """`count` training prompts, in the order of the source: those with a reference first, else by salted content hash.

    Which ones does not depend on the order of the source, and a larger pilot has those of a smaller one.
    """

    def order(prompt: Prompt) -> tuple[bool, str]:
        return prompt.hash not in with_reference, hashlib.sha256(f"potstill pilot {prompt.hash}".encode()).hexdigest()

    training = [one for one in prompts if one.split == "train"]
    chosen = {one.hash for one in sorted(training, key=order)[:count]}
    return [one for one in training if one.hash in chosen]


def _inputs(recipe: Recipe, count: int) -> str:
    reads = [inputs.evaluate(recipe), recipe.student.model_dump(mode="json"), recipe.serving.model_dump(mode="json")]
    return content_hash([_VERSION, count, asked_about(recipe), inputs.collect(recipe), *reads])


def _measured(made: Plan, count: int, folder: Path, reporter: Reporter) -> tuple[dict[str, Any], Sequence[str]]:
    """What pilot.json holds, and the files that only the pilot needs."""
    from potstill.collect.pilot import answers_asked, collect_pilot
    from potstill.evaluate.pilot import measure_pilot
    from potstill.evaluate.references import match_references
    from potstill.prompts import load_prompts, with_tools
    from potstill.terms import clear

    recipe, task = made.recipe, made.recipe.evaluate.task
    prompts = with_tools(load_prompts(recipe.prompts).prompts, recipe.collect.tools or ())
    training = [one for one in prompts if one.split == "train"]
    references = match_references(recipe, task, training) if task is not None else None
    chosen = choose(prompts, count, references.by_prompt if references is not None else ())
    reporter.say(f"pilot: {len(chosen):,} training prompts, {answers_asked(recipe)} answers each")
    if recipe.teacher.endpoint is not None:
        reopen(folder, "collect", "a pilot asks in the run's journal")
    answers = collect_pilot(recipe, clear(recipe), chosen, folder, reporter)
    grown = recipe.prompts.grow.to - made.holdout_prompts if recipe.prompts.grow is not None else 0
    found = measure_pilot(recipe, answers.asked, references, max(len(training), grown), reporter)
    hours = _SLOWER * made.needs.time_s / 3600 if made.needs.time_s is not None else None
    pays = break_even(recipe, answers.usage, made.requests, hours)
    stopped, exit_code = _verdict(found)
    usable = f"{found.answered:,} have a usable answer, {found.with_reference:,} of these a reference"
    lines = [
        f"pilot: {len(chosen):,} of {len(training):,} training prompts, chosen by hash; {usable}",
        *_figure_lines(found), f"learning curve: {_curve(found)}", f"pays for itself: {pays.words}",
        f"pilot: {'STOP, ' + stopped if stopped else 'nothing speaks against the run'}",
    ]  # fmt: skip
    return {
        "prompts": len(chosen), "answered": found.answered, "with_reference": found.with_reference,
        "figures": {name: asdict(figure) for name, figure in found.figures.items()},
        "most_frequent_label": found.most_frequent, "learning_curve": asdict(found.curve), "pays": asdict(pays),
        "lines": lines, "stopped": stopped, "exit_code": exit_code,
    }, answers.files  # fmt: skip


def _verdict(found: "PilotResult") -> tuple[str | None, int]:
    """Why the run stops, where the teacher's accuracy is not clearly above that of the most frequent label."""
    teacher, majority = found.figures.get("teacher.accuracy"), found.figures.get("majority.accuracy")
    if teacher is None or majority is None or teacher.low is None or teacher.high is None:
        return None, 0
    if teacher.low > majority.value:
        return None, 0
    needed = needed_n(teacher.value, teacher.low, teacher.high, teacher.n, majority.value)
    reason = (
        f"the teacher's accuracy on {teacher.n:,} gold labels, {_written(teacher)}, is not clearly above the "
        f"{100 * majority.value:.1f} % of always answering {found.most_frequent!r}"
    )
    if teacher.value > majority.value and needed is not None:
        return f"{reason}; about {needed:,} prompts would decide it", Inconclusive.exit_code
    return reason, PotstillError.exit_code


def _figure_lines(found: "PilotResult") -> list[str]:
    """One line a model, and one on the teacher asked again."""
    lines = []
    for model, title in _TITLES.items():
        mine = {
            name.partition(".")[2]: figure
            for name, figure in found.figures.items()
            if name.startswith(f"{model}.") and name not in _AGAIN
        }
        if mine:
            told = ", ".join(f"{_called(name)} {_written(figure)}" for name, figure in mine.items())
            lines.append(f"  {title}: {told}")
    again = found.figures.get(_AGAIN[0])
    if again is not None:
        alike = found.figures.get(_AGAIN[1])
        chrf = f"; chrF between the two {_written(alike)}" if alike is not None else ""
        lines.append(f"  teacher asked again: the same {'text' if alike else 'label'} in {_written(again)}{chrf}")
    else:
        lines.append("  teacher asked again: not done, or no second answer was usable (temperature 0 repeats itself)")
    return lines


def _called(name: str) -> str:
    return "chrF with the teacher's answers" if name == "chrf" else name.replace("_", " ")


def _curve(found: "PilotResult") -> str:
    curve = found.curve
    if curve.last is None:
        return curve.why
    unit = "accuracy" if "tfidf.accuracy" in found.figures else "chrF / 100 to the teacher's answers"
    reached = f"{_written(_share(curve.last))} {unit} after {curve.sizes[-1]:,} answers"
    later = curve.why
    if curve.expected is not None and curve.expected_by_odds is not None:
        later = (
            f"after {curve.target:,} {_written(_share(curve.expected))} if its error falls as a + b·n^−c, "
            f"{_written(_share(curve.expected_by_odds))} if the error's odds fall as b·n^−c: take the two as bounds"
        )
    return f"{reached}; {later}. It is that of a stand-in ({curve.stand_in}), not of the student"


def _share(interval: Any) -> Figure:
    return Figure(interval.value, interval.low, interval.high, interval.n, "0 to 1")


def _written(figure: Figure) -> str:
    """A figure with its interval; shares in per cent."""
    scale, sign = (100, " %") if figure.unit == "0 to 1" else (1, "")
    value = f"{scale * figure.value:.1f}{sign}"
    if figure.low is None or figure.high is None:
        return value
    return f"{value} (95 %: {scale * figure.low:.1f} to {scale * figure.high:.1f}{sign})"
