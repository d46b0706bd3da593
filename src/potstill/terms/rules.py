"""The rules in force: the package's, and before them those of the recipe at hand; and which of them fit a name."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from pathlib import Path

from potstill.errors import PotstillError, RecipeError
from potstill.terms.rule import STRICTNESS, Confidence, Kind, Rule, inherited
from potstill.terms.rule_files import check_together, packaged, read_rules
from potstill.terms.rule_text import parse_rules

__all__ = [
    "STRICTNESS",
    "Confidence",
    "Kind",
    "Rule",
    "fits",
    "in_force",
    "inherited",
    "matching",
    "matching_any",
    "parse_rules",
    "rules",
]

# Which rules hold is a fact about one decision, and every step of finding a route asks for it. So it is set once around
# the decision rather than passed through each of them.
_in_force: ContextVar[tuple[Rule, ...] | None] = ContextVar("rules in force", default=None)


def rules() -> tuple[Rule, ...]:
    """The rules in force here: the package's; inside `in_force` the recipe's own, then the package's others."""
    found = _in_force.get()
    return packaged() if found is None else found


@contextmanager
def in_force(own: Sequence[Path]) -> Iterator[None]:
    """Let the rules of these files and folders hold inside, before the package's; one of the same id replaces it.

    Raises RecipeError naming file, line, rule and field of the first thing that is wrong.
    """
    token = _in_force.set(_together(own) if own else packaged())
    try:
        yield
    finally:
        _in_force.reset(token)


def _together(own: Sequence[Path]) -> tuple[Rule, ...]:
    try:
        ours = read_rules(own)
        replaced = {rule.id for rule in ours}
        found = (*ours, *(rule for rule in packaged() if rule.id not in replaced))
        check_together(found)
    except PotstillError as error:
        raise RecipeError(f"terms.rules: {error}") from None
    return found


def matching(name: str, candidates: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules whose patterns fit a name, without regard to case.

    A recipe's own rules that fit decide alone. Else every terms document that fits binds. Of licences only the one with
    the most literal pattern does, since weights have one licence and a family's pattern must not hide a member's
    exception.
    """
    found = [(rule, length) for rule in candidates if (length := _literal_length(name, rule)) is not None]
    if any(rule.own for rule, _ in found):
        found = [(rule, length) for rule, length in found if rule.own]
    longest = max((length for rule, length in found if rule.kind == "licence"), default=0)
    return tuple(rule for rule, length in found if rule.kind == "terms" or length == longest)


def matching_any(names: Iterable[str], candidates: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules that fit one thing by any of its spellings; a recipe's own that fits by one of them decides alone."""
    candidates = tuple(candidates)
    found = dict.fromkeys(rule for name in names for rule in matching(name, candidates))
    return tuple(rule for rule in found if rule.own) or tuple(found)


def fits(name: str, pattern: str) -> bool:
    """Whether a pattern with * fits a name, without regard to case."""
    name, pattern = name.casefold(), pattern.casefold()
    # Most patterns differ before their first star: looking there first saves making regular expressions of them all.
    return name.startswith(pattern.partition("*")[0].partition("?")[0].partition("[")[0]) and fnmatchcase(name, pattern)


def _literal_length(name: str, rule: Rule) -> int | None:
    lengths = [len(pattern.replace("*", "")) for pattern in rule.applies_to if fits(name, pattern)]
    return max(lengths, default=None)
