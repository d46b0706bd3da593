"""What one probe found: its cases, the figures that come of them, and a few answers in which something is lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from potstill.evaluate.probes.rates import MIN_CASES, Comparison, Draws, figure
from potstill.records import Figure

_EXAMPLES = 3  # of each probe
_SHOWN = 2_000  # characters of a text in evaluation.json


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers of teacher and student to one prompt."""

    prompt_hash: str
    prompt_text: str
    teacher: str
    student: str
    teacher_refused: bool = False  # the server says so, whatever the text is

    def example(self, detail: str = "") -> dict[str, str]:
        """For the report."""
        texts = {"prompt": self.prompt_text, "teacher": self.teacher, "student": self.student}
        return {name: text[:_SHOWN] for name, text in texts.items()} | {"detail": detail}


@dataclass(frozen=True, slots=True)
class Found:
    """One probe: `lost` and `new` name its figures, None where there is none of the kind."""

    name: str
    comparison: Comparison
    lost: str | None
    new: str | None = None
    examples: Sequence[Mapping[str, str]] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)

    def figures(self, draws: Draws) -> dict[str, Figure]:
        """`probe.<name>` of what is lost and of what is new, where at least five prompts have a case."""
        intervals = {self.lost: self.comparison.lost(draws), self.new: self.comparison.new(draws)}
        return {f"probe.{name}": figure(one) for name, one in intervals.items() if name is not None and one is not None}

    def facts(self, draws: Draws) -> dict[str, Any]:
        """For evaluation.json; `figures` are the names of what was measured or had too few cases to be."""
        return {
            "name": self.name,
            "figures": {"lost": self.lost, "new": self.new},
            **self.comparison.facts(draws),
            "least_prompts": MIN_CASES,
            "parts": dict(self.parts),
            "examples": list(self.examples[:_EXAMPLES]),
        }
