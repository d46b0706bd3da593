"""Prompts that ask for what distillation wants, by their wording: families of phrases in several languages."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import yaml

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_IN_SENTENCE: Final = r"[^.?!。？！\n]*"
_READ: Final = 20_000  # characters of a prompt, and as many of its system prompt

Phrases = dict[str, dict[str, list[str]]]  # family -> language -> phrases


@cache
def phrases() -> Phrases:
    """The phrases of phrases.yaml, as they are written there."""
    found: Phrases = yaml.safe_load((files("potstill.guard.evidence") / "phrases.yaml").read_text(encoding="utf-8"))
    return found


def phrasing(connection: "DuckDBPyConnection") -> pa.Table:
    """Requests of each family, a row an account: its prompt or its system prompt has one of the family's phrases.

    `prompts` are the account's requests with a prompt; a request may count in several families. Of longer texts the
    first 20,000 characters are read.
    """
    counts = ", ".join(f"count(*) FILTER (WHERE {_matches(family)}) AS {family}" for family in phrases())
    every = tuple(phrases())  # most prompts have no phrase of any family, and one expression is enough to say so
    return connection.sql(
        f"""
        SELECT account, count(*) AS prompts, {counts} FROM (
          SELECT account, CASE WHEN {_matches(*every)} THEN said END AS said FROM (
            SELECT account,
              lower(left(prompt, {_READ}) || chr(10) || left(coalesce(system_prompt, ''), {_READ})) AS said
            FROM events WHERE account IS NOT NULL AND prompt IS NOT NULL
          )
        ) GROUP BY account ORDER BY account
        """
    ).to_arrow_table()


def families_of(connection: "DuckDBPyConnection", text: str) -> tuple[str, ...]:
    """The families whose phrases are in a text, matched as `phrasing` matches them."""
    columns = ", ".join(_matches(family) for family in phrases())
    row = connection.execute(f"SELECT {columns} FROM (SELECT lower(?) AS said)", [text[:_READ]]).fetchone() or ()
    return tuple(family for family, found in zip(phrases(), row, strict=True) if found)


@cache
def _matches(*families: str) -> str:
    """The SQL that says whether `said` has a phrase of one of the families: RE2, which no text makes slow."""
    said = "|".join(
        phrase for family in families for of_language in phrases()[family].values() for phrase in of_language
    )
    pattern = said.replace("…", _IN_SENTENCE).replace("(", "(?:").replace("'", "''")
    return f"regexp_matches(said, '{pattern}')"
