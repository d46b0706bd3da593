"""Accounts that wake when another one is shut out: pools that stand in for each other."""

from typing import TYPE_CHECKING

from potstill.guard.evidence.links import Link
from potstill.guard.evidence.names import name_accounts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def failover_links(connection: "DuckDBPyConnection", within_s: int = 1_800, idle_h: float = 24) -> list[Link]:
    """A link for every account that was shut out, with those that began within `within_s` seconds after.

    Shut out is an account whose request is refused (status 401, 402, 403 or 429) after one that was not, and that has
    no success for six hours after. Beginning is the first request of an account, or the first after `idle_h` hours; not
    in the log's first day, when all begin. The strength is how many times more begin than the day around would put into
    that time, in bits; below 1 there is no link. `events` is the number of accounts that began.
    """
    name_accounts(connection)
    rows = connection.execute(
        """
        WITH refused AS (SELECT DISTINCT account FROM events WHERE status IN (401, 402, 403, 429)),
        tries AS (
          SELECT account, time, status < 400 AS ok, status IN (401, 402, 403, 429) AS shut,
            lag(status < 400) OVER by_time AS before,
            min(CASE WHEN status < 400 THEN time END) OVER (
              PARTITION BY account ORDER BY time, status ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS next
          FROM events SEMI JOIN refused USING (account) WHERE time IS NOT NULL AND status IS NOT NULL
          WINDOW by_time AS (PARTITION BY account ORDER BY time, status)
        ), blocks AS (
          SELECT account, min(time) AS time, epoch_us(min(time)) // 60000000 AS minute FROM tries
          WHERE shut AND before AND (next IS NULL OR epoch(next) - epoch(time) > 6 * 3600)
          GROUP BY account, date_trunc('day', time)
        ), began AS (
          SELECT account, minute, lag(minute) OVER (PARTITION BY account ORDER BY minute) AS before FROM (
            SELECT DISTINCT account::account_name AS account, (epoch_us(time) // 60000000)::INTEGER AS minute
            FROM events WHERE account IS NOT NULL AND time IS NOT NULL AND coalesce(status < 400, true)
              AND (SELECT count(*) FROM blocks) > 0
          )
        ), starts AS (
          SELECT account::VARCHAR AS account, minute FROM began
          WHERE (before IS NULL OR minute - before >= $idle * 60)
            AND minute >= (SELECT min(minute) + 1440 FROM began)
        ), near AS (
          SELECT blocks.account AS blocked, blocks.time AS time, starts.account AS woken,
            starts.minute - blocks.minute BETWEEN 0 AND $within // 60 AS soon
          FROM blocks JOIN starts ON starts.account <> blocks.account
            AND starts.minute BETWEEN blocks.minute - 720 AND blocks.minute + 720
        ), counted AS (
          SELECT blocked, time, count(*) FILTER (WHERE soon) AS soon, count(*) FILTER (WHERE NOT soon) AS others,
            list_sort(list(DISTINCT woken) FILTER (WHERE soon)) AS woken
          FROM near GROUP BY ALL HAVING count(*) FILTER (WHERE soon) > 0
        )
        SELECT blocked, strftime(time, '%Y-%m-%dT%H:%M:%SZ'), woken, soon,
          log2(soon / ((others + 1) * $within / (86400 - $within))) AS bits
        FROM counted WHERE bits >= 1 ORDER BY time, blocked
        """,
        {"within": within_s, "idle": idle_h},
    ).fetchall()
    return [
        Link("failover", tuple(sorted({blocked, *woken})), at, soon, strength_bits=bits)
        for blocked, at, woken, soon, bits in rows
    ]
