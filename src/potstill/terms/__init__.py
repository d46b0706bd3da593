"""What a teacher's outputs may be used for: the rules as data, and the gate that gives out the Clearance."""

from potstill.terms.decision import Decision
from potstill.terms.gate import clear, decide, decide_each
from potstill.terms.judge import clear_judge, clear_judges, decide_judge, decide_judges
from potstill.terms.kinship import kinship
from potstill.terms.rule_files import own_rules
from potstill.terms.rules import Rule, rules

__all__ = [
    "Decision", "Rule", "clear", "clear_judge", "clear_judges", "decide", "decide_each", "decide_judge",
    "decide_judges", "kinship", "own_rules", "rules",
]  # fmt: skip
