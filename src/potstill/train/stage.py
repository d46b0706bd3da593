"""The training stage: builds the untrained student, trains it, and leaves model folders in the run."""

import json
import shutil
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from potstill.answers import Answer, load_answers
from potstill.config import FIRST, Recipe, TopKSignals, Train
from potstill.errors import PotstillError, RecipeError, TermsStopped
from potstill.models.fetch import fetch, file_sha256
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import Clearance, StageResult, content_hash
from potstill.rendering import end_of_turn
from potstill.store.journal import Journal
from potstill.store.scores import SCORES, Scores, spent_usd
from potstill.store.screening import left_out
from potstill.students.build import add_lora, build_student, save_student
from potstill.train.cross_tokenizer import align_training, cross_tokenizer_targets
from potstill.train.listed import Stored, store_lists
from potstill.train.loop import Paths, run_loop
from potstill.train.module import StateMatching
from potstill.train.objective import make_targets, state_matching
from potstill.train.precision import mixed_precision
from potstill.train.rollouts import Rollouts
from potstill.train.served import ServedTeacher
from potstill.train.served_student import ServedStudent
from potstill.train.targets import Targets, token_targets


def train(recipe: Recipe, folder: Path, reporter: Reporter, clearance: Clearance | None = None) -> StageResult:
    """Build and train the student of a run folder whose answers are collected.

    Leaves checkpoints/initial (the untrained student), student/, metrics.jsonl, baselines/fine_tuning where the recipe
    asks for that baseline, and scores.jsonl where a served teacher scored what the student wrote. Scoring asks the
    teacher, so it takes the `clearance`: raises TermsStopped without.
    """

    @cache
    def load(name: str) -> LocalModel:
        section = recipe.teachers[name]
        if section.model is None:
            raise RecipeError("student: this kind needs a local teacher; with an endpoint give student.tokenizer")
        return LocalModel.load(fetch(section.model, section.sha256, reporter), section.model)

    if recipe.scores_rollouts and not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    teacher = partial(load, FIRST)
    initial, made = _initial_student(recipe, folder, teacher, reporter)
    same_tokens = recipe.teacher.model is not None and _same_vocabulary(recipe, initial, reporter)
    answers = load_answers(
        folder, "train", recipe.collect.uses, initial.tokenizer, initial.context_tokens, exact_tokens=same_tokens
    )
    aligned = None
    if recipe.train.cross_tokenizer and not same_tokens:
        aligned = align_training(recipe, folder, teacher(), initial, answers, reporter)
        answers = [one.student for one in aligned.answers]
    data = content_hash([answer.tokens_hash for answer in answers])
    listed = _listed(recipe, folder, initial, answers, reporter)
    targets = (
        make_targets(recipe, folder, load, answers, initial)
        if aligned is None
        else cross_tokenizer_targets(teacher(), aligned)
    )
    told: list[Any] = [recipe.trained_with, recipe.objective.kind, recipe.signals.kind, made, data]
    if len(recipe.teachers) > 1:
        told.append(_mixed(recipe, answers))
    if listed is not None:
        told.append(["lists", listed.sha256])
    served = _served_teacher(recipe, folder, initial, clearance, reporter)
    if served is not None and recipe.teacher.endpoint is not None:
        told.append([recipe.teacher.endpoint.base_url, recipe.teacher.endpoint.model])
    run = content_hash(told)
    paths = Paths(folder / "checkpoints", folder / "metrics.jsonl")
    matching = state_matching(recipe, initial, load)
    _train_into(
        folder / "student", initial, recipe, answers, targets, paths, run, reporter, matching, served, on_policy=True
    )
    outputs = ["checkpoints/initial", "student", "metrics.jsonl"]
    if "fine_tuning" in recipe.evaluate.baselines:
        reporter.say("baseline: plain fine-tuning on the same answers")
        base = LocalModel.load(folder / "checkpoints" / "initial")
        where = folder / "baselines" / "fine_tuning"
        paths = Paths(where / "checkpoints", where / "metrics.jsonl")
        _train_into(where / "student", base, recipe, answers, token_targets, paths, f"ce:{run}", reporter)
        outputs.append("baselines/fine_tuning")
    facts = {
        "student": made, "answers": len(answers), "data_sha256": data, "objective": recipe.objective.model_dump(),
        "precision": mixed_precision(recipe.train), "torch": torch.__version__, "threads": torch.get_num_threads(),
        "student_sha256": file_sha256(folder / "student" / "model.safetensors"), **_result(folder / "metrics.jsonl"),
        "train_tokens": sum(len(one.example.tokens) for one in answers),
        "supervised_tokens": sum(one.example.answer_length for one in answers),
    }  # fmt: skip
    if len(recipe.teachers) > 1:
        facts["teachers"] = _mixed(recipe, answers)["teachers"]
    if aligned is not None:
        facts["cross_tokenizer"] = aligned.facts()
    if listed is not None:
        facts["lists"] = dict(listed.facts)
        outputs.append("signals")
    if served is not None:
        facts |= served.spending.facts()
        outputs += [SCORES] if (folder / SCORES).exists() else []
    return StageResult(tuple(outputs), facts)


