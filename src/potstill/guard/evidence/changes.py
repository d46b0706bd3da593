"""What stands out against an account's plan or its own past: usage over the plan's, a move to a new model, a rise."""

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def plan_use(connection: "DuckDBPyConnection", least: int = 5) -> pa.Table:
    """Use against the plan, a row an account with one.

    `usage_of_plan` is the account's tokens (requests, where none are known) a day with events, over the median of its
    plan; null where the plan has fewer than `least` accounts. An account's plan is the one it has most events under.
    """
    return connection.sql(
        """
        WITH counted AS (
          SELECT account, plan, count(*) AS events, count(DISTINCT date_trunc('day', time)) AS days,
            coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), 0) AS tokens
          FROM events WHERE account IS NOT NULL AND plan IS NOT NULL AND time IS NOT NULL GROUP BY ALL
        ), known AS (SELECT coalesce(sum(tokens), 0) > 0 AS tokens FROM counted),
        one AS (
          SELECT account, plan, CASE WHEN known.tokens THEN counted.tokens ELSE events END / days AS used
          FROM counted, known QUALIFY row_number() OVER (PARTITION BY account ORDER BY events DESC, plan) = 1
        )
        SELECT account, CASE WHEN count(*) OVER by_plan >= ? THEN used / nullif(median(used) OVER by_plan, 0) END
          AS usage_of_plan
        FROM one WINDOW by_plan AS (PARTITION BY plan) ORDER BY account
        """,
        params=[least],
    ).to_arrow_table()


def release_shift(connection: "DuckDBPyConnection", least: int = 5) -> pa.Table:
    """How much of its use an account moved to a new model within 24 hours, a row an account.

    A model is new where its first event comes two days or more after the log's, and `least` accounts use it.
    `moved_share` is the share of the account's requests of those 24 hours, the largest of all new models; null for
    accounts with fewer than ten requests before, and where no model is new.
    """
    return connection.sql(
        """
        WITH models AS (
          SELECT model, min(time) AS released, count(DISTINCT account) AS accounts FROM events
          WHERE account IS NOT NULL AND time IS NOT NULL AND model IS NOT NULL GROUP BY model
        ), new AS (
          SELECT model, released FROM models
          WHERE accounts >= ? AND epoch(released) - epoch((SELECT min(released) FROM models)) >= 2 * 86400
        ), moves AS (
          SELECT account, new.model AS model, count(*) FILTER (WHERE time < released) AS before,
            count(*) FILTER (WHERE time >= released) AS after,
            count(*) FILTER (WHERE time >= released AND events.model = new.model) AS moved
          FROM events JOIN new ON epoch(time) < epoch(released) + 86400
          WHERE account IS NOT NULL GROUP BY ALL
        )
        SELECT account, max(moved / after) AS moved_share FROM moves
        WHERE before >= 10 AND after > 0 GROUP BY account ORDER BY account
        """,
        params=[least],
    ).to_arrow_table()


def own_history(connection: "DuckDBPyConnection", week: int = 7) -> pa.Table:
    """How the account's last days compare with its own past, a row an account that has three weeks of it.

    `p_history` is the conformal p-value of the last `week` days' tokens (requests, where none are known) among all runs
    of as many days since its first event: (1 + runs with at least as much) / (1 + runs). Windows overlap, so it
    describes a rise and is no test of its own. Days without events count as 0.
    """
    return connection.sql(
        """
        WITH days AS (
          SELECT account, time::DATE AS day, count(*) AS events, coalesce(sum(output_tokens), 0) AS tokens FROM events
          WHERE account IS NOT NULL AND time IS NOT NULL GROUP BY ALL
        ), known AS (SELECT coalesce(sum(tokens), 0) > 0 AS tokens, max(day) AS last FROM days),
        spans AS (SELECT account, min(day) AS first FROM days GROUP BY account),
        every AS (
          SELECT account, unnest(generate_series(first, last, INTERVAL 1 DAY))::DATE AS day FROM spans, known
          WHERE last - first + 1 >= 3 * $week
        ), filled AS (
          SELECT account, day, coalesce(CASE WHEN known.tokens THEN days.tokens ELSE events END, 0) AS used
          FROM every LEFT JOIN days USING (account, day), known
        ), runs AS (
          SELECT account, day, sum(used) OVER run AS used, count(*) OVER run AS length FROM filled
          WINDOW run AS (PARTITION BY account ORDER BY day ROWS BETWEEN $week - 1 PRECEDING AND CURRENT ROW)
        ), ends AS (SELECT account, used AS late, day AS last_day FROM runs, known WHERE day = last)
        SELECT account, (1 + count(*) FILTER (WHERE used >= late)) / (1 + count(*)) AS p_history
        FROM runs JOIN ends USING (account) WHERE length = $week AND day <= last_day - $week
        GROUP BY account ORDER BY account
        """,
        params={"week": week},
    ).to_arrow_table()
