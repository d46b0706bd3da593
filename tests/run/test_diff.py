"""What changed between two runs: recipe, data, figures, slices and decision; and folders that are no run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill import cli
from potstill.config import Recipe
from potstill.errors import PotstillError, RecipeError
from potstill.evaluate.measures import ByPrompt, Measure
from potstill.evaluate.prompt_table import NAME, write_prompt_table
from potstill.evaluate.slice_kinds import Slice
from potstill.records import Message, Prompt
from potstill.run.diff import diff
from potstill.run.diff_text import diff_lines
from potstill.run.folder import create_folder, write_recipe
from potstill.store.prompts import write_prompts

Make = Callable[..., Recipe]
HELD = 80


def run(folder: Path, recipe: Recipe, right: Any, word: str, trained: int = 3, answer: str = "a thing") -> Path:
    """A finished run's folder: `trained` prompts to train on, 80 held out, the student right on some of these."""
    create_folder(folder, recipe)
    write_recipe(folder, recipe, lambda _: None)
    (folder / "stages").mkdir(exist_ok=True)
    names = [f"t{at}" for at in range(trained)] + [f"h{at}" for at in range(HELD)]
    prompts = [
        Prompt((Message("user", name),), "holdout" if name[0] == "h" else "train", "prompts.jsonl:1", name)
        for name in names
    ]
    write_prompts(prompts, folder / "prompts.parquet")
    rows = [{"prompt_hash": name, "sample": 0, "answer": answer if name == "t0" else "it"} for name in names]
    rows.append({"prompt_hash": "t0", "sample": 1, "answer": None})
    pq.write_table(pa.Table.from_pylist(rows), folder / "answers.parquet")
    values = np.asarray(right, dtype=np.float64)
    ones = np.ones(HELD)
    accuracy = Measure(values, ones, "0 to 1", ones, (0.0, 1.0))
    labels = ["lost card"] * 40 + ["refund"] * 40
    measures = {"accuracy": accuracy, "chrf": Measure(values * 50, ones, "0 to 100", range=(0.0, 100.0))}
    held = names[trained:]
    scores = ByPrompt(held, held, np.ones(HELD, dtype=np.int64), [None] * HELD, labels, measures)
    slices = [Slice("label", name, np.array([one == name for one in labels])) for name in ("lost card", "refund")]
    write_prompt_table(folder, scores, slices)
    figure = {
        "value": values.mean(),
        "low": values.mean() - 0.1,
        "high": values.mean() + 0.1,
        "n": HELD,
        "unit": "0 to 1",
    }
    evaluation = {"figures": {"accuracy": figure}, "decision": {"word": word, "reason": f"it is {word}"}}
    (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    return folder


@pytest.fixture
def two(recipe: Make, tmp_path: Path) -> tuple[Path, Path]:
    """The second run was trained longer, on one prompt more, and has come to mistake refunds."""
    before = np.arange(HELD) % 5 != 0
    after = before & (np.arange(HELD) < 50) | (np.arange(HELD) < 40)
    old = run(tmp_path / "old", recipe(), before, "ship")
    new = run(tmp_path / "new", recipe(train={"epochs": 7}), after, "no ship", 4, "another thing")
    return old, new


def test_everything_that_changed_is_told(two: tuple[Path, Path]) -> None:
    found = diff(*two)
    assert [(one.field, one.new) for one in found.recipe] == [("train.epochs", 7)]
    assert found.prompts.train == (3, 4, 3)
    assert found.prompts.holdout == (HELD, HELD, HELD)
    assert (found.answers.old, found.answers.new, found.answers.same, found.answers.different) == (83, 84, 82, 1)
    assert found.answers.held_out_different == 0
    assert found.answers.content[0] != found.answers.content[1]
    assert [one["word"] for one in found.decision] == ["ship", "no ship"]
    [figure] = found.figures
    assert figure.old is not None
    assert figure.old["value"] == 0.8
    [paired, chrf] = found.paired
    assert (paired.figure, paired.n, paired.old, paired.new, paired.test) == ("accuracy", HELD, 0.8, 0.6, "McNemar")
    assert (chrf.figure, chrf.test) == ("chrf", "sign flip")
    slices = {(one.slice, one.figure): one.verdict for one in found.slices}
    assert slices[("refund", "accuracy")] == "worse"
    assert slices[("lost card", "accuracy")] == "better"
    assert found.notes == []


def test_it_is_told_in_lines_the_worst_slices_first(two: tuple[Path, Path]) -> None:
    text = list(diff_lines(diff(*two)))
    assert "recipe: 1 field changed" in text
    assert any(line.startswith("  train.epochs: ") and line.endswith(" → 7") for line in text)
    assert "prompts to train on: 3 → 4, 3 of them in both" in text
    assert any(line.startswith("answers: 83 → 84, 82 the same, 1 different") for line in text)
    assert "decision: ship → no ship (it is no ship)" in text
    assert any(line.strip().startswith("accuracy  80.0 % (70.0 to 90.0 %) → 60.0 %") for line in text)
    changed = [line for line in text if line.startswith("  label ")]
    assert changed[0].startswith("  label refund (40 prompts): ")
    assert ": worse (McNemar, p < 0.001)" in next(line for line in changed if "accuracy" in line)


def test_a_run_beside_itself_is_the_same(two: tuple[Path, Path]) -> None:
    found = diff(two[0], two[0])
    assert not found.recipe
    assert {one.verdict for one in (*found.paired, *found.slices)} == {"no difference shown"}
    text = list(diff_lines(found))
    assert "recipe: the same" in text
    assert any(line.startswith("answers: the same 83 ") for line in text)


def test_prompts_that_changed_sides_and_other_held_out_answers_are_told(recipe: Make, tmp_path: Path) -> None:
    old, new = (run(tmp_path / name, recipe(), np.ones(HELD), "ship") for name in ("old", "new"))
    rows = pq.read_table(new / "answers.parquet").to_pylist()
    rows[5]["answer"] = "something else"
    pq.write_table(pa.Table.from_pylist(rows), new / "answers.parquet")
    prompts = [Prompt((Message("user", "t0"),), "holdout", "prompts.jsonl:1", "t0")]
    found = diff(old, new)
    assert found.answers.held_out_different == 1
    assert any("the teacher's answers to 1 held-out prompts are not the same" in note for note in found.notes)
    write_prompts(prompts, new / "prompts.parquet")
    assert diff(old, new).prompts.moved == 1


def test_other_references_are_told(recipe: Make, tmp_path: Path) -> None:
    tasks = [
        {"task": {"references": f"{name}.jsonl", "reference_field": "a", "metrics": ["exact_match"]}} for name in "ab"
    ]
    old, new = (run(tmp_path / str(at), recipe(evaluate=one), np.ones(HELD), "ship") for at, one in enumerate(tasks))
    assert diff(old, new).notes == [
        "evaluate.task is not the same in both runs, so a metric of one name may be another one"
    ]


def test_figures_by_prompt_of_an_earlier_run_are_missing_and_the_rest_is_told(two: tuple[Path, Path]) -> None:
    (two[0] / NAME).unlink()
    found = diff(*two)
    assert (found.paired, found.slices, found.shared_prompts) == ([], [], 0)
    assert any("has no per_prompt.parquet" in note for note in found.notes)
    assert found.recipe


def test_the_command_prints_for_people_and_for_machines(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["diff", *map(str, two)], ["diff", *map(str, two), "--json"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
    text, _, rest = capsys.readouterr().out.partition("\n{")
    assert text.startswith(f"{two[0]} → {two[1]}\n")
    found = json.loads("{" + rest)
    assert found["prompts"]["train"] == [3, 4, 3]
    assert found["paired"][0]["figure"] == "accuracy"
    assert {"recipe", "answers", "decision", "figures", "slices", "notes"} <= set(found)


def test_folders_that_cannot_be_compared_are_one_line(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere: not a run folder"):
        diff(two[0], tmp_path / "nowhere")
    half = tmp_path / "half"
    shutil.copytree(two[1], half)
    (half / "evaluation.json").unlink()
    with pytest.raises(PotstillError, match=r"half: not evaluated yet, so there are no figures to compare"):
        diff(two[0], half)
    for name, content, words in (
        ("evaluation.json", "{}", "holds no figures and decision"), ("evaluation.json", "{", "not valid JSON"),
        ("answers.parquet", "x", "not a table of answers"), (NAME, "x", "not a table of figures by prompt"),
        ("prompts.parquet", "x", "not a table of prompts"),
    ):  # fmt: skip
        damaged = tmp_path / "damaged"
        shutil.copytree(two[1], damaged)
        (damaged / name).write_text(content)
        with pytest.raises(PotstillError, match=words) as caught:
            diff(two[0], damaged)
        assert "\n" not in str(caught.value)
        shutil.rmtree(damaged)
