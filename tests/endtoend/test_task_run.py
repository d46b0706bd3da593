"""Whole runs with references: every figure of a task, what redoes the evaluation, and what stops a run early."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from lm_eval_stand_in import interpreter
from test_run import command, write_recipe

from potstill.config import load_recipe
from potstill.errors import Inconclusive, RecipeError
from potstill.evaluate.grading import grade_models
from potstill.evaluate.held_out import held_out
from potstill.evaluate.label_scores import likeliest_labels
from potstill.evaluate.models import load_teachers
from potstill.evaluate.prompt_table import read_prompt_table
from potstill.evaluate.references import read_references
from potstill.evaluate.summary import summary_lines
from potstill.models.local import LocalModel
from potstill.progress import Silent
from potstill.run import run_recipe, verify
from potstill.run.stages import STAGES, stage_inputs
from tiny import make_tiny_model

TEXTS = (
    "exact_match", "normalised_match", "token_f1", "rouge_l", "bleu", "reference_chrf", "numeric_match", "json_valid",
)  # fmt: skip


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("teacher"), layers=4, scale=0.2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Path:
    """A finished run whose references are the teacher's own answers, so that what figures must be is known."""
    folder = tmp_path_factory.mktemp("task")
    (folder / "own.py").write_text("def longer(answer, reference, prompt):\n    return len(answer) > len(reference)\n")
    recipe = write_recipe(folder, teacher)
    run_recipe(load_recipe(recipe), folder / "run", until="collect")
    answers = pq.read_table(folder / "run" / "answers.parquet").to_pylist()
    rows = [
        {
            "question": json.loads(row["messages"])[-1]["content"],
            "answer": row["answer"],
            "kind": ("a tool", "a place")[at % 2],
        }
        for at, row in enumerate(answers)
    ]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = yaml.safe_load(recipe.read_text())
    data["evaluate"]["task"] = {
        "references": "gold.jsonl", "prompt_field": "question", "reference_field": "answer", "metrics": list(TEXTS),
        "functions": [{"function": "own.py:longer"}],
    }  # fmt: skip
    data["evaluate"]["lm_eval"] = {"tasks": ["hot_or_cold"], "python": str(interpreter(folder))}
    data["accept"] = {"retention.reference_chrf": ">= 0.01"}
    recipe.write_text(yaml.safe_dump(data))
    with pytest.raises(Inconclusive):  # five held-out prompts conclude nothing
        run_recipe(load_recipe(recipe), folder / "run")
    return folder / "run"


