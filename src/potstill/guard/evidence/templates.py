"""Prompts that fill one template: what varies is masked, and what stays is compared by its beginning and its end."""

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from potstill.guard.evidence.links import Link, rarity_bits
from potstill.guard.evidence.names import name_accounts
from potstill.texts.near_duplicates import NearDuplicates, signatures

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Matched by RE2 inside DuckDB, which takes time linear in the text whatever the text is.
SLOTS: Final = (
    r"""https?://[^\s]+|[^\s@]+@[^\s@]+\.[a-z]+|"[^"]*"|“[^”]*”|«[^»]*»|'[^']*'|[0-9a-f]{12,}|[0-9][0-9.,:/-]*"""
)
_READ: Final = 400  # characters of a prompt's beginning, and as many of its end
_WORDS: Final = 8  # of the masked prompt that a template is known by
_LATER: Final = _WORDS - 1
_LOOKED_AT: Final = 100_000  # prompts, for near duplicates
_TEXTS_AT_ONCE: Final = 256


def _slots_masked(part: str) -> str:
    """SQL for a text in lower case with its slots masked."""
    return f"regexp_replace(lower({part}), $slots, '_', 'g')"


def _spaced(text: str) -> str:
    """SQL for a text with one space between its words. Most texts have that already, and replacing costs more."""
    odd = " OR ".join(f"contains({text}, {space})" for space in ("'  '", "chr(9)", "chr(10)", "chr(13)"))
    return f"trim(CASE WHEN {odd} THEN regexp_replace({text}, ' *[\\t\\n\\r]\\s*|  +', ' ', 'g') ELSE {text} END)"


def ends_of(columns: str, source: str) -> str:
    """SQL, with the parameter `$slots`, for these columns and `first` and `last`: eight words of each masked prompt.

    Both are '' where a prompt has fewer words. Of longer prompts the first and last 400 characters are read.
    """
    return f"""
      SELECT {columns}, regexp_extract(head, '^(?:\\S+ ){{{_LATER}}}\\S+') AS first,
        regexp_extract(coalesce(tail, head), '(?:\\S+ ){{{_LATER}}}\\S+$') AS last
      FROM (
        SELECT {columns}, {_spaced("head")} AS head, {_spaced("tail")} AS tail FROM (
          SELECT {columns}, {_slots_masked(f"left(prompt, {_READ})")} AS head,
            CASE WHEN length(prompt) > {_READ} THEN {_slots_masked(f"right(prompt, {_READ})")} END AS tail
          FROM {source}
        )
      )
    """


def _masked(connection: "DuckDBPyConnection") -> None:
    """The table `ends` of this connection: account, numbers of beginning and end, a row a prompt with both.

    Masking takes most of the time of all evidence, so it is done once a connection; texts are not kept. A row is 18
    bytes.
    """
    name_accounts(connection)
    connection.execute(
        f"""
        CREATE TEMP TABLE IF NOT EXISTS ends AS
        SELECT account::account_name AS account, CASE WHEN first <> '' THEN hash(first) END AS begins,
          CASE WHEN last <> '' THEN hash(last) END AS ends
        FROM ({ends_of("account", "events WHERE account IS NOT NULL AND prompt IS NOT NULL")})
        """,
        {"slots": SLOTS},
    )
    # A condition above would be moved down by DuckDB, and all masking be done again for it.
    connection.execute("DELETE FROM ends WHERE begins IS NULL")


def template_links(connection: "DuckDBPyConnection", least: int = 5) -> list[Link]:
    """A link for every template that two accounts or more used at least `least` times each, the rarest first.

    A template is the first eight words, or the last eight, with numbers, quoted texts, addresses and identifiers
    masked; prompts of fewer words have none. The value is the template's number, and says nothing of its words.
    """
    _masked(connection)
    total = _with_prompts(connection)
    rows = [
        (len(accounts), template, side, accounts, events)
        for side in ("begins", "ends")  # one after the other, in half of the memory
        for template, accounts, events in connection.execute(
            f"""
            WITH pairs AS (
              SELECT {side} AS template, account, count(*) AS events FROM ends WHERE {side} IS NOT NULL
              GROUP BY ALL HAVING count(*) >= $least
            )
            SELECT template, list(account ORDER BY account), sum(events)::BIGINT FROM pairs
            GROUP BY template HAVING count(*) > 1
            """,
            {"least": least},
        ).fetchall()
    ]
    return [
        Link("templates", tuple(accounts), f"{template:016x}", events, strength_bits=rarity_bits(count, total))
        for count, template, _, accounts, events in sorted(rows)
    ]


