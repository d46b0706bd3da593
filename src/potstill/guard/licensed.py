"""The allow-list: customers whose contract permits what a case shows. It lowers what is done, and hides nothing."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from potstill.errors import PotstillError
from potstill.guard.cases.case import Action, Case
from potstill.guard.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LICENSED: Final = "licensed customers"  # what explains a case all of whose accounts are on the list
_COLUMNS: Final = ("account", "organization", "reason", "until")
_LADDER: Final[tuple[Action, ...]] = ("none", "watch", "verify identity", "cap", "refuse")


@dataclass(frozen=True, slots=True)
class Licence:
    """One row of the list. `names` are the pseudonym of what it names and the text itself, which may be one already."""

    place: str  # file:line
    organization: bool  # whether it names an organization or an account
    names: frozenset[str]
    reason: str
    until: date | None  # the last day it holds; None for no end

    def holds(self, today: date) -> bool:
        """Whether it has not ended."""
        return self.until is None or today <= self.until


@dataclass(frozen=True, slots=True)
class Allow:
    """An allow-list, and the day on which it is asked."""

    licences: tuple[Licence, ...]
    today: date


def organizations(connection: "DuckDBPyConnection") -> dict[str, str]:
    """The organization of each account that has one; the view `events` has the account in `of_account`."""
    return dict(
        connection.execute(
            "SELECT of_account, max(organization) FROM events "
            "WHERE organization IS NOT NULL AND of_account IS NOT NULL GROUP BY of_account"
        ).fetchall()
    )


def read_allow_list(path: Path, pseudonyms: Pseudonyms) -> tuple[Licence, ...]:
    """Licences from a CSV file with the columns account, organization, reason, until (YYYY-MM-DD, empty: no end).

    A row names an account or an organization, as the logs do or by pseudonym. Raises PotstillError with file and line.
    """
    found = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"reason"}.difference(reader.fieldnames or ())
            unknown = set(reader.fieldnames or ()).difference(_COLUMNS)
            if missing or unknown:
                raise PotstillError(f"{path}:1: wanted is a header out of {', '.join(_COLUMNS)}, with reason")
            for row in reader:
                found.append(_licence(f"{path}:{reader.line_num}", row, pseudonyms))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PotstillError(f"{path}: the allow-list cannot be read ({error})") from None
    return tuple(found)


def _licence(place: str, row: Mapping[str, str | None], pseudonyms: Pseudonyms) -> Licence:
    given = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    if None in row or bool(given["account"]) == bool(given["organization"]):
        raise PotstillError(f"{place}: name either an account or an organization, and no more columns than the header")
    if not given["reason"]:
        raise PotstillError(f"{place}: give a reason; whoever reads the case has to know why it is let pass")
    try:
        until = date.fromisoformat(given["until"]) if given["until"] else None
    except ValueError:
        raise PotstillError(f"{place}: until is a day such as 2026-12-31, not {given['until']!r}") from None
    field = "organization" if given["organization"] else "account"
    names = frozenset((given[field], pseudonyms.of(field, given[field])))
    return Licence(place, field == "organization", names, given["reason"], until)


def lowered(
    cases: Sequence[Case], licences: Sequence[Licence], organizations: Mapping[str, str], today: date
) -> list[Case]:
    """The same cases: those with licensed accounts have a lower action, and say why. None is taken out.

    `organizations` is the organization of each account that has one. Where all accounts are licensed the case is
    explained, and to be watched; where some are, the action is one step lower.
    """
    return [_lowered(case, licences, organizations, today) for case in cases]


def _lowered(case: Case, licences: Sequence[Licence], organizations: Mapping[str, str], today: date) -> Case:
    covered: set[str] = set()
    notes = []
    for licence in licences:
        mine = {
            account for account in case.accounts
            if (organizations.get(account) if licence.organization else account) in licence.names
        }  # fmt: skip
        if not mine:
            continue
        until = "without end" if licence.until is None else f"until {licence.until.isoformat()}"
        if licence.holds(today):
            covered |= mine
            notes.append(f"Licensed: {len(mine)} of {len(case.accounts)} accounts ({licence.reason}; {until}).")
        else:
            notes.append(
                f"The licence of {len(mine)} of {len(case.accounts)} accounts ({licence.reason}) held {until} only "
                "and does not count."
            )
    if not notes:
        return case
    action, explained = case.action, case.explained_by
    if covered.issuperset(case.accounts):
        action = min(action, "watch", key=_LADDER.index)
        explained = explained or LICENSED
    elif covered and _LADDER.index(action) > 1:
        action = _LADDER[_LADDER.index(action) - 1]
    if action != case.action:
        notes.append(f"So the action is {action} instead of {case.action}.")
    return replace(case, action=action, explained_by=explained, explanation=(*case.explanation, *notes))


def unmatched(licences: Sequence[Licence], accounts: set[str], organizations: Mapping[str, str]) -> Iterator[str]:
    """A line for each licence that names nobody in the log, such as one with a misspelt name."""
    there = set(organizations.values())
    for one in licences:
        if not one.names & (there if one.organization else accounts):
            yield f"{one.place}: names nobody in this log"