def evaluation(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    return found


def test_every_metric_of_every_model(run: Path) -> None:
    found = evaluation(run)
    figures = found["figures"]
    for name in (*TEXTS, "longer"):
        for prefix in ("", "teacher.", "initial_student."):
            assert figures[prefix + name]["n"] == 5
    for name in ("exact_match", "normalised_match", "token_f1", "rouge_l"):
        assert figures[f"teacher.{name}"]["value"] == 1
        assert figures[f"retention.{name}"]["value"] == pytest.approx(figures[name]["value"])
    assert figures["teacher.longer"]["value"] == 0
    assert "retention.longer" not in figures
    # chrF against the teacher's answers, reached in two ways.
    for prefix in ("", "initial_student."):
        assert figures[f"{prefix}reference_chrf"]["value"] == pytest.approx(figures[f"{prefix}chrf"]["value"])
    assert figures["retention.reference_chrf"]["value"] == pytest.approx(figures["chrf"]["value"] / 100)
    assert found["task"]["references"] == {
        "file": "gold.jsonl", "rows": 24, "unmatched_rows": 19, "prompts": 5, "with_reference": 5, "graded": 5,
    }  # fmt: skip
    assert len(found["task"]["functions"]["longer"]) == 64
    for name, value in (("", 0.5), ("teacher.", 0.5), ("retention.", 1.0)):
        assert figures[f"{name}lm_eval.hot_or_cold.acc"]["value"] == value
    assert all(one["reference"] == one["teacher"] for one in found["examples"])
    assert found["worst"]["by"] == "task"
    assert all(one["scores"]["exact_match"]["teacher"] == 1 for one in found["worst"]["examples"])
    by_prompt = read_prompt_table(run)
    assert by_prompt is not None
    for name in (*TEXTS, "chrf", "kl_nats", "top1_agreement"):
        one = by_prompt.measures[name]
        assert one.sums.sum() / one.counts.sum() == pytest.approx(figures[name]["value"])
    assert verify(run) == []


def test_it_is_told_in_the_report_and_at_the_end(run: Path) -> None:
    report = (run / "report.html").read_text(encoding="utf-8")
    for words in (
        "Task: answers against references", "Answers to 5 of 5 held-out prompts are compared", "ROUGE-L",
        "Public tasks: lm-eval", "Run by lm-eval 0.4.13, as a program of its own",
        "Nothing can be concluded about the task", "A function of the recipe&#39;s own, from 0.00 to 1.00",
    ):  # fmt: skip
        assert words in report, words
    lines = summary_lines(evaluation(run))
    assert any(line.strip().startswith("retention of chrF against references") for line in lines)
    assert "nothing can be concluded from fewer than 20" in lines[0]


def test_labels_are_scored(run: Path) -> None:
    changes = ["evaluate.task.reference_field=kind", "evaluate.task.metrics=[accuracy,macro_f1]", "accept={}"]
    recipe = load_recipe(run / "recipe.yaml", changes)
    assert recipe.evaluate.task is not None
    references = read_references(recipe, recipe.evaluate.task, run)
    teachers, _ = load_teachers(recipe, Silent())
    student = LocalModel.load(run / "student")
    held = held_out(recipe, run, teachers, student, Silent())
    texts = ["a tool"] * len(held.answers)
    found = grade_models(recipe, references, held, teachers, {"student": (student, texts)}, run, Silent())
    assert found.facts["closed_set"]["named"] == 0  # the tiny teacher writes no label, so its answers teach none
    assert "tfidf.accuracy" not in found.figures
    assert found.facts["labels"] == {"count": 2, "teacher": "scored", "teacher_unnamed": 0}
    for role, model, answers in (("", student, held.answers), ("teacher.", teachers["teacher"], held.teacher_answers)):
        prompts = [one.example.tokens[: one.example.prompt_length] for one in answers]
        chosen = likeliest_labels(model, prompts, references.labels)
        hits = [one == gold for one, gold in zip(chosen, found.shown, strict=True)]
        assert found.figures[f"{role}accuracy"].value == pytest.approx(sum(hits) / len(hits))
    assert 0 <= found.figures["macro_f1"].value <= 1

    # Without the teacher's distributions, its answer is matched to a label: here it names none.
    served = grade_models(recipe, references, held, {}, {"student": (student, texts)}, run, Silent())
    assert served.facts["labels"] == {"count": 2, "teacher": "named", "teacher_unnamed": len(held.answers)}
    assert served.figures["teacher.accuracy"].value == 0
    assert served.figures["accuracy"] == found.figures["accuracy"]


def test_other_references_redo_the_evaluation_alone(run: Path) -> None:
    recipe = load_recipe(run.parent / "recipe.yaml")
    before = {stage.name: stage_inputs(stage, recipe, run) for stage in STAGES}
    for name in ("gold.jsonl", "own.py"):
        path = run.parent / name
        kept = path.read_bytes()
        path.write_bytes(kept + b"\n")
        after = {stage.name: stage_inputs(stage, recipe, run) for stage in STAGES}
        path.write_bytes(kept)
        changed = [stage for stage, inputs in after.items() if inputs != before[stage]]
        assert changed == ["evaluate"]


def test_a_recipe_without_a_task_reads_what_it_did_before(run: Path) -> None:
    recipe = load_recipe(run.parent / "recipe.yaml", ["evaluate.task=null", "accept={}"])
    reads = {stage.name: stage.reads(recipe) for stage in STAGES}
    assert "task" not in reads["evaluate"]
    assert set(reads["evaluate"]["evaluate"]) == {
        "judge", "baselines", "resamples", "speed_prompts", "speed_new_tokens", "seed"
    }  # fmt: skip
    assert "task" not in reads["export"]["recipe"]["evaluate"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("evaluate.task.metrics=[exact]", "Input should be 'exact_match', 'normalised_match'"),
        ("evaluate.task.prompt_field=answer", "is one of the 5 held-out prompts"),
        ("evaluate.task.references=nowhere.jsonl", "nowhere.jsonl: no such file"),
        ('evaluate.task.functions=[{function: "own.py:shorter"}]', "has no function shorter"),
        ('accept={retention.accuracy: ">= 0.9"}', "no figure is called 'retention.accuracy'"),
    ],
)
def test_what_is_wrong_stops_before_anything_is_asked(run: Path, tmp_path: Path, change: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        run_recipe(load_recipe(run.parent / "recipe.yaml", [change]), tmp_path / "run")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "answers.sqlite").exists()


def test_the_command_says_it_in_its_last_line(run: Path, tmp_path: Path) -> None:
    wrong = command(run.parent / "recipe.yaml", tmp_path / "run", "--set", "evaluate.task.references=nowhere.jsonl")
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("nowhere.jsonl: no such file")
