"""Puts teacher and student to tasks of lm-eval, each as a program of its own, and makes figures of what it says."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from potstill.config import Evaluate, LmEval
from potstill.errors import PotstillError, RecipeError
from potstill.evaluate.lm_eval_files import Results, Score, read_results
from potstill.evaluate.ranged import never_certain
from potstill.progress import Reporter
from potstill.records import Figure
from potstill.stats import Interval, cluster_mean, ratio_of_sums

_95_PERCENT = 1.96
_VERSION = "import importlib.metadata as m; print(m.version('lm_eval'))"
_KNOWN = """
import sys
from lm_eval.tasks import TaskManager
known = set(TaskManager(include_path=sys.argv[1] or None).all_tasks)
print("missing: " + " ".join(name for name in sys.argv[2:] if name not in known))
"""
_INSTALL = "install it there with: pip install 'potstill[lm-eval]', or name an interpreter that has it in python:"


@dataclass(frozen=True, slots=True)
class LmEvalResult:
    """Figures by name, and what evaluation.json says besides."""

    figures: dict[str, Figure]
    facts: dict[str, Any]


def lm_eval_version(section: LmEval) -> str:
    """The version of lm-eval. Raises RecipeError where it is not there, or the folder of tasks is not."""
    if section.include_path is not None and not section.include_path.is_dir():
        raise RecipeError(f"evaluate.lm_eval.include_path: {section.include_path}: no such folder")
    try:
        done = _call([_python(section), "-c", _VERSION])
    except OSError as error:
        raise RecipeError(f"evaluate.lm_eval.python: {section.python}: {error.strerror}") from None
    if done.returncode:
        raise RecipeError(f"evaluate.lm_eval: {_python(section)} has no lm-eval; {_INSTALL}")
    return done.stdout.strip()


def check_tasks(section: LmEval) -> str:
    """The version of lm-eval, which knows all tasks of the recipe. Raises RecipeError where it does not."""
    version = lm_eval_version(section)
    done = _call([_python(section), "-c", _KNOWN, str(section.include_path or ""), *section.tasks])
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode or not last.startswith("missing:"):
        raise RecipeError(f"evaluate.lm_eval: lm-eval {version} cannot list its tasks: {_last_line(done)}")
    if missing := last.removeprefix("missing:").split():
        raise RecipeError(f"evaluate.lm_eval.tasks: lm-eval {version} has no task {missing[0]}; see `lm_eval ls tasks`")
    return version


def measure_lm_eval(evaluate: Evaluate, student: Path, teacher: Path | None, reporter: Reporter) -> LmEvalResult | None:
    """Run lm-eval on the student's folder and, where it is local, the teacher's; None where the recipe asks for none.

    Raises RecipeError where lm-eval is not there, PotstillError with its last words where it fails.
    """
    section = evaluate.lm_eval
    if section is None:
        return None
    version = lm_eval_version(section)
    results = {}
    for name, home in {"student": student, "teacher": teacher}.items():
        if home is not None:
            reporter.say(f"lm-eval {version}: the {name} does {', '.join(section.tasks)}")
            results[name] = _run(section, name, home)
    figures = lm_eval_figures(results, resamples=evaluate.resamples, seed=evaluate.seed)
    scores = {f"{task}.{metric}": one for (task, metric), one in results["student"].scores.items()}
    facts = {
        "version": version, "limit": section.limit, "num_fewshot": section.num_fewshot,
        "apply_chat_template": section.apply_chat_template, "task_versions": dict(results["student"].versions),
        "scores": {
            name: {"n": one.n, "higher_is_better": one.higher_is_better, "paired": _paired(results, name) is not None}
            for name, one in scores.items()
        },
    }  # fmt: skip
    return LmEvalResult(figures, facts)


def lm_eval_figures(results: Mapping[str, Results], *, resamples: int, seed: int) -> dict[str, Figure]:
    """`lm_eval.TASK.METRIC` of the student, the teacher's under `teacher.`, and what of it the student keeps."""
    figures = {}
    draws = {"resamples": resamples, "seed": seed}
    for model, found in results.items():
        prefix = "" if model == "student" else f"{model}."
        for (task, metric), score in found.scores.items():
            figures[f"{prefix}lm_eval.{task}.{metric}"] = _figure(_interval(score, draws), "")
    theirs = results["teacher"].scores if "teacher" in results else {}
    for (task, metric), score in results["student"].scores.items():
        other = theirs.get((task, metric))
        if other is None or not score.higher_is_better or score.value < 0 or other.value <= 0:
            continue
        name = f"{task}.{metric}"
        figures[f"retention.lm_eval.{name}"] = _figure(_retention(results, name, draws), "student / teacher")
    return figures


