"""Accounts that share a payment, a key, an address range, a network, a client, a TLS fingerprint or a sign-up batch."""

from typing import TYPE_CHECKING, Final

from potstill.guard.evidence.links import Link, rarity_bits

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Kind of link -> the event's field.
SHARED: Final = {
    "payment": "payment",
    "key": "key",
    "address": "address_prefix",
    "network": "network",
    "client": "client",
    "tls": "tls_fingerprint",
}


def shared(connection: "DuckDBPyConnection", kind: str, most: int | None = None) -> list[Link]:
    """One link for every value of the kind's field that two accounts or more have, the rarest first.

    Values that more than `most` accounts have are left out. Cost is one pass over the events; what comes back is at
    most as long as the different pairs of account and value.
    """
    field = SHARED[kind]
    total = _accounts(connection)
    rows = connection.execute(
        f"""
        WITH pairs AS (
          SELECT {field} AS value, account, count(*) AS events FROM events
          WHERE {field} IS NOT NULL AND account IS NOT NULL GROUP BY ALL
        )
        SELECT value, list(account ORDER BY account), sum(events)::BIGINT FROM pairs
        GROUP BY value HAVING count(*) BETWEEN 2 AND ? ORDER BY count(*), value
        """,
        [total if most is None else most],
    ).fetchall()
    return [
        Link(kind, tuple(accounts), value, events, strength_bits=rarity_bits(len(accounts), total))
        for value, accounts, events in rows
    ]


def signup_batches(connection: "DuckDBPyConnection", within_s: int = 600, least: int = 3) -> list[Link]:
    """Accounts that were made in a row with at most `within_s` seconds between one and the next, `least` or more.

    The strength is how many times more there are than the log's own rate of sign-ups would put into that time, in bits,
    at least 0: on a day of many sign-ups a row is no batch.
    """
    rows = connection.execute(
        """
        WITH made AS (
          SELECT account, min(signup_time) AS made_at, count(*) AS events FROM events
          WHERE account IS NOT NULL AND signup_time IS NOT NULL GROUP BY account
        ), gaps AS (
          SELECT *, coalesce(epoch(made_at) - epoch(lag(made_at) OVER (ORDER BY made_at, account)) > ?, true) AS begins
          FROM made
        ), batches AS (
          SELECT *, sum(begins::INT) OVER (ORDER BY made_at, account ROWS UNBOUNDED PRECEDING) AS batch FROM gaps
        ), rate AS (
          SELECT count(*) / greatest(epoch(max(made_at)) - epoch(min(made_at)), 1) AS a_second FROM made
        )
        SELECT strftime(min(made_at), '%Y-%m-%dT%H:%M:%SZ'), list(account ORDER BY account), sum(events)::BIGINT,
          greatest(log2(count(*) / (1 + a_second * (epoch(max(made_at)) - epoch(min(made_at)) + ?))), 0)
        FROM batches, rate GROUP BY batch, a_second HAVING count(*) >= ? ORDER BY min(made_at)
        """,
        [within_s, within_s, least],
    ).fetchall()
    return [Link("signup", tuple(accounts), at, events, strength_bits=bits) for at, accounts, events, bits in rows]


def _accounts(connection: "DuckDBPyConnection") -> int:
    row = connection.execute("SELECT count(DISTINCT account) FROM events").fetchone()
    return int(row[0]) if row else 0
