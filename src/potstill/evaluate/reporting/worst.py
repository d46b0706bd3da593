"""The report's section on the answers with which the student does worst; picked, and said to be."""

from collections.abc import Mapping
from typing import Any, Final

from potstill.evaluate.reporting.sections import example_row
from potstill.evaluate.summary import mapping, mappings

_OPEN = 3
_BY: Final = {
    "task": "on which it scores furthest below the teacher by the task's metrics",
    "kl_nats": "along which its KL divergence from the teacher is greatest",
    "cross_entropy": "which it finds least likely of the teacher's",
}


def worst_section(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the answers were picked by, the first few, and those to fold away; None where there are none."""
    worst = mapping(evaluation.get("worst"))
    examples = [example_row(one) for one in mappings(worst.get("examples"))]
    if not examples:
        return None
    by = _BY.get(str(worst.get("by")), "with which it does worst")
    return {"by": by, "examples": examples[:_OPEN], "folded": examples[_OPEN:]}
