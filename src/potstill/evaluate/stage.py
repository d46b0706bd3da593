"""The evaluation stage: figures, decision and report of a run folder with a trained student."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers

from potstill.config import AGAIN, FIRST, Recipe
from potstill.evaluate.again import ask_again
from potstill.evaluate.by_prompt import by_prompt
from potstill.evaluate.decision import decide_asked
from potstill.evaluate.equivalence import equivalences
from potstill.evaluate.examples import SideBySide
from potstill.evaluate.fidelity import (
    Positions,
    agreement_by_position,
    as_figure,
    chrf_scores,
    fidelity_figures,
    with_prefix,
)
from potstill.evaluate.grading import TaskResult, grade_models
from potstill.evaluate.held_out import HeldOut, held_out
from potstill.evaluate.judging import AskJudge, judge_models
from potstill.evaluate.lm_eval import measure_lm_eval
from potstill.evaluate.models import load_teachers, model_facts, own_answers, size_ratios, teacher_facts
from potstill.evaluate.probes.run import probe_run
from potstill.evaluate.prompt_table import write_prompt_table
from potstill.evaluate.recorded import data_facts, stage_facts, stage_seconds
from potstill.evaluate.references import References, read_references
from potstill.evaluate.report import write_report
from potstill.evaluate.self_agreement import self_agreement
from potstill.evaluate.slice_kinds import slices_of
from potstill.evaluate.slices import slice_rows
from potstill.evaluate.speed_figures import time_run
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import Figure, StageResult
from potstill.stats import cluster_mean


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model that is measured against the teacher, and what came out."""

    model: LocalModel
    folder: Path
    positions: Positions
    answers: list[str]
    chrf: list[float]
    figures: dict[str, Figure]


def evaluate_run(recipe: Recipe, folder: Path, reporter: Reporter, ask_judge: AskJudge | None = None) -> StageResult:
    """Measure, decide, and write evaluation.json and report.html."""
    references = _references(recipe, folder, reporter)
    teachers, teacher_folders = load_teachers(recipe, reporter)
    teacher = teachers.get(FIRST)
    homes = _homes(recipe, folder)
    student = LocalModel.load(homes["student"])
    held = held_out(recipe, folder, teachers, student, reporter)
    subjects = _subjects(homes, student, held, recipe, reporter)
    figures = _fidelity(subjects)
    models = {name: model_facts(one.model, one.folder, one.positions) for name, one in subjects.items()}
    answers = {name: one.answers for name, one in subjects.items()}
    models |= teacher_facts(teachers, teacher_folders, subjects["student"].positions)
    if teacher is not None:
        figures |= size_ratios(models)
    task = _graded(recipe, references, held, teachers, subjects, folder, reporter)
    figures |= task.figures if task is not None else {}
    lm_eval = measure_lm_eval(recipe.evaluate, homes["student"], teacher_folders.get(FIRST), reporter)
    figures |= lm_eval.figures if lm_eval is not None else {}
    judged = None
    unmeasured: dict[str, str] = {}
    if recipe.evaluate.judge is not None:
        judged = judge_models(recipe, folder, held.answers, answers, ask_judge, reporter)
        figures |= judged.figures
        unmeasured |= judged.unmeasured
    probed = probe_run(recipe, folder, held.answers, subjects["student"].answers, student, teacher, reporter)
    figures |= probed.figures
    reporter.say("timing teacher and student in turn")
    timed = time_run(
        recipe, {**teachers, "student": student}, teacher_folders | homes, held, stage_facts(folder, "collect")
    )
    figures |= timed.figures
    models |= {name: models.get(name, {}) | found for name, found in timed.models.items()}
    again = ask_again(recipe, folder, held, teachers, reporter)
    agreement = self_agreement(recipe, held, again, answers, references)
    figures |= agreement.figures
    untrained = subjects.get("initial_student")
    scores = by_prompt(held.answers, subjects["student"].positions, subjects["student"].chrf, task)
    slices = slices_of(scores, recipe.evaluate.seed)
    rows = slice_rows(scores, slices, recipe.evaluate)
    shown = _shown(held, subjects, task)
    unmeasured |= dict.fromkeys(AGAIN, str(agreement.facts.get("reason", "")))
    asked = (recipe.asked, recipe.evaluate.task_metrics, recipe.evaluate.judged)
    decision = decide_asked(figures, *asked, slices=rows, unmeasured=unmeasured)
    evaluation = {
        "name": recipe.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "figures": {name: asdict(figure) for name, figure in figures.items()},
        "comparison": held.comparison,
        "decision": decision,
        "equivalence": equivalences(figures, recipe.evaluate.margin),
        "self_agreement": agreement.facts,
        "slices": rows,
        "by_position": agreement_by_position(
            subjects["student"].positions,
            untrained.positions if untrained else None,
        ),
        "examples": shown.spread(),
        "worst": shown.worst(),
        "models": models,
        "speed": timed.facts,
        "probes": probed.facts,
        "data": data_facts(folder),
        "terms": stage_facts(folder, "terms"),
        "machine": _machine(folder),
        "seconds": stage_seconds(folder),
        **({"task": task.facts} if task is not None else {}),
        **({"lm_eval": lm_eval.facts} if lm_eval is not None else {}),
        **({"judge": judged.facts} if judged is not None else {}),
    }
    table = write_prompt_table(folder, scores, slices)
    _write(folder / "evaluation.json", evaluation)
    write_report(folder)
    files = ("evaluation.json", "report.html", table, *(judged.files if judged is not None else ()))
    return StageResult(files, _result(decision, figures))