def template_use(connection: "DuckDBPyConnection") -> pa.Table:
    """How much of an account's prompts one template fills, a row an account with prompts of eight words or more.

    `templated` prompts that count, `top_template_share` the share of the most frequent beginning or end, and
    `template_entropy_bits` of the beginnings: 0 where all are one.
    """
    _masked(connection)
    return connection.sql(
        """
        WITH totals AS (SELECT account, count(*) AS total FROM ends GROUP BY account),
        endings AS (
          SELECT account, max(times) AS most FROM (
            SELECT account, count(*) AS times FROM ends WHERE ends IS NOT NULL GROUP BY account, ends
          ) GROUP BY account
        )
        SELECT account::VARCHAR AS account, any_value(total) AS templated,
          greatest(max(times), coalesce(any_value(endings.most), 0)) / any_value(total) AS top_template_share,
          greatest(-sum(times / total * log2(times / total)), 0) AS template_entropy_bits
        FROM (SELECT account, count(*) AS times FROM ends GROUP BY account, begins)
        JOIN totals USING (account) LEFT JOIN endings USING (account) GROUP BY account ORDER BY account
        """
    ).to_arrow_table()


def near_duplicate_links(connection: "DuckDBPyConnection", an_account: int = 10, threshold: float = 0.8) -> list[Link]:
    """A link for every group of accounts that sent nearly the same prompt, by MinHash signatures.

    Looked at are the `an_account` prompts of each account with the smallest hashes, so the same ones of accounts that
    send the same; of more than 10,000 accounts fewer, down to three, so that it stays near 100,000 prompts in all.
    Memory is some 3 KB for each. `threshold` is the least Jaccard similarity of 5-character shingles to
    the group's first prompt.
    """
    name_accounts(connection)
    each = max(min(an_account, _LOOKED_AT // max(_with_prompts(connection), 1)), min(an_account, 3))
    # Numbers are chosen first, and texts read again for those alone: all texts at once would fill any memory.
    rows = connection.execute(
        """
        WITH chosen AS MATERIALIZED (
          SELECT account, unnest(min(number, $each)) AS number FROM (
            SELECT DISTINCT account::account_name AS account, hash(prompt) AS number FROM events
            WHERE account IS NOT NULL AND prompt IS NOT NULL
          ) GROUP BY account
        ), sent AS (
          SELECT account::account_name AS account, hash(prompt) AS number, left(prompt, 4000) AS said FROM events
          WHERE account IS NOT NULL AND prompt IS NOT NULL
        )
        SELECT account, min(said) AS said FROM sent SEMI JOIN chosen USING (account, number)
        GROUP BY account, number ORDER BY account, said
        """,
        {"each": each},
    )
    seen = NearDuplicates(threshold)
    groups: dict[str, list[str]] = {}
    while some := rows.fetchmany(_TEXTS_AT_ONCE):
        for (account, _), mine in zip(some, signatures([prompt for _, prompt in some]), strict=True):
            name = f"{len(groups)}"
            first = seen.earlier_signed(name, mine)
            groups.setdefault(name if first is None else first, []).append(account)
    found = [
        Link("near_duplicates", tuple(sorted(set(accounts))), "", len(accounts), similarity=threshold)
        for accounts in groups.values()
        if len(set(accounts)) > 1
    ]
    return sorted(found, key=lambda link: (len(link.accounts), link.accounts))


def _with_prompts(connection: "DuckDBPyConnection") -> int:
    """How many accounts sent any prompt."""
    row = connection.execute("SELECT count(DISTINCT account) FROM events WHERE prompt IS NOT NULL").fetchone()
    return int(row[0]) if row else 0