def _result(metrics: Path) -> dict[str, Any]:
    """What training came to: its steps, and the loss of the last one in nats a token."""
    try:
        last = json.loads(metrics.read_text(encoding="utf-8").splitlines()[-1])
        return {"steps": last["step"], "loss": last["loss"]}
    except (OSError, ValueError, LookupError, TypeError):
        raise PotstillError(f"{metrics}: damaged or gone; delete the folder student beside it and run again") from None


def _listed(
    recipe: Recipe, folder: Path, student: LocalModel, answers: Sequence[Answer], reporter: Reporter
) -> Stored | None:
    """What a server's token lists became in the store, where the recipe trains on them."""
    signals = recipe.signals
    served = recipe.teacher.endpoint is not None and not recipe.scores_rollouts
    if not isinstance(signals, TopKSignals) or not served or not recipe.objective.divergences:
        return None
    return store_lists(recipe, signals, folder, student, answers, reporter)


def _served_teacher(
    recipe: Recipe, folder: Path, student: LocalModel, clearance: Clearance | None, reporter: Reporter
) -> ServedTeacher | None:
    """Who scores what the student writes, where the recipe has it so, with what the run has spent so far."""
    section, budget_usd = recipe.teacher.endpoint, recipe.collect.budget_usd
    if section is None or not recipe.scores_rollouts:
        return None
    spent = 0.0
    if budget_usd is not None:
        with Journal(folder / "answers.sqlite", read_only=True) as journal:
            spent = spent_usd(folder, journal, section.price_per_million, recipe.judge_prices)
    return ServedTeacher(
        section, clearance, student.tokenizer, Scores(folder / SCORES),
        budget_usd=budget_usd, spent_usd=spent, say=reporter.say,
    )  # fmt: skip


def _mixed(recipe: Recipe, answers: Sequence[Answer]) -> dict[str, Any]:
    """Which teachers each answer is trained towards, and with what weight."""
    shares = [dict(recipe.shares(answer.tag)) for answer in answers]
    return {
        "teachers": {
            name: {
                "reference": one.model, "weight": one.weight, "tags": list(one.tags),
                "answers": sum(name in found for found in shares),
            }
            for name, one in recipe.teachers.items()
        },
        "shares": shares,
    }  # fmt: skip


