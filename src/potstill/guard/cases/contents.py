"""What a case's accounts asked for: masked templates to show, exchanges that fill them, and what they aim at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from potstill.guard.evidence.templates import SLOTS, ends_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOOKED_AT: Final = 2_000  # prompts of a case
_EXAMPLES: Final = 3
_SHARE: Final = 0.1  # of the prompts looked at, from which a capability is named

# Words of prompts, matched in lower case by RE2.
_ABOUT: Final[Mapping[str, str]] = {
    "reasoning": r"step by step|reasoning|chain of thought|prove|proof|think|solve|derive|show (your|all) (work|steps)",
    "mathematics": r"equation|integral|theorem|algebra|probability|calculate|arithmetic|matrix|fraction|geometry",
    "code": r"python|javascript|function|compile|refactor|unit test|stack trace|algorithm|sql|```|def |class ",
    "agents and tools": r"tool|function call|browse|execute the|command line|terminal|api call|agent",
    "graded judgements": r"rubric|grade|score (the|each|this)|rate (the|each|this)|criteria|which (answer|response) is",
    "writing": r"story|essay|poem|rewrite|paraphrase|rephrase|summar|translate",
    "instructions of the system": r"system prompt|initial instructions|instructions above|hidden instructions",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What the prompts of one case show."""

    templates: tuple[str, ...] = ()
    filling: int | None = None  # requests that fill the case's templates; None where it has none
    targets: tuple[str, ...] = ("unknown",)


def contents(
    connection: "DuckDBPyConnection", members: Mapping[str, Sequence[str]], templates: Mapping[str, Sequence[str]]
) -> dict[str, Contents]:
    """By case: `members` are its customers, `templates` the numbers of its templates (values of links).

    One pass over the prompts of these customers for all cases together.
    """
    whose = pa.table({
        "id": [one for one, names in members.items() for _ in names],
        "account": [name for names in members.values() for name in names],
    }, schema=pa.schema([("id", pa.string()), ("account", pa.string())]))  # fmt: skip
    shared = pa.table({
        "id": [one for one, values in templates.items() for _ in values],
        "template": [int(value, 16) for values in templates.values() for value in values],
    }, schema=pa.schema([("id", pa.string()), ("template", pa.uint64())]))  # fmt: skip
    connection.register("case_members", whose)
    connection.register("case_templates", shared)
    try:
        filling = dict(connection.execute(_FILLING).fetchall()) if shared.num_rows else {}
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE case_prompts AS
            SELECT id, prompt FROM events JOIN case_members USING (account) WHERE prompt IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY id ORDER BY hash(prompt), prompt) <= {_LOOKED_AT}
            """
        )
        targets = _targets(connection)
        shown: dict[str, list[str]] = {}
        for one, text in connection.execute(_SHOWN, {"slots": SLOTS}).fetchall() if shared.num_rows else ():
            if len(shown.setdefault(one, [])) < _EXAMPLES:
                shown[one].append(text)
    finally:
        connection.unregister("case_members")
        connection.unregister("case_templates")
    return {
        one: Contents(tuple(shown.get(one, ())), filling.get(one), targets.get(one, ("unknown",))) for one in members
    }


_FILLING: Final = """
    SELECT id, count(*) FROM ends JOIN case_members USING (account)
    WHERE EXISTS (
      SELECT 1 FROM case_templates WHERE case_templates.id = case_members.id AND template IN (begins, ends)
    ) GROUP BY id
"""

_SHOWN: Final = f"""
    WITH masked AS MATERIALIZED ({ends_of("id", "case_prompts")})
    SELECT id, CASE WHEN first = last THEN first ELSE first || ' … ' || last END AS said FROM masked
    JOIN case_templates USING (id) WHERE template = hash(first) OR (last <> '' AND template = hash(last))
    GROUP BY ALL ORDER BY id, count(*) DESC, said
"""


def _targets(connection: "DuckDBPyConnection") -> dict[str, tuple[str, ...]]:
    columns = ", ".join(f"avg(regexp_matches(said, $${words}$$)::INT)" for words in _ABOUT.values())
    rows = connection.execute(
        f"SELECT id, {columns} FROM (SELECT id, lower(left(prompt, 2000)) AS said FROM case_prompts) GROUP BY id"
    ).fetchall()
    found = {}
    for one, *shares in rows:
        ordered = sorted(zip(shares, _ABOUT, strict=True), key=lambda pair: (-pair[0], pair[1]))
        found[one] = tuple(name for share, name in ordered if share >= _SHARE)[:3] or ("no single capability",)
    return found
