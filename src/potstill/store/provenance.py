"""What a row of answers says of its making: how the request sampled, whom it asked by what name, under which rule."""

from typing import Any

import pyarrow as pa

from potstill.config import Teacher
from potstill.models.reference import without_place
from potstill.records import Clearance
from potstill.store.journal import Row

# Columns of answers.parquet; a run collected before there were any lacks them.
PROVENANCE = (
    pa.field("teacher_reference", pa.string()),  # as the recipe has it, a folder without its place
    pa.field("temperature", pa.float64()),
    pa.field("top_p", pa.float64()),
    pa.field("max_tokens", pa.int64()),
    pa.field("seed", pa.int64()),
    pa.field("rule", pa.string()),  # of the clearance under which the answer was asked for
    pa.field("rule_document", pa.string()),
    pa.field("rule_date", pa.string()),  # date or version of the document
)
SAMPLING = ("temperature", "top_p", "max_tokens", "seed")


def sampling(row: Row) -> dict[str, Any]:
    """The sampling that a request asked for; None where it left it to the server."""
    body = row.request["body"]
    most = body.get("max_tokens", body.get("max_completion_tokens"))
    return {name: body.get(name) for name in SAMPLING} | {"max_tokens": most}


def reference(teacher: Teacher) -> str:
    """How the recipe names a teacher, for a reader elsewhere: a folder without its place, a server's by its model."""
    return teacher.endpoint.model if teacher.endpoint is not None else without_place(teacher.model or "")


def cleared_by(clearance: Clearance) -> dict[str, str]:
    """The rule that cleared the run, with its document and that document's date or version."""
    return {"rule": clearance.rule, "rule_document": clearance.document, "rule_date": clearance.version_or_date}