def _initial_student(
    recipe: Recipe, folder: Path, teacher: Any, reporter: Reporter
) -> tuple[LocalModel, dict[str, Any]]:
    """The untrained student, built once and kept: a resumed run starts from the very same weights."""
    home = folder / "checkpoints" / "initial"

    def calibration() -> Sequence[Any]:
        loaded, uses = teacher(), recipe.collect.uses
        answers = load_answers(folder, "train", uses, loaded.tokenizer, loaded.context_tokens, exact_tokens=True)
        return [answer.example for answer in answers]

    needs_answers = recipe.student.kind == "pruned"
    gone = left_out(folder) if needs_answers else frozenset()
    wanted = content_hash(
        [recipe.student.model_dump(mode="json"), recipe.train.seed, [recipe.teacher.model, recipe.teacher.sha256],
         file_sha256(folder / "answers.parquet") if needs_answers else None, *([sorted(gone)] if gone else [])]
    )  # fmt: skip
    note = home / "made.json"
    if note.exists():
        facts = json.loads(note.read_text(encoding="utf-8"))
        if facts.pop("wanted") == wanted:
            return LocalModel.load(home), facts
    built, made = build_student(recipe.student, teacher, calibration, recipe.train.seed, reporter)
    partial = home.with_name("initial.partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_student(built, partial)
    facts = {**made, "sha256": file_sha256(partial / "model.safetensors")}
    (partial / "made.json").write_text(json.dumps({"wanted": wanted, **facts}, indent=1), encoding="utf-8")
    shutil.rmtree(home, ignore_errors=True)
    partial.rename(home)
    return LocalModel.load(home), facts


def _same_vocabulary(recipe: Recipe, student: LocalModel, reporter: Reporter) -> bool:
    """Whether both speak the same tokens; without alignment a KL between different ones is refused with both sizes."""
    if recipe.student.kind == "pruned":
        return True
    from transformers import AutoTokenizer

    other = AutoTokenizer.from_pretrained(fetch(recipe.teacher.model or "", recipe.teacher.sha256, reporter))
    same = bool(other.get_vocab() == student.tokenizer.get_vocab())
    compared = recipe.objective.divergences or recipe.train.hidden_states is not None
    if not same and compared and not recipe.train.cross_tokenizer:
        raise RecipeError(
            f"student: its tokenizer has {len(student.tokenizer)} tokens and the teacher's {len(other)}, and they "
            "differ; set train.cross_tokenizer: true with collect.signals {kind: full}, or train.objective to "
            "{kind: cross_entropy}, or take a student with the teacher's tokenizer"
        )
    if same and recipe.train.cross_tokenizer:
        reporter.say("train.cross_tokenizer: teacher and student have the same tokens, so there is nothing to align")
    return same


def _train_into(
    home: Path, student: LocalModel, recipe: Recipe, answers: Sequence[Answer], targets: Targets, paths: Paths,
    run: str, reporter: Reporter, matching: StateMatching | None = None, teacher: ServedTeacher | None = None, *,
    on_policy: bool = False,
) -> None:  # fmt: skip
    """Train and save under `home`; a trained student of the same run that is already there is left alone."""
    note = home / "trained.json"
    if note.exists() and json.loads(note.read_text(encoding="utf-8"))["run"] == run:
        return
    settings: Train = recipe.train
    network, adapted = student.network, None
    if recipe.student.lora is not None:
        torch.manual_seed(settings.seed)  # peft draws the adapters' first values
        adapted = add_lora(student.network, recipe.student.lora)
        network = adapted.get_base_model()
    server_home = paths.checkpoints / "served"
    rollouts = None
    if on_policy and settings.on_policy is not None:
        server = _served_student(recipe, student, adapted or network, server_home, run, reporter)
        longest = settings.on_policy.max_new_tokens or recipe.collect.max_new_tokens
        rollouts = Rollouts(settings.on_policy, student, longest, settings.seed, teacher, server)
    losses = run_loop(student, network, answers, targets, settings, paths, run, reporter, matching, rollouts)
    if adapted is not None:
        student.network = adapted.merge_and_unload()
    partial = home.with_name(home.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_student(student, partial)
    (partial / "trained.json").write_text(json.dumps({"run": run, "steps": len(losses)}), encoding="utf-8")
    shutil.rmtree(home, ignore_errors=True)
    partial.rename(home)
    for leftover in (paths.checkpoints / "latest.pt", paths.checkpoints / "latest.partial"):
        leftover.unlink(missing_ok=True)
    shutil.rmtree(server_home, ignore_errors=True)


def _served_student(
    recipe: Recipe, student: LocalModel, network: Any, home: Path, run: str, reporter: Reporter
) -> ServedStudent | None:
    """The server that samples in the place of this process, where the recipe names one.

    Saving `network`, the student's or its LoRA form, gives what the server loads.
    """
    section = recipe.train.on_policy.endpoint if recipe.train.on_policy is not None else None
    if section is None:
        return None
    return ServedStudent(
        section, network.save_pretrained, home, run, end_of_turn(student.tokenizer),
        lora=recipe.student.lora is not None, say=reporter.say,
    )  # fmt: skip
