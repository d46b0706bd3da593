"""Whether a judge is of the family of a model that it judges, by names, ancestors and providers."""

import re
from collections.abc import Iterator
from pathlib import Path

from potstill.config import JudgeModel, ModelStudent, Recipe, Teacher, called
from potstill.models.reference import PathReference, parse_reference
from potstill.terms.names import carried, spelled
from potstill.terms.providers import PROVIDERS
from potstill.terms.route import route
from potstill.terms.rules import in_force

_STEM = re.compile(r"[a-z]{3,}")
_NO_FAMILY = (
    "model",
    "judge",
    "teacher",
    "student",
    "big",
    "large",
    "small",
    "tiny",
    "text",
    "chat",
    "test",
    "default",
)


def kinship(recipe: Recipe) -> dict[str, str]:
    """The judges of `evaluate.judge` that are not independent, by name, each with why; models favour their own kind.

    (Panickssery et al. 2024, "LLM evaluators recognize and favor their own generations".) Said of the judge that is the
    teacher itself, and of one of the teacher's or the student's family: by the words of its name, its ancestors as far
    as names, cards and configs tell, or a provider that serves nothing but its own models.
    """
    judging = recipe.evaluate.judge
    if judging is None:
        return {}
    with in_force(recipe.terms.rules):
        judged = {called(name): one for name, one in recipe.teachers.items()}
        if isinstance(recipe.student, ModelStudent) and _is_here(recipe.student.model):
            judged["the student's own base"] = Teacher(model=recipe.student.model)
        found = {name: _why(_as_teacher(one), judged) for name, one in judging.named.items()}
    return {name: why for name, why in found.items() if why is not None}


def _is_here(reference: str) -> bool:
    """Whether a reference tells a family: a folder that is not there tells none, and the student's may come later."""
    parsed = parse_reference(reference)
    return not isinstance(parsed, PathReference) or Path(parsed.folder).is_dir()


def _as_teacher(judge: JudgeModel) -> Teacher:
    return Teacher(model=judge.model, endpoint=judge.endpoint, license=judge.license)


def _why(judge: Teacher, judged: dict[str, Teacher]) -> str | None:
    for who, one in judged.items():
        if _identity(judge) == _identity(one):
            return f"it is {who.replace('the first teacher', 'the teacher')} itself"
    own = _families(judge)
    for who, one in judged.items():
        if shared := sorted(own & _families(one)):
            return f"it is of the family of {who.replace('the first teacher', 'the teacher')} ({', '.join(shared)})"
    return None


def _identity(model: Teacher) -> str:
    """The model's own name in one spelling, wherever it is served; a folder's whole path."""
    if model.endpoint is not None:
        return spelled(model.endpoint.model.rpartition("/")[2])
    reference = model.model or ""
    return reference if not reference.startswith("hub:") else spelled(reference.partition("@")[0].rpartition("/")[2])


def _families(model: Teacher) -> set[str]:
    return set(_named(model))


def _named(model: Teacher) -> Iterator[str]:
    makers = {one.name for one in PROVIDERS if not one.passes_on and not one.free_names}
    names = [layer.subject for layer in route(model).layers]
    if model.endpoint is not None:
        names.append(model.endpoint.model)
    for name in names:
        if name in makers:
            yield name
            continue
        last = name.rstrip("/").rpartition("/")[2]
        for one in carried(last):
            yield from _stem(one.family.rpartition("/")[2])
        if not name.startswith(("path:", "/", "license:")) and name not in {one.name for one in PROVIDERS}:
            yield from _stem(last)


def _stem(name: str) -> Iterator[str]:
    """The first word of a name without its version: smollm of SmolLM2-135M-Instruct."""
    found = _STEM.match(spelled(name))
    if found and found[0] not in _NO_FAMILY:
        yield found[0]
