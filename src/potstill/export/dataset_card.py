"""The data card of the answers: what they are, whose they are under which terms, and what each column means."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from potstill.export.answers import ANSWERS
from potstill.export.card import table
from potstill.export.columns import COLUMNS
from potstill.export.notice import terms_list
from potstill.export.obligations import NO_ADVICE
from potstill.export.subject import Subject

_USE = f"""```python
import pyarrow.parquet as pq

answers = pq.read_table("{ANSWERS}")
trained_on = answers.filter((answers["split"].to_numpy() == "train") & answers["used"].to_numpy())
```"""


def write_dataset_card(subject: Subject, terms: Mapping[str, Any], folder: Path) -> None:
    """Write README.md into the folder that holds answers.parquet. Asks no network."""
    (folder / "README.md").write_text(card_text(subject, terms, folder), encoding="utf-8")


def card_text(subject: Subject, terms: Mapping[str, Any], folder: Path) -> str:
    """The card's front matter and body."""
    name = subject.recipe.name
    sections = (
        ("What this is", _what(subject)),
        ("Where the answers come from", _sources(subject)),
        ("Terms", "\n".join((*_limits(subject), terms_list(terms), "", NO_ADVICE))),
        ("Columns", _columns(folder)),
        ("How to use", _USE),
    )
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
    return f"---\n{_front_matter(subject)}\n---\n\n# Answers behind {name}\n\n{body}\n"


def _front_matter(subject: Subject) -> str:
    from huggingface_hub import DatasetCardData

    restricted = [text.rstrip(".").lower().replace(" ", "-") for text in subject.limits]
    data = DatasetCardData(
        license="other",  # weights' licences say nothing of a data set; whose the prompts are, only their owner knows
        license_name="-".join([*restricted, "see-terms-below"]),
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        source_datasets=["original"],
        task_categories=["text-generation"],
        size_categories=[_size(subject.answers.rows)],
        tags=["distillation", "potstill", "synthetic", *restricted],
        pretty_name=f"Answers behind {subject.recipe.name}",
        configs=[{"config_name": "default", "data_files": ANSWERS}],
    )
    return data.to_yaml().strip()


def _size(rows: int) -> str:
    """The hub's name of a data set's size."""
    steps = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
             (10_000_000, "1M<n<10M"))  # fmt: skip
    return next((name for most, name in steps if rows < most), "10M<n<100M")


def _what(subject: Subject) -> str:
    answers = subject.answers
    splits = ", ".join(f"{number:,} {name}" for name, number in sorted(answers.splits.items()))
    times = ""
    if answers.first is not None and answers.last is not None:
        times = f" They were given between {answers.first:%Y-%m-%d %H:%M} and {answers.last:%Y-%m-%d %H:%M} UTC."
    return (
        f"{answers.rows:,} requests to a teacher ({splits}) and what came of each, one a row: the data from which "
        f"`{subject.recipe.name}` was made.{times} The prompts come from `{subject.recipe.prompts.source.name}`; check "
        "that they may be passed on before you pass this on."
    )


def _sources(subject: Subject) -> str:
    shown = {one.name: one.shown for one in subject.teachers}
    rows = [("teacher", "served", "host", "answers")]
    for source, number in sorted(subject.answers.sources.items(), key=lambda one: str(one[0])):
        served = source.served or source.asked or "-"
        rows.append(
            (f"`{shown.get(source.teacher, source.teacher)}`", f"`{served}`", source.host or "-", f"{number:,}")
        )
    return table(rows)


def _limits(subject: Subject) -> list[str]:
    return [*(f"**{text}**" for text in subject.limits), ""] if subject.limits else []


def _columns(folder: Path) -> str:
    schema = pq.read_schema(folder / ANSWERS)
    return table([("column", "meaning"), *((f"`{name}`", COLUMNS.get(name, "")) for name in schema.names)])
