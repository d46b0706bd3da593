"""Several teachers: which take part in a prompt, with what weight, who writes its answer, and what goes together."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from potstill.config.sections import FurtherTeacher, Signals, Teacher
from potstill.config.training import Objective, Train
from potstill.errors import RecipeError

FIRST = "teacher"  # what the first teacher is called beside the names of the others
_TAKEN = (FIRST, "student", "mixture", "initial_student", "fine_tuning", "prompts")  # names in evaluation.json, papers

Teachers = Mapping[str, Teacher]


def by_name(first: Teacher, more: Sequence[FurtherTeacher]) -> dict[str, Teacher]:
    """All teachers in the recipe's order, the first one under `FIRST`."""
    return {FIRST: first, **{one.name: one for one in more}}


def called(name: str) -> str:
    """A teacher in a sentence: "the first teacher", or "teacher code"."""
    return "the first teacher" if name == FIRST else f"teacher {name}"


def shares(teachers: Teachers, tag: str | None) -> dict[str, float]:
    """The teachers of a prompt with this tag and their weights, which sum to 1, in the recipe's order.

    Raises RecipeError, naming the tag, where no teacher takes part.
    """
    found = {name: one.weight for name, one in teachers.items() if not one.tags or tag in one.tags}
    if not found:
        known = ", ".join(sorted({tag for one in teachers.values() for tag in one.tags}))
        carried = "without a tag (prompts.tag)" if tag is None else f"with the tag {tag!r}"
        raise RecipeError(
            f"teacher.tags: no teacher takes part in prompts {carried}; the teachers' tags are {known}; add it to one "
            "of them, or give a teacher without tags, which takes part in every prompt"
        )
    total = sum(found.values())
    return {name: weight / total for name, weight in found.items()}


def writer(teachers: Teachers, tag: str | None) -> str:
    """The name of the teacher that writes the answers to prompts with this tag: the first that takes part."""
    return next(iter(shares(teachers, tag)))


def may_share(teachers: Teachers) -> bool:
    """Whether a prompt may have more than one teacher."""
    pairs = combinations(teachers.values(), 2)
    return any(not one.tags or not other.tags or set(one.tags) & set(other.tags) for one, other in pairs)


def check_teachers(teachers: Teachers, count: int, tag_field: str | None) -> None:
    """Raise ValueError where names, kinds or tags of the teachers cannot stand; `count` is how many were given."""
    names = {name.casefold() for name in teachers}  # folders of some file systems do not mind the case
    if names & set(_TAKEN[1:]) or len(names) < count:
        raise ValueError(f"more_teachers: give each teacher a name of its own, and none of {', '.join(_TAKEN)}")
    for name, one in teachers.items():
        where = "teacher" if name == FIRST else f"more_teachers.{name}"
        if one.tags and tag_field is None:
            raise ValueError(
                f"{where}.tags: prompts.tag names no field of the prompts file, so no prompt carries a tag"
            )
        if one.endpoint is not None and count > 1:
            raise ValueError(
                f"{where}: an endpoint gives no distributions to mix; of several teachers each needs local weights "
                "(model)"
            )


def check_mixture(teachers: Teachers, train: Train, objective: Objective, signals: Signals) -> None:
    """Raise ValueError for what does not go with several teachers; nothing is refused where there is one."""
    if len(teachers) == 1:
        return
    for key in ("cross_tokenizer", "hidden_states"):
        if getattr(train, key):
            raise ValueError(f"train.{key}: goes with one teacher only; leave it out, or leave out more_teachers")
    kinds = [one.kind for one in objective.divergences]
    if not kinds and (idle := _never_writes(teachers)):
        raise ValueError(
            f"more_teachers.{idle}: with cross_entropy only who writes is learned from, and earlier teachers write all "
            "of its prompts; leave it out, or take a divergence"
        )
    other = next((kind for kind in kinds if kind != "forward_kl"), None)
    if signals.kind == "top_k" and other and may_share(teachers):
        raise ValueError(
            f"train.objective: {other} from stored lists of several teachers for one prompt would aim at something "
            "else than their mixture; take forward_kl, collect.signals {kind: full}, or tags that no two teachers share"
        )


def _never_writes(teachers: Teachers) -> str | None:
    """The first teacher all of whose prompts an earlier one writes the answers to."""
    written: set[str] = set()
    for number, (name, one) in enumerate(teachers.items()):
        if number and one.tags and set(one.tags) <= written:
            return name
        if not one.tags:
            rest = list(teachers)[number + 1 :]
            return rest[0] if rest else None
        written |= set(one.tags)
    return None
