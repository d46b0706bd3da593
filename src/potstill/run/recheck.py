"""Whether a finished run would still be cleared: its recipe before the gate as the rules are today."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from potstill import ledger
from potstill.config import Recipe
from potstill.errors import PotstillError
from potstill.run.folder import read_recipe
from potstill.run.growing import writer_recipe
from potstill.terms import Decision, decide, decide_judge, decide_judges


@dataclass(frozen=True, slots=True)
class Recheck:
    """What the rules of today say of a run's recipe; `cleared` is None where that cannot be told."""

    cleared: bool | None
    lines: tuple[str, ...]


def recheck(folder: Path) -> Recheck:
    """Ask the gate again about the run's teachers, and about its judge and the writer of its prompts where it has them.

    Nothing is written down. What the gate reads, such as a teacher's folder or a permission, may be gone: that is said.
    """
    try:
        found = list(_decisions(read_recipe(folder)))
        before = [one for one in ledger.read(folder / "ledger.jsonl") if one.kind == "terms"]
    except PotstillError as error:
        return Recheck(None, (f"terms: whether the run would be cleared today cannot be told: {error}",))
    lines = [_line(who, one) for who, one in found]
    teacher = found[0][1]
    if before and (before[-1].facts["rule"], before[-1].facts["verdict"]) != (teacher.rule, teacher.verdict):
        then = before[-1].facts
        lines.append(
            f"terms: when the run was made, on {before[-1].time[:10]}, it was rule {then['rule']}, verdict "
            f"{then['verdict']}: {then['document']} ({then['version_or_date']})"
        )
    lines += [f"terms: warning: {warning}" for _, one in found for warning in one.warnings]
    return Recheck(all(one.cleared for _, one in found), tuple(dict.fromkeys(lines)))


def _decisions(recipe: Recipe) -> Iterator[tuple[str, Decision]]:
    yield "the teacher's terms", decide(recipe)
    if (judged := decide_judge(recipe)) is not None:
        yield "the judge's terms", judged
    for name, one in decide_judges(recipe).items():
        yield f"the terms of the judge {name}", one
    if recipe.prompts.grow is not None and recipe.prompts.grow.model is not None:
        yield "the terms of who wrote prompts", decide(writer_recipe(recipe, recipe.prompts.grow, None))


def _line(who: str, found: Decision) -> str:
    where = f"rule {found.rule}, verdict {found.verdict}: {found.document} ({found.version_or_date})"
    if found.cleared:
        return f"terms: {who} would still clear this run today: {where}"
    return f"terms: {who} WOULD STOP this run today: {where}. {found.reason} {found.remedy}".rstrip()
