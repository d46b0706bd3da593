"""References of held-out prompts: every kind of table, how they are matched, and every fault in one line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError
from potstill.evaluate.references import References, read_references
from potstill.prompts import load_prompts, write_prompts

WORDS = ("kettle", "umbrella", "bridge", "lantern", "harbour", "saddle", "needle", "orchard", "anvil", "violin")
BASE: dict[str, Any] = {
    "name": "small",
    "teacher": {"model": "path:teacher", "license": "apache-2.0"},
    "student": {"kind": "pruned", "keep_layers": 2},
}


def make(
    folder: Path, task: dict[str, Any], prompts: dict[str, Any] | None = None, rows: list[Any] | None = None
) -> Recipe:
    """A recipe whose ten prompts are in the folder, half of them held out."""
    rows = [{"prompt": f"What is a {word}?", "gold": f"a {word}"} for word in WORDS] if rows is None else rows
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    section = {"source": "prompts.jsonl", "holdout": 0.5, **(prompts or {})}
    recipe = recipe_from({**BASE, "prompts": section, "evaluate": {"task": task}}, folder, "recipe.yaml")
    write_prompts(load_prompts(recipe.prompts).prompts, folder / "prompts.parquet")
    return recipe


def found(recipe: Recipe, folder: Path) -> References:
    assert recipe.evaluate.task is not None
    return read_references(recipe, recipe.evaluate.task, folder)


def texts(references: References) -> set[tuple[str, ...]]:
    return {gold.references for gold in references.by_prompt.values()}


def held_out(folder: Path, recipe: Recipe) -> list[str]:
    return [one.messages[-1].content for one in load_prompts(recipe.prompts).prompts if one.split == "holdout"]


def test_references_in_the_prompts_own_rows(tmp_path: Path) -> None:
    recipe = make(
        tmp_path,
        {"reference_field": "gold", "metrics": ["exact_match"]},
        {"system": "Be brief.", "examples": [{"prompt": "hammer", "answer": "a tool"}]},
    )
    references = found(recipe, tmp_path)
    assert (references.rows, references.unmatched_rows, references.prompts) == (10, 5, 5)
    expected = {(f"a {prompt.removeprefix('What is a ').removesuffix('?')}",) for prompt in held_out(tmp_path, recipe)}
    assert texts(references) == expected
    assert references.line() == (
        "references: 5 of 5 held-out prompts have one (prompts.jsonl: 10 rows, 5 of prompts that are not held out)"
    )
    assert all(gold.place.startswith(f"{tmp_path}/prompts.jsonl:") for gold in references.by_prompt.values())


ROWS = [{"question": f"What  is a {word}? ", "answer": f"a {word}"} for word in WORDS]


@pytest.mark.parametrize("name", ["gold.jsonl", "gold.jsonl.gz", "gold.csv", "gold.tsv", "gold.parquet", "gold.json"])
def test_every_kind_of_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    separator = "\t" if name.endswith("tsv") else ","
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif name.endswith("sv"):
        path.write_text("".join(f"{separator.join(row)}\n" for row in [list(ROWS[0]), *(r.values() for r in ROWS)]))
    else:
        path.write_text(json.dumps(ROWS, indent=1) if name.endswith(".json") else lines)
    task = {"references": name, "prompt_field": "question", "reference_field": "answer", "metrics": ["token_f1"]}
    references = found(make(tmp_path, task), tmp_path)
    assert len(references.by_prompt) == 5
    assert all(len(one) == 1 for one in texts(references))


def test_messages_and_hashes_are_prompts_too(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello."}]
    rows = [{"prompt": [*turns, {"role": "user", "content": f"What is a {word}?"}]} for word in WORDS]
    task = {"references": "gold.jsonl", "reference_field": "gold", "metrics": ["exact_match"]}
    recipe = make(tmp_path, task, rows=rows)
    held = [one for one in load_prompts(recipe.prompts).prompts if one.split == "holdout"]
    answer = {"role": "assistant", "content": "A thing."}
    gold: list[Any] = [{"prompt": [*(one.plain for one in held[0].messages), answer], "gold": "by messages"}]
    gold += [{"prompt": held[1].hash, "gold": "by hash"}, {"prompt": "What is a kettle?", "gold": "not asked so"}]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    references = found(recipe, tmp_path)
    assert {key: one.references for key, one in references.by_prompt.items()} == {
        held[0].hash: ("by messages",),
        held[1].hash: ("by hash",),
    }
    assert references.unmatched_rows == 1


def test_several_references_objects_numbers_and_none(tmp_path: Path) -> None:
    values = [["one", "two", "one"], {"b": 1, "a": None}, 7, True, None, []] * 2
    rows = [
        {"prompt": f"What is a {word}?", "answers": {"text": value}} for word, value in zip(WORDS, values, strict=False)
    ]
    rows.append({"prompt": "What is a kettle?", "answers": {"text": ["three"]}})  # another row of the same prompt
    task = {"reference_field": "answers.text", "metrics": ["exact_match"]}
    recipe = make(tmp_path, task, {"holdout": 0.9}, rows)
    references = found(recipe, tmp_path)
    allowed = {("one", "two", "three"), ("one", "two"), ('{"a":null,"b":1}',), ("7",), ("true",)}
    assert texts(references) <= allowed
    assert len(texts(references)) >= 4
    assert references.empty_rows >= 1
    assert f"{references.empty_rows} without a reference)" in references.line()


def test_labels_are_those_given_or_those_of_the_file(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is a {word}?", "label": ("tool", "place")[at % 2]} for at, word in enumerate(WORDS)]
    task: dict[str, Any] = {"reference_field": "label", "metrics": ["accuracy"]}
    assert found(make(tmp_path, task, rows=rows), tmp_path).labels == ("tool", "place")
    task["labels"] = ["place", "tool", "none"]
    assert found(make(tmp_path, task, rows=rows), tmp_path).labels == ("place", "tool", "none")
    task["labels"] = ["place", "none"]
    with pytest.raises(RecipeError, match=r"prompts\.jsonl:1: the reference 'tool' is none of evaluate\.task\.labels"):
        found(make(tmp_path, task, rows=rows), tmp_path)


def test_free_texts_are_no_labels(tmp_path: Path) -> None:
    gold = [{"prompt": f"What is a {at}?", "gold": f"text {at}"} for at in range(1001)]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    task = {"references": "gold.jsonl", "reference_field": "gold", "metrics": ["macro_f1"]}
    with pytest.raises(RecipeError, match=r"gold\.jsonl:1001: more than 1,000 different references"):
        found(make(tmp_path, task), tmp_path)


@pytest.mark.parametrize(
    ("gold", "task", "words"),
    [
        (None, {}, "evaluate.task.references: {gold}: no such file"),
        ([], {}, "evaluate.task.references: {gold}: holds no row"),
        ([{"prompt": "What is a yacht?", "gold": "a boat"}], {}, "{gold}: none of its 1 rows is one of the 5 held"),
        ([{"question": "x", "gold": "y"}], {}, "{gold}:1: no field 'prompt' (evaluate.task.prompt_field); there is"),
        ([{"prompt": "x", "answer": "y"}], {}, "{gold}:1: no field 'gold' (evaluate.task.reference_field); there is"),
        ([{"prompt": "x", "gold": "y"}], {"reference_field": "gold.text"}, "{gold}:1: no field 'gold.text'"),
        ([{"prompt": 7, "gold": "y"}], {}, "{gold}:1: prompt: must be a prompt's text, its messages or its hash"),
        (["{"], {}, "{gold}:1: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path: Path, gold: list[Any] | None, task: dict[str, Any], words: str) -> None:
    path = tmp_path / "gold.jsonl"
    if gold is not None:
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in gold))
    recipe = make(tmp_path, {"references": "gold.jsonl", "reference_field": "gold", "metrics": ["exact_match"], **task})
    with pytest.raises(RecipeError) as caught:
        found(recipe, tmp_path)
    assert words.format(gold=path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_held_out_prompts_without_any_reference_are_told(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is a {word}?", "gold": None} for word in WORDS]
    task = {"reference_field": "gold", "metrics": ["exact_match"]}
    with pytest.raises(RecipeError, match="none of the 5 rows of held-out prompts has a reference"):
        found(make(tmp_path, task, rows=rows), tmp_path)


def test_json_fields_want_references_of_json(tmp_path: Path) -> None:
    task = {"reference_field": "gold", "metrics": ["json_field_f1"]}
    with pytest.raises(RecipeError, match=r"prompts\.jsonl:\d+: the reference 'a \w+' is no JSON"):
        found(make(tmp_path, task), tmp_path)


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    task = {"references": ".", "reference_field": "gold", "metrics": ["exact_match"]}
    with pytest.raises(RecipeError, match="is a folder; name the file in it"):
        found(make(tmp_path, task), tmp_path)
