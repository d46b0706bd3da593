"""per_prompt.parquet: every figure of a run's student prompt by prompt, for other tools and for a later comparison."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from potstill.errors import PotstillError
from potstill.evaluate.measures import ByPrompt, Measure
from potstill.evaluate.slice_kinds import DIMENSIONS, Dimension, Slice
from potstill.store.durable import written_whole

NAME = "per_prompt.parquet"
_KEY = b"potstill.figures"  # of the file's metadata: how each figure is to be read


@dataclass(frozen=True, slots=True)
class PromptTable:
    """What the file holds: prompts by hash, figures as sums and counts of each, and the slice that each one is in."""

    hashes: Sequence[str]
    measures: Mapping[str, Measure]
    slices: Mapping[Dimension, Sequence[str | None]]

    def rows(self, hashes: Sequence[str]) -> "PromptTable":
        """The same for these prompts, in this order; all of them must be there."""
        place = {key: at for at, key in enumerate(self.hashes)}
        chosen = np.array([place[key] for key in hashes], dtype=np.int64)
        slices = {name: [found[at] for at in chosen] for name, found in self.slices.items()}
        return PromptTable(list(hashes), {name: one.rows(chosen) for name, one in self.measures.items()}, slices)


def write_prompt_table(folder: Path, scores: ByPrompt, slices: Sequence[Slice]) -> str:
    """Write the table into a run folder, whole or not at all; gives its name."""
    columns: dict[str, pa.Array] = {"prompt_hash": pa.array(list(scores.hashes), pa.string())}
    for dimension in DIMENSIONS:
        named = np.full(len(scores.hashes), None, dtype=object)
        for cut in slices:
            if cut.dimension == dimension:
                named[cut.members] = cut.name
        columns[f"slice.{dimension}"] = pa.array(named.tolist(), pa.string())
    for name, one in scores.measures.items():
        columns[f"{name}.sum"], columns[f"{name}.count"] = pa.array(one.sums), pa.array(one.counts)
        if one.teacher is not None:
            columns[f"{name}.teacher_sum"] = pa.array(one.teacher)
    read_as = {
        name: {"unit": one.unit, "range": one.range, "more_is_better": one.more_is_better}
        for name, one in scores.measures.items()
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(read_as)})
    with written_whole(folder / NAME) as file:
        pq.write_table(table, file, compression="zstd")
    return NAME


def read_prompt_table(folder: Path) -> PromptTable | None:
    """The table of a run folder; None where there is none, as in runs from before it was kept.

    Raises PotstillError for a file that is no such table.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
        read_as = json.loads(table.schema.metadata[_KEY])
        measures = {
            name: Measure(
                _numbers(table, f"{name}.sum"), _numbers(table, f"{name}.count"), str(how["unit"]),
                _numbers(table, f"{name}.teacher_sum") if f"{name}.teacher_sum" in table.column_names else None,
                None if how["range"] is None else (float(how["range"][0]), float(how["range"][1])),
                bool(how["more_is_better"]),
            )
            for name, how in read_as.items()
        }  # fmt: skip
        slices: dict[Dimension, list[str | None]] = {name: table[f"slice.{name}"].to_pylist() for name in DIMENSIONS}
        return PromptTable(table["prompt_hash"].to_pylist(), measures, slices)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, IndexError) as error:
        raise PotstillError(
            f"{path}: not a table of figures by prompt ({error}); delete it and run the recipe again"
        ) from None


def _numbers(table: pa.Table, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    values = np.asarray(table[name].to_numpy(), dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds what is no number")
    return values