def _graded(
    recipe: Recipe, references: References | None, held: HeldOut, teachers: Mapping[str, LocalModel],
    subjects: Mapping[str, _Subject], folder: Path, reporter: Reporter,
) -> TaskResult | None:  # fmt: skip
    """Grades by the task's references; None for a recipe without a task."""
    if references is None:
        return None
    answered = {name: (one.model, one.answers) for name, one in subjects.items()}
    return grade_models(recipe, references, held, teachers, answered, folder, reporter)


def _subjects(
    homes: Mapping[str, Path], student: LocalModel, held: HeldOut, recipe: Recipe, reporter: Reporter
) -> dict[str, _Subject]:
    """The student and its baselines, each measured against the teacher."""
    subjects: dict[str, _Subject] = {}
    with reporter.meter("evaluating", len(homes), "models") as meter:
        for name, home in homes.items():
            model = student if name == "student" else LocalModel.load(home)
            subjects[name] = _examine(model, home, held, recipe)
            meter.advance(1, name)
    return subjects


def _fidelity(subjects: Mapping[str, _Subject]) -> dict[str, Figure]:
    """Figures of all subjects, a baseline's under its name."""
    figures = dict(subjects["student"].figures)
    for name, one in subjects.items():
        if name != "student":
            figures |= with_prefix(one.figures, name)
    return figures


def _result(decision: Mapping[str, Any], figures: Mapping[str, Figure]) -> dict[str, Any]:
    """What the stage's marker and the ledger keep of it."""
    return {
        "decision": decision["word"],
        "figures": {name: figure.value for name, figure in figures.items()},
        "intervals": {name: [one.low, one.high] for name, one in figures.items() if one.low is not None},
        "conditions": decision.get("conditions", []),
        **({"floors": decision["floors"]} if "floors" in decision else {}),
    }


def _references(recipe: Recipe, folder: Path, reporter: Reporter) -> References | None:
    """The references of the recipe's task, read before any model is loaded; None without a task."""
    if recipe.evaluate.task is None:
        return None
    found = read_references(recipe, recipe.evaluate.task, folder)
    reporter.say(found.line())
    return found


def _homes(recipe: Recipe, folder: Path) -> dict[str, Path]:
    places = {
        "initial_student": folder / "checkpoints" / "initial",
        "fine_tuning": folder / "baselines" / "fine_tuning" / "student",
    }
    return {"student": folder / "student"} | {name: places[name] for name in recipe.evaluate.baselines}


def _examine(model: LocalModel, home: Path, held: HeldOut, recipe: Recipe) -> _Subject:
    """Fidelity by teacher forcing, and answers of the model's own to the same prompts."""
    positions = held.measure(model)
    clusters = [one.prompt_hash for one in held.answers]
    answers = own_answers(model, held.answers, recipe)
    chrf = chrf_scores(answers, [one.text for one in held.answers])
    figures = fidelity_figures(positions, clusters, recipe.evaluate.resamples, recipe.evaluate.seed)
    totals: dict[str, list[float]] = {}
    for cluster, score in zip(clusters, chrf, strict=True):
        totals.setdefault(cluster, []).append(score)
    interval = cluster_mean(
        [sum(one) for one in totals.values()], [len(one) for one in totals.values()],
        resamples=recipe.evaluate.resamples, seed=recipe.evaluate.seed,
    )  # fmt: skip
    figures["chrf"] = as_figure(interval, "0 to 100")
    return _Subject(model, home, positions, answers, chrf, figures)


def _shown(held: HeldOut, subjects: Mapping[str, _Subject], task: TaskResult | None) -> SideBySide:
    student, initial = subjects["student"], subjects.get("initial_student")
    untrained = initial.answers if initial is not None else None
    return SideBySide(held.answers, student.positions, student.answers, student.chrf, untrained, task)


def _machine(folder: Path) -> dict[str, Any]:
    return {
        "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__,
        "transformers": transformers.__version__, "precision": stage_facts(folder, "train").get("precision"),
    }  # fmt: skip


def _write(path: Path, data: Mapping[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
