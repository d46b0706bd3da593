"""People's preferences between two answers: read from a file, and matched to this run's pairs where they are of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from potstill.config import Prompts
from potstill.errors import RecipeError
from potstill.evaluate.judging.questions import Pair, as_conversation
from potstill.evaluate.references import prompt_key, prompt_keys
from potstill.exchanges.tables import csv_rows, json_rows, of_setting
from potstill.records import Message, Prompt, content_hash

_SETTING: Final = "evaluate.judge.calibration"
_MEANS: Final = {"a": 1.0, "b": 0.0, "tie": 0.5}  # how much a person prefers answer_a


@dataclass(frozen=True, slots=True)
class Row:
    """One preference as the file has it."""

    place: str
    pair: str | None  # the id in judge_pairs.jsonl
    prompt: Any
    conversation: str | None  # as judge_pairs.jsonl has it, where `prompt` is only a hash
    answers: tuple[str, str] | None
    prefers_a: float


@dataclass(frozen=True, slots=True)
class Labels:
    """`own` are of this run's pairs, by their number: how much people prefer the student, in [0, 1].

    `others` are pairs that are not of this run, with how much people prefer the one called `other`.
    """

    own: Mapping[int, float]
    others: Sequence[tuple[Pair, float]]
    rows: int
    unlabelled: int
    unmatched: int  # of a pair id that this run does not have, without the answers
    file: str


def read_rows(path: Path) -> tuple[list[Row], int]:
    """The preferences of a JSONL or CSV file, and how many rows have none yet.

    Raises RecipeError with file and line for a row without the fields, or with a preference that is none.
    """
    found, unlabelled = [], 0
    for place, row in _rows(path):
        said = row.get("preference")
        if said is None or (isinstance(said, str) and not said.strip()):
            unlabelled += 1
            continue
        preference = _MEANS.get(str(said).strip().casefold())
        if preference is None:
            raise RecipeError(f"{place}: preference: {said!r} is none of a, b and tie ({_SETTING})")
        texts = [row.get(name) for name in ("answer_a", "answer_b")]
        whole = row.get("prompt") is not None and all(isinstance(one, str) for one in texts)
        if not whole and not isinstance(row.get("pair"), str):
            raise RecipeError(
                f"{place}: needs prompt, answer_a and answer_b, or the pair of judge_pairs.jsonl, besides preference "
                f"({_SETTING})"
            )
        pair = row.get("pair")
        answers = (str(texts[0]), str(texts[1])) if whole else None
        told = row.get("conversation")
        conversation = told if isinstance(told, str) else None
        found.append(Row(place, str(pair) if pair else None, row.get("prompt"), conversation, answers, preference))
    if not found:
        raise RecipeError(f"{_SETTING}: {path}: no row has a preference; write a, b or tie")
    return found, unlabelled


def match_labels(
    path: Path, pairs: Sequence[Pair], held: Sequence[Prompt], section: Prompts
) -> Labels:  # fmt: skip
    """The file's preferences, those of one pair averaged. Raises RecipeError as `read_rows` does."""
    rows, unlabelled = read_rows(path)
    by_id = {pair.id: at for at, pair in enumerate(pairs)}
    by_text = {(pair.prompt_hash, pair.teacher.strip(), pair.other.strip()): at for at, pair in enumerate(pairs)}
    keys = prompt_keys(held, section)
    own: dict[int, list[float]] = {}
    others: dict[str, tuple[Pair, list[float]]] = {}
    unmatched = 0
    for row in rows:
        at, prefers_student = _own(row, pairs, by_id, by_text, keys)
        if at is not None:
            own.setdefault(at, []).append(prefers_student)
        elif row.answers is None:
            unmatched += 1
        else:
            pair = _other_pair(row, row.answers)
            others.setdefault(pair.id, (pair, []))[1].append(row.prefers_a)
    return Labels(
        {at: math.fsum(values) / len(values) for at, values in sorted(own.items())},
        [(pair, math.fsum(values) / len(values)) for pair, values in others.values()],
        len(rows), unlabelled, unmatched, path.name,
    )  # fmt: skip


def blind(pair: Pair) -> tuple[str, str, bool]:
    """The two answers in an order that tells nothing, and whether the first is the model's, not the teacher's."""
    turned = int(content_hash(["blind", pair.id])[:8], 16) % 2 == 1
    return (pair.other, pair.teacher, True) if turned else (pair.teacher, pair.other, False)


def _own(
    row: Row, pairs: Sequence[Pair], by_id: Mapping[str, int], by_text: Mapping[tuple[str, str, str], int],
    keys: Mapping[str, Sequence[str]],
) -> tuple[int | None, float]:  # fmt: skip
    """The number of this run's pair that a row is of, and how much it prefers the student there."""
    if row.answers is not None:
        first, second = (one.strip() for one in row.answers)
        for prompt in keys.get(prompt_key(row.prompt, f"{row.place}: prompt", _SETTING), ()):
            if (at := by_text.get((prompt, first, second))) is not None:
                return at, 1 - row.prefers_a
            if (at := by_text.get((prompt, second, first))) is not None:
                return at, row.prefers_a
        return None, 0.0
    at = by_id.get(row.pair or "")
    if at is None:
        return None, 0.0
    return at, row.prefers_a if blind(pairs[at])[2] else 1 - row.prefers_a


def _other_pair(row: Row, answers: tuple[str, str]) -> Pair:
    turns = row.prompt if isinstance(row.prompt, list) else [{"role": "user", "content": str(row.prompt)}]
    messages = [Message(str(one.get("role")), str(one.get("content") or "")) for one in turns]
    conversation = row.conversation or as_conversation(messages)
    return Pair(content_hash(["calibration", conversation]), conversation, answers[1], answers[0])


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with of_setting(_SETTING, path):
        if path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
            yield from csv_rows(path, "preference")
        else:
            yield from json_rows(path, _SETTING)
