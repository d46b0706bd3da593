"""How the prompts and answers of two runs overlap, by their hashes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.errors import PotstillError
from potstill.records import content_hash
from potstill.store.prompts import StoredPrompts

Key = tuple[str, int]  # a prompt's hash and the number of the sample


@dataclass(frozen=True, slots=True)
class PromptsChange:
    """Prompts by split: (old, new, in that split of both), and how many went from one split to the other."""

    train: tuple[int, int, int]
    holdout: tuple[int, int, int]
    moved: int


@dataclass(frozen=True, slots=True)
class AnswersChange:
    """The teacher's answers, paired by prompt and sample; `content` is one hash over all of a run's."""

    old: int
    new: int
    same: int
    different: int
    held_out_different: int  # among the different ones, or on one side only; of prompts held out in both runs
    content: tuple[str, str]


def prompts_change(old: Path, new: Path) -> PromptsChange:
    """Compare the prompts.parquet of two runs."""
    one, other = _splits(old), _splits(new)

    def counts(split: str) -> tuple[int, int, int]:
        before, after = ({key for key, found in side.items() if found == split} for side in (one, other))
        return len(before), len(after), len(before & after)

    moved = sum(key in other and other[key] != split for key, split in one.items())
    return PromptsChange(counts("train"), counts("holdout"), moved)


def answers_change(old: Path, new: Path) -> AnswersChange:
    """Compare the answers.parquet of two runs."""
    one, other = _answers(old), _answers(new)
    both = one.keys() & other.keys()
    same = sum(one[key] == other[key] for key in both)
    held = _held_out(old) & _held_out(new)
    changed = {key[0] for key in one.keys() | other.keys() if key[0] in held and one.get(key) != other.get(key)}
    content = content_hash(sorted(one.items())), content_hash(sorted(other.items()))
    return AnswersChange(len(one), len(other), same, len(both) - same, len(changed), content)


def _splits(folder: Path) -> dict[str, str]:
    return {row["hash"]: row["split"] for row in StoredPrompts(folder / "prompts.parquet").rows("hash", "split")}


def _held_out(folder: Path) -> set[str]:
    return {key for key, split in _splits(folder).items() if split == "holdout"}


def _answers(folder: Path) -> Mapping[Key, str]:
    """The hash of each answer and its calls, by prompt and sample; errors are no answers."""
    path = folder / "answers.parquet"
    found: dict[Key, str] = {}
    try:
        with pq.ParquetFile(path) as file:
            names = ["prompt_hash", "sample", "answer", "tool_calls"]
            there = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(1000, columns=there):
                for row in batch.to_pylist():
                    if row["answer"] is not None:
                        found[row["prompt_hash"], row["sample"]] = _content(row)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise PotstillError(f"{path}: not a table of answers ({error}); run the collect stage again") from None
    return found


def _content(row: Mapping[str, Any]) -> str:
    return content_hash([row["answer"], row.get("tool_calls")])
