"""The record of one case, and how cases.json has it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from potstill.errors import PotstillError
from potstill.store.durable import written_whole

VERSION: Final = 1
CASES: Final = "cases.json"

Outcome = Literal["evidence", "no evidence", "not enough data"]
Action = Literal["none", "watch", "verify identity", "cap", "refuse"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One family of evidence in a case."""

    family: str
    kinds: tuple[str, ...]
    accounts: int  # customers of the case that show it
    p_value: float | None  # None for what joined the candidates in the first place
    shows: str
    innocent: str
    examples: tuple[str, ...] = ()  # pseudonyms, times, names of families of wording; templates with their slots masked

    @property
    def sentence(self) -> str:
        """What a person reads of it."""
        return f"{self.family}: {self.shows}. Innocent causes: {self.innocent}."


@dataclass(frozen=True, slots=True)
class Case:
    """Customers who act as one beyond chance, or nearly so.

    `p_value` is the smallest of the candidates' that were joined into the case, each times the questions that were
    asked of it; `q_value` is that adjusted across all candidates; `smallest_p` what it could have come to.
    """

    id: str
    outcome: Outcome
    p_value: float
    q_value: float
    smallest_p: float
    accounts: tuple[str, ...]
    customers: int
    evidence: tuple[Shown, ...]
    exchanges: int  # estimate of those that belong to the campaign
    exchanges_at_most: int  # all of the accounts
    tokens: int | None
    tokens_at_most: int | None
    first_seen: str | None
    last_seen: str | None
    targets: tuple[str, ...]  # capabilities; "unknown" where texts are missing
    p_conduct: float | None
    explained_by: str | None  # an innocent explanation that fits
    action: Action
    explanation: tuple[str, ...] = field(default=())  # sentences for a person


def write_cases(path: Path, cases: Sequence[Case], about: Mapping[str, Any]) -> None:
    """Write cases.json: `version`, what the scan was, and `cases`, those with evidence first."""
    document = {"version": VERSION, **about, "cases": [asdict(one) for one in cases]}
    with written_whole(path) as file:
        file.write((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def read_cases(path: Path) -> tuple[list[Case], dict[str, Any]]:
    """The cases of a file, and what else it says. Raises PotstillError where it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("version") != VERSION:
            raise PotstillError(f"{path}: another version than {VERSION}; scan the logs again")
        return [_case(one) for one in document.pop("cases")], document
    except FileNotFoundError:
        raise PotstillError(f"{path}: no cases here; run potstill guard scan") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise PotstillError(f"{path}: cannot be read; scan the logs again") from None


def _case(row: dict[str, Any]) -> Case:
    shown = tuple(
        Shown(**{**one, "kinds": tuple(one["kinds"]), "examples": tuple(one["examples"])}) for one in row["evidence"]
    )
    lists = {name: tuple(row[name]) for name in ("accounts", "targets", "explanation")}
    return Case(**{**row, **lists, "evidence": shown})