def _interval(score: Score, draws: Mapping[str, int]) -> Interval:
    """Over documents, drawn with replacement; without their values from lm-eval's standard error."""
    if len(score.by_document) > 1:
        values = np.array([score.by_document[one] for one in sorted(score.by_document)])
        share = bool(((values >= 0) & (values <= 1)).all())
        return cluster_mean(values, share=share, resamples=draws["resamples"], seed=draws["seed"])
    if score.error is None:
        return Interval(score.value, None, None, score.n)
    reach = _95_PERCENT * score.error
    return Interval(score.value, score.value - reach, score.value + reach, score.n)


def _retention(results: Mapping[str, Results], name: str, draws: Mapping[str, int]) -> Interval:
    """Student over teacher: document by document where both did the same ones, else by the two standard errors."""
    task, _, metric = name.rpartition(".")
    ours, theirs = (results[one].scores[task, metric] for one in ("student", "teacher"))
    pairs = _paired(results, name)
    if pairs is not None:
        found = ratio_of_sums(*pairs, resamples=draws["resamples"], seed=draws["seed"])
        shares = min(map(min, pairs)) >= 0 and max(map(max, pairs)) <= 1
        return never_certain(found, 1 / theirs.value, 0.0, None) if shares else found
    ratio, n = ours.value / theirs.value, min(ours.n, theirs.n)
    if ours.error is None or theirs.error is None or ours.value == 0:
        return Interval(ratio, None, None, n)
    spread = _95_PERCENT * np.hypot(ours.error / ours.value, theirs.error / theirs.value)  # of the logarithm
    return Interval(ratio, float(ratio * np.exp(-spread)), float(ratio * np.exp(spread)), n)


def _paired(results: Mapping[str, Results], name: str) -> tuple[Sequence[float], Sequence[float]] | None:
    """Both models' values of the same documents, in one order; None where they did not do the same ones."""
    task, _, metric = name.rpartition(".")
    if "teacher" not in results or (task, metric) not in results["teacher"].scores:
        return None
    ours, theirs = (results[one].scores[task, metric].by_document for one in ("student", "teacher"))
    if not ours or set(ours) != set(theirs):
        return None
    return [ours[one] for one in sorted(ours)], [theirs[one] for one in sorted(ours)]


def _figure(interval: Interval, unit: str) -> Figure:
    return Figure(interval.value, interval.low, interval.high, interval.n, unit)


def _run(section: LmEval, name: str, home: Path) -> Results:
    """One call of lm-eval, in a folder of its own; a link keeps commas of the path out of its arguments."""
    with tempfile.TemporaryDirectory(prefix="potstill-lm-eval-") as place:
        (Path(place) / name).symlink_to(home.resolve(), target_is_directory=True)
        options: list[str] = []
        for option, value in (
            ("--limit", section.limit), ("--num_fewshot", section.num_fewshot), ("--include_path", section.include_path)
        ):  # fmt: skip
            options += [] if value is None else [option, str(value)]
        options += ["--apply_chat_template"] if section.apply_chat_template else []
        done = _call(
            [_python(section), "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained=./{name},dtype=float32",
             "--tasks", ",".join(section.tasks), "--batch_size", str(section.batch_size), "--output_path", "out",
             "--log_samples", *options],
            Path(place),
        )  # fmt: skip
        if done.returncode or not list(Path(place, "out").rglob("results_*.json")):
            raise PotstillError(f"evaluate.lm_eval: lm-eval failed on the {name}: {_last_line(done)}")
        return read_results(Path(place) / "out")


def _python(section: LmEval) -> str:
    return str(section.python) if section.python is not None else sys.executable


def _call(command: Sequence[str], place: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"it ended with exit code {done.returncode} and no word"
