"""A layer: one thing that binds a run, with the rule that says how."""

from dataclasses import dataclass
from typing import Literal

from potstill.terms.rules import Rule

LayerKind = Literal["weights", "service", "prompts"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One thing that binds: a name, and the rule that says how; None where no rule fits the name."""

    name: str
    rule: Rule | None
    kind: LayerKind = "weights"
    settled_by_license: bool = True  # without a rule, a licence that the recipe gives can say what binds
    by_name: bool = False  # only a name says so: enough to bind, not enough to except anybody from a ban
    subject: str = ""  # the model, service or data set itself: its owner may permit what a general licence does not

    @property
    def owner(self) -> str:
        """Whose permission counts: the rule's provider; under a licence that anybody may use, the subject's owner."""
        if self.rule is None or all(pattern.startswith("license:") for pattern in self.rule.applies_to):
            return self.subject or self.name
        return self.rule.provider


@dataclass(frozen=True, slots=True)
class Route:
    """A teacher or the prompts, every layer that binds them, and what could not be seen."""

    shown: str
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...] = ()
