"""A split that is the source's own: held out is what it says, and whatever it says twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from potstill.config import Prompts
from potstill.errors import RecipeError
from potstill.prompts import load_prompts

ROWS = [
    {"prompt": "How far is the moon from here?", "part": "train"},
    {"prompt": "Which bird lays the largest egg?", "part": "test"},
    {"prompt": "Who wrote the oldest cookbook?", "part": "holdout"},
    {"prompt": "When does the last tram leave?", "part": "train"},
]


def splits(folder: Path, rows: list[dict[str, Any]]) -> dict[str, str]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = load_prompts(Prompts(source=path, split="part"))
    return {prompt.messages[-1].content.split()[0]: prompt.split for prompt in found.prompts}


def test_the_source_says_what_is_held_out(tmp_path: Path) -> None:
    assert splits(tmp_path, ROWS) == {"How": "train", "Which": "holdout", "Who": "holdout", "When": "train"}


@pytest.mark.parametrize("again", [ROWS[0] | {"part": "test"}, ROWS[1] | {"part": "train"}], ids=["later", "earlier"])
def test_what_is_in_both_is_held_out(tmp_path: Path, again: dict[str, str]) -> None:
    found = splits(tmp_path, [*ROWS, again])
    assert found[again["prompt"].split()[0]] == "holdout"
    assert list(found) == ["How", "Which", "Who", "When"]  # in the order of their first rows


def test_a_training_prompt_that_resembles_a_test_one_is_left_out(tmp_path: Path) -> None:
    alike = {"prompt": "Which bird lays the largest egg ?", "part": "train"}
    assert list(splits(tmp_path, [*ROWS, alike]).values()).count("train") == 2


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "a"}, r"rows\.jsonl:5: no field 'part' \(prompts\.split\); there is 'prompt'"),
        ({"prompt": "a", "part": "dev"}, r"rows\.jsonl:5: part is 'dev'; prompts\.split takes train, holdout, test"),
        ({"prompt": "a", "part": 1}, r"rows\.jsonl:5: part is 1; prompts\.split takes"),
    ],
)
def test_another_word_is_one_clear_line(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=f"{words}[^\n]*$"):
        splits(tmp_path, [*ROWS, row])


@pytest.mark.parametrize("part", ["train", "test"])
def test_one_split_alone_is_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(RecipeError, match=r"^prompts\.split: \d of 4 different prompts in .* are held out"):
        splits(tmp_path, [row | {"part": part} for row in ROWS])


def test_a_share_beside_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="leave holdout out"):
        Prompts(source=tmp_path, split="part", holdout=0.3)
