"""What the gate answers about one recipe: the verdict, the rule that decided, and every layer in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from potstill.records import Verdict

NO_ADVICE = "Potstill gives no legal advice."
NO_RULE = "none"
_VERDICTS: Mapping[Verdict, str] = {
    "allowed": "allowed",
    "conditional": "allowed on conditions",
    "prohibited_if_competing": "forbidden where the student competes",
    "prohibited": "forbidden",
    "unknown": "not known",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer for one recipe. `rule` is the one that decided, "none" where no rule fits the teacher."""

    verdict: Verdict
    cleared: bool
    rule: str
    document: str
    section: str
    version_or_date: str
    url: str
    layers: tuple[tuple[str, str, Verdict], ...]  # name of the layer, behind that of its teacher; its rule; its verdict
    obligations: tuple[str, ...]
    missing_facts: tuple[str, ...]  # keys of the recipe that must be given, such as use.commercial
    reason: str
    remedy: str  # what would change the answer; empty where cleared
    warnings: tuple[str, ...]
    teacher: str
    permission_sha256: str | None = None  # of several permissions' files, separated by spaces
    about: Literal["teacher", "prompts"] = "teacher"  # whose layer decided

    @property
    def message(self) -> str:
        """The decision as one line that a person can act on; where several layers bind, it names each."""
        where = f"{self.document} ({self.version_or_date}), section {self.section}"
        state, whose = "clear" if self.cleared else "stop", "prompts'" if self.about == "prompts" else "teacher's"
        head = f"The {whose} terms {state} this run: verdict {self.verdict}, rule {self.rule}: {where}."
        parts = (head, self.reason, self.remedy, self._every_layer())
        return " ".join(part for part in (*parts, NO_ADVICE) if part)

    def _every_layer(self) -> str:
        if len(self.layers) < 2:
            return ""
        each = [
            f"{name}: {_VERDICTS[verdict]} ({'no rule' if rule == NO_RULE else f'rule {rule}'})"
            for name, rule, verdict in self.layers
        ]
        return f"What binds: {'; '.join(each)}."
