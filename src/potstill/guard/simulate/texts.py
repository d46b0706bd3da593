"""Where simulated prompts come from: texts by topic, built in or read from files, and what makes each its own."""

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from potstill.errors import PotstillError
from potstill.exchanges import opened, rows
from potstill.guard.simulate.chance import chance

_TOPIC_TEXTS: Final = 3_000  # of one topic that are kept
_DETAILS: Final = 6_000  # entries of each of the three lists
_LEAST, _MOST = 12, 4_000  # characters of a text
_FIELDS: Final = ("prompt", "question", "instruction", "text", "turns", "messages", "content")
_LONGEST_ROW: Final = 1 << 20  # bytes


@cache
def read_yaml(name: str) -> Mapping[str, Any]:
    """One of the package's own files of words."""
    path = files("potstill.guard.simulate") / name
    found: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts by topic, one topic after the other, and the sentences that are added to them."""

    texts: pa.StringArray
    first: NDArray[np.int64]  # of each topic
    count: NDArray[np.int64]
    openings: pa.StringArray
    details: tuple[pa.StringArray, pa.StringArray, pa.StringArray]  # joined in this order

    @property
    def topics(self) -> int:
        """How many topics there are."""
        return len(self.first)


def built_in_texts(seed: int) -> Texts:
    """Texts of the package's own grammar."""
    topics = {}
    for name, topic in read_yaml("words.yaml")["topics"].items():
        combined = itertools.product(topic["frames"], topic["subjects"], topic["actions"], topic["circumstances"])
        topics[name] = [frame.format(s=s, a=a, c=c) for frame, s, a, c in combined]
    return _texts(topics, seed)


def read_texts(path: Path, seed: int) -> Texts:
    """Texts of a file or of all files of a folder; a file is a topic, of large ones a random part is kept.

    JSON lines (gzip too) give their first field of prompt, question, instruction, text, turns, messages or content;
    CSV the same columns; .txt a text a line. Raises PotstillError where nothing is found.
    """
    found = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    topics = {str(one): texts for one in found if (texts := list(dict.fromkeys(_read(one))))}
    if not topics:
        raise PotstillError(
            f"{path}: no texts for prompts here; wanted are .jsonl, .jsonl.gz, .csv or .txt files, rows with a field "
            f"out of {', '.join(_FIELDS)}"
        )
    return _texts(topics, seed)


def _texts(topics: Mapping[str, Sequence[str]], seed: int) -> Texts:
    rng, kept = chance(seed, "texts"), []
    for texts in topics.values():
        chosen = rng.permutation(len(texts))[:_TOPIC_TEXTS]
        kept.append([texts[at] for at in chosen.tolist()])
    count = np.array([len(texts) for texts in kept])
    words = read_yaml("words.yaml")["details"]
    return Texts(
        pa.array([text for texts in kept for text in texts], pa.string()),
        np.cumsum(count) - count, count, _openings(words, rng), _details(words, rng),
    )  # fmt: skip


def made_up_names(n: int, rng: np.random.Generator) -> list[str]:
    """Names that nobody has, out of 13,824."""
    syllables = read_yaml("words.yaml")["details"]["syllables"]
    chosen = rng.integers(len(syllables), size=(n, 3)).tolist()
    return ["".join(syllables[at] for at in three).capitalize() for three in chosen]


def _openings(words: Mapping[str, list[str]], rng: np.random.Generator) -> pa.StringArray:
    """How messages begin: two in five at once with what they are about, the others with a greeting and a name."""
    greetings = [words["openings"][at] for at in rng.integers(len(words["openings"]), size=_DETAILS).tolist()]
    named = zip(greetings, made_up_names(_DETAILS, rng), rng.random(_DETAILS).tolist(), strict=True)
    return pa.array(["" if luck < 0.4 else f"{greeting} {name} here." for greeting, name, luck in named], pa.string())


def _details(
    words: Mapping[str, list[str]], rng: np.random.Generator
) -> tuple[pa.StringArray, pa.StringArray, pa.StringArray]:
    def some(name: str) -> list[str]:
        return [words[name][at] for at in rng.integers(len(words[name]), size=_DETAILS).tolist()]

    found = zip(some("names"), some("relations"), some("verbs"), some("adjectives"), some("things"), strict=True)
    first = [f"{name}, {who}, {verb} the {how} {what}" for name, who, verb, how, what in found]
    where = zip(some("places"), some("times"), some("adjectives"), some("things"), strict=True)
    second = [f"near {place} {when}, with a {how} {what} for" for place, when, how, what in where]
    third = [f"{name}." for name in made_up_names(_DETAILS, rng)]
    return pa.array(first, pa.string()), pa.array(second, pa.string()), pa.array(third, pa.string())


def _read(path: Path) -> Iterator[str]:
    name = path.name.casefold()
    try:
        if name.endswith((".jsonl", ".jsonl.gz")):
            for row in rows(path, _LONGEST_ROW):
                if isinstance(row, tuple):
                    yield from _usable(next((row[1][one] for one in _FIELDS if row[1].get(one)), None))
        elif name.endswith(".csv"):
            with opened(path) as raw, TextIOWrapper(raw, "utf-8", "replace", newline="") as file:
                for line in csv.DictReader(file):
                    yield from _usable(next((line[one] for one in _FIELDS if line.get(one)), None))
        elif name.endswith(".txt"):
            with opened(path) as raw, TextIOWrapper(raw, "utf-8", "replace") as file:
                for text in file:
                    yield from _usable(text)
    except (OSError, csv.Error) as error:
        raise PotstillError(f"{path}: cannot be read ({error})") from None


def _usable(value: Any) -> Iterator[str]:
    """The text of a field: its own, or that of the first message of a conversation."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("content")
    if isinstance(value, str) and len(value.strip()) >= _LEAST:
        yield value.strip()[:_MOST].encode("utf-8", "replace").decode("utf-8")
