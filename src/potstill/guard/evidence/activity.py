"""When an account is active: hours of the day, idle time, and how fast it came to its maximum."""

from typing import TYPE_CHECKING

import pyarrow as pa

from potstill.guard.evidence.names import name_accounts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def hours(connection: "DuckDBPyConnection") -> pa.Table:
    """Hours of activity, a row an account.

    `span_h` hours from the first to the last that has an event, `active_h` those that have one, `active_share` their
    ratio, `longest_idle_h` the longest run without one, `hours_of_day` how many of the 24 (UTC) have events, and
    `hour_entropy_bits` how evenly: log2(24) = 4.58 where all hours have as many.
    """
    name_accounts(connection)
    return connection.sql(
        """
        WITH busy AS (
          SELECT account::account_name AS account, (epoch_us(time) // 3600000000)::INTEGER AS h, count(*) AS events
          FROM events WHERE account IS NOT NULL AND time IS NOT NULL GROUP BY ALL
        ), gaps AS (
          SELECT account, h, lag(h) OVER (PARTITION BY account ORDER BY h) AS before FROM busy
        ), spans AS (
          SELECT account, (max(h) - min(h) + 1)::BIGINT AS span_h, count(*) AS active_h,
            coalesce(max(h - before - 1), 0)::BIGINT AS longest_idle_h FROM gaps GROUP BY account
        ), day AS (
          SELECT account, h % 24 AS hour, sum(events) AS events FROM busy GROUP BY ALL
        ), shares AS (
          SELECT account, events / sum(events) OVER (PARTITION BY account) AS share FROM day
        ), evenness AS (
          SELECT account, count(*) AS hours_of_day, greatest(-sum(share * log2(share)), 0) AS hour_entropy_bits
          FROM shares GROUP BY account
        )
        SELECT account::VARCHAR AS account, span_h, active_h, active_h / span_h AS active_share, longest_idle_h,
          hours_of_day, hour_entropy_bits
        FROM spans JOIN evenness USING (account) ORDER BY account
        """
    ).to_arrow_table()


def ramp(connection: "DuckDBPyConnection") -> pa.Table:
    """How an account came to its maximum, a row an account.

    `peak_day_events` on its fullest day, `days_to_peak` days from its first until one with nine tenths of that,
    `first_day_share` the first day's events over the fullest day's, `idle_before_first_h` hours from sign-up to the
    first event (null where the sign-up is not known; below 0 where clocks disagree).
    """
    return connection.sql(
        """
        WITH days AS (
          SELECT account, date_trunc('day', time) AS day, count(*) AS events, min(time) AS first,
            min(signup_time) AS made
          FROM events WHERE account IS NOT NULL AND time IS NOT NULL GROUP BY ALL
        ), peaks AS (
          SELECT account, max(events) AS peak, min(day) AS began, min(first) AS first, min(made) AS made
          FROM days GROUP BY account
        )
        SELECT account, any_value(peak) AS peak_day_events,
          min(date_diff('day', began, day)) FILTER (WHERE events >= 0.9 * peak) AS days_to_peak,
          max(events) FILTER (WHERE day = began) / any_value(peak) AS first_day_share,
          (epoch(any_value(peaks.first)) - epoch(any_value(peaks.made))) / 3600 AS idle_before_first_h
        FROM days JOIN peaks USING (account) GROUP BY account ORDER BY account
        """
    ).to_arrow_table()
