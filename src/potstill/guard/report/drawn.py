"""What the report's drawings need, out of the events: each case's requests by day and who is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from potstill.guard.cases.case import Case
from potstill.guard.evidence.links import Link

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Drawn:
    """Days of the log, requests of each case by day, its customers, and all links."""

    every_day: Sequence[str] = ()
    by_day: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)
    customers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    links: Sequence[Link] = ()


def drawn_of(
    cases: Sequence[Case], customers: Mapping[str, Sequence[str]], links: Sequence[Link],
    connection: "DuckDBPyConnection",
) -> Drawn:  # fmt: skip
    """For these cases. `customers` is the accounts of each; the view `events` has the account in `of_account`."""
    whose = {account: name for name, accounts in customers.items() for account in accounts}
    members = pa.table({
        "id": [case.id for case in cases for _ in case.accounts],
        "of_account": [account for case in cases for account in case.accounts],
    }, schema=pa.schema([("id", pa.string()), ("of_account", pa.string())]))  # fmt: skip
    connection.register("drawn_members", members)
    rows = connection.execute(
        """
        SELECT id, strftime(time, '%Y-%m-%d') AS day, count(*) FROM events JOIN drawn_members USING (of_account)
        WHERE time IS NOT NULL GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    connection.unregister("drawn_members")
    by_day: dict[str, list[tuple[str, int]]] = {}
    for case_id, day, count in rows:
        by_day.setdefault(case_id, []).append((day, count))
    return Drawn(
        _days(connection), by_day, {case.id: sorted({whose[one] for one in case.accounts}) for case in cases}, links
    )


def _days(connection: "DuckDBPyConnection") -> list[str]:
    ((first, last),) = connection.execute("SELECT min(time)::DATE, max(time)::DATE FROM events").fetchall()
    if first is None:
        return []
    return [(first + timedelta(days=at)).isoformat() for at in range((last - first).days + 1)]
