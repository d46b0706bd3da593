"""That a run without withdrawn rows is the run that a source without them would give."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.config import Prompts
from potstill.errors import RecipeError
from potstill.prompts import load_prompts
from potstill.prompts.withdrawn import names_of, read_withdrawn

WORDS = ("kettle", "bridge", "lantern", "compass", "ladder", "violin", "helmet", "barometer", "saddle", "anvil")


def source(folder: Path, words: list[str], name: str = "prompts.jsonl") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"prompt": word}) + "\n" for word in words), encoding="utf-8")
    return path


def listed(folder: Path, *lines: str) -> Path:
    path = folder / "withdrawn.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@given(gone=st.sets(st.sampled_from(WORDS), max_size=7), words=st.permutations([*WORDS, "kettle", "anvil"]))
@settings(max_examples=60, deadline=None)
def test_it_is_as_if_the_rows_stood_not_in_the_source(gone: set[str], words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = load_prompts(Prompts(source=source(folder, words), holdout=0.3))
        hashes = [one.hash for one in every.prompts if one.messages[-1].content in gone]
        section = Prompts(source=source(folder, words), holdout=0.3, withdrawn=listed(folder, *hashes))
        without = load_prompts(section)
        expected = load_prompts(Prompts(source=source(folder, [one for one in words if one not in gone]), holdout=0.3))
    assert {(one.hash, one.split) for one in without.prompts} == {(one.hash, one.split) for one in expected.prompts}
    assert (without.rows, without.exact_duplicates) == (expected.rows, expected.exact_duplicates)
    assert without.withdrawn is not None
    assert without.withdrawn.hashes == tuple(sorted(hashes))
    assert without.withdrawn.rows == len(words) - expected.rows


@pytest.mark.parametrize("name", ["acme.jsonl", "customers/acme.jsonl", "acme.jsonl:2", "{}/customers/acme.jsonl"])
def test_a_source_is_withdrawn_by_its_file_or_a_place_in_it(tmp_path: Path, name: str) -> None:
    path = source(tmp_path, list(WORDS), "customers/acme.jsonl")
    section = Prompts(source=path, holdout=0.2, withdrawn=listed(tmp_path, "# of acme", "", name.format(tmp_path)))
    if ":" not in name:
        with pytest.raises(RecipeError, match=r"prompts.withdrawn: all 10 prompts of .* are withdrawn"):
            load_prompts(section)
        return
    found = load_prompts(section)
    assert found.withdrawn is not None
    assert (found.rows, found.withdrawn.rows, found.withdrawn.unmatched) == (9, 1, ())
    assert "1 rows left out as withdrawn" in found.source_line()


def test_what_means_no_row_is_said(tmp_path: Path) -> None:
    found = load_prompts(
        Prompts(source=source(tmp_path, list(WORDS)), holdout=0.2, withdrawn=listed(tmp_path, "acne.jsonl", "a" * 64))
    )
    assert found.withdrawn is not None
    assert found.withdrawn.unmatched == ("a" * 64, "acne.jsonl")
    assert found.withdrawn.hashes == ("a" * 64,)  # for the ledger: it may have gone from the source too
    assert "2 lines of prompts.withdrawn mean no row of the source" in found.source_line()


def test_the_limit_counts_withdrawn_rows(tmp_path: Path) -> None:
    path = source(tmp_path, list(WORDS))
    section = Prompts(source=path, holdout=0.2, limit=5, withdrawn=listed(tmp_path, "prompts.jsonl:1"))
    assert [one.messages[-1].content for one in load_prompts(section).prompts] == list(WORDS[1:5])


def test_a_list_that_cannot_be_meant_so_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"withdrawn.txt:2: 20 digits; a prompt's hash has 64"):
        read_withdrawn(listed(tmp_path, "one.jsonl", "ab" * 10))
    with pytest.raises(RecipeError, match=r"prompts.withdrawn: .*nowhere.txt: cannot be read"):
        read_withdrawn(tmp_path / "nowhere.txt")


def test_names_of_a_place() -> None:
    found = list(names_of("/data/customers/acme.jsonl:12"))
    assert {"acme.jsonl", "customers/acme.jsonl", "acme.jsonl:12", "/data/customers/acme.jsonl"} <= set(found)
    assert "jsonl" not in found
