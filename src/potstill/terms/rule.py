"""One rule: what a licence or terms document says about training on outputs, and when somebody last looked."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from potstill.records import Verdict

Kind = Literal["licence", "terms"]
Confidence = Literal["high", "medium", "low"]

# From what anybody may do to what nobody may; unknown stands before prohibited because it can still turn out well.
STRICTNESS: tuple[Verdict, ...] = ("allowed", "conditional", "prohibited_if_competing", "unknown", "prohibited")
RECHECK_DAYS = 365  # where a rule does not say


@dataclass(frozen=True, slots=True)
class Rule:
    """What one document says. `applies_to` holds patterns: ORG/NAME for weights, provider:model, license:ID."""

    id: str
    provider: str
    applies_to: tuple[str, ...]
    kind: Kind
    output_training: Verdict
    conditions: tuple[str, ...]
    obligations: tuple[str, ...]
    document: str
    version_or_date: str
    section: str
    url: str
    confidence: Confidence
    basis: str  # how the document was read
    summary: str
    checked: date | None  # the day of the last comparison with the document; None: not compared yet, or only recalled
    recheck_days: int = RECHECK_DAYS  # so long after `checked` the gate says nothing of the rule's age
    origin: str = ""  # name of the file that it stands in
    own: bool = False  # from the recipe's terms.rules, not from the package

    def has(self, obligation: str) -> bool:
        """Whether the rule carries this obligation, with or without a value after a colon."""
        return any(given.partition(":")[0] == obligation for given in self.obligations)

    def values(self, obligation: str) -> tuple[str, ...]:
        """The values after the colon of obligations of this name."""
        parts = (given.partition(":") for given in self.obligations)
        return tuple(value for name, colon, value in parts if name == obligation and colon)

    def overdue_days(self, today: date) -> int | None:
        """Days since the last check, where they are more than `recheck_days`; None where not, or never checked."""
        age_days = (today - self.checked).days if self.checked else 0
        return age_days if age_days > self.recheck_days else None


def inherited(rule: Rule) -> tuple[str, ...]:
    """Ids of the rules that also bind what this rule binds, from obligations such as inherits:llama3.1|llama3.3."""
    return tuple(target for value in rule.values("inherits") for target in value.split("|"))
