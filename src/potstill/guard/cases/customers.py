"""Whose accounts they are: those of one organization are one customer, who cannot be a campaign with itself."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ENOUGH = 20  # accounts, before an organization can be found too large to be one customer


@dataclass(frozen=True, slots=True)
class Customers:
    """The accounts of every customer, and organizations that hold most accounts and so say nothing."""

    accounts: dict[str, tuple[str, ...]]
    not_one: tuple[str, ...]


def by_customer(connection: "DuckDBPyConnection") -> Customers:
    """Let the view `events` of this connection have the organization as its account, where there is one.

    All evidence is then between customers. An organization that holds more than half of all accounts, such as a
    gateway's default, is no customer, and its accounts stand for themselves. The accounts are in `of_account`.
    """
    every = connection.execute("SELECT count(DISTINCT account) FROM events").fetchone()
    total = int(every[0]) if every else 0
    rows = connection.execute(
        "SELECT organization FROM events WHERE organization IS NOT NULL GROUP BY organization "
        "HAVING count(DISTINCT account) > ? / 2 ORDER BY organization",
        [max(total, _ENOUGH)],
    ).fetchall()
    too_large = tuple(name for (name,) in rows)
    quoted = ", ".join(f"'{name}'" for name in too_large) or "''"  # pseudonyms: hexadecimal digits
    connection.execute(
        f"""
        CREATE TEMP VIEW events AS
        SELECT * REPLACE (
          CASE WHEN organization IS NULL OR organization IN ({quoted}) THEN account ELSE organization END AS account
        ), account AS of_account FROM memory.main.events
        """
    )
    found: dict[str, list[str]] = {}
    for customer, account in connection.execute(
        "SELECT DISTINCT account, of_account FROM events WHERE account IS NOT NULL ORDER BY ALL"
    ).fetchall():
        found.setdefault(customer, []).append(account or customer)
    return Customers({name: tuple(accounts) for name, accounts in found.items()}, too_large)
