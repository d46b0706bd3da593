"""What the teacher's terms ask of a student that leaves: its name, licence and notice files, sentences in the card."""

import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from potstill.config import FIRST, PrunedStudent, Recipe
from potstill.errors import TermsStopped
from potstill.export.lineage import license_id

_SENTENCES = {
    "include_license_copy": "a copy of the teacher's licence goes with the weights",
    "notice_file": "the teacher's NOTICE file goes with the weights",
    "name_prefix": "a distributed student's name begins with “{value}”",
    "display": "show “{value}” where the terms ask for it",
    "attribution": "name the teacher and its licence wherever the student is passed on",
    "noncommercial_only": "non-commercial use only",
    "internal_only": "not to be distributed",
    "block_distribution_of_generative_student": "not to be distributed",
    "student_is_derivative": "the student counts as a derivative of the teacher: the teacher's terms bind it too",
    "flow_down_use_restrictions": "pass the teacher's use restrictions on to whoever receives the student",
    "aup": "the teacher's acceptable use policy applies",
    "mau_max": "above {value} monthly active users another licence is needed",
    "revenue_max": "above {value} US dollars of yearly revenue another licence is needed",
    "region_excluded": "the licence grants nothing in {value}",
    "same_family_student_only": "the student must be made from {value} weights",
    "inherits": "the licence of the teacher's own ancestor applies too ({value})",
    "inherits_model_terms": "each model's own terms apply besides those of the service",
    "registration": "commercial use needs a registration with the teacher's owner",
    "written_approval_override": "a written approval of the teacher's owner can permit more",
    "manual_review": "parts of these terms were not read for Potstill: read them",
}


def sentence(obligation: str) -> str:
    """An obligation such as name_prefix:Llama in words; one that has no words here is shown as it is."""
    name, _, value = obligation.partition(":")
    shown = f"{int(value):,}" if value.isdigit() else value.replace("|", "” or “" if name == "display" else ", ")
    return _SENTENCES.get(name, obligation.replace("_", " ")).format(value=shown)


def obligations_of(terms_facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The obligations that the Clearance carries."""
    return tuple(str(given) for given in terms_facts.get("obligations") or ())


def check_name(recipe: Recipe, terms_facts: Mapping[str, Any]) -> None:
    """Refuse a name that breaks a name_prefix obligation, unless the recipe says that nothing is distributed."""
    if recipe.use.distributed is False:
        return
    for obligation in obligations_of(terms_facts):
        kind, _, prefix = obligation.partition(":")
        if kind == "name_prefix" and not recipe.name_begins_with(prefix):
            example = f"{prefix.replace(' ', '-')}-{recipe.name}"
            raise TermsStopped(
                f"name: {recipe.name} must begin with {prefix!r} ({terms_facts.get('document')}, section "
                f"{terms_facts.get('section')}); change it, for example to {example}, or say use.distributed: false. "
                "Potstill gives no legal advice."
            )


def write_licences(recipe: Recipe, terms_facts: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Put the licence and notice files that the obligations ask for into `folder`; gives their names.

    Of several teachers each one's own terms say what of it goes along; the files of all but the first carry its name.
    """
    each: Mapping[str, Mapping[str, Any]] = terms_facts.get("teachers") or {FIRST: terms_facts}
    written: tuple[str, ...] = ()
    for name, facts in each.items():
        asked = {given.partition(":")[0] for given in obligations_of(facts)}
        suffix = "" if name == FIRST else f"-{name}"
        if "include_license_copy" in asked:
            written += _copied(recipe, name, folder, "LICEN[CS]E*") or _licence_text(recipe, name, facts, folder)
        if "notice_file" in asked:
            written += _copied(recipe, name, folder, "NOTICE*") or _named(
                facts, folder, f"NOTICE-TEACHER{suffix}.txt", "notice"
            )
    return written


def _copied(recipe: Recipe, name: str, folder: Path, pattern: str) -> tuple[str, ...]:
    """Copies of a teacher's own files, where the teacher is a folder on this machine."""
    reference = recipe.teachers[name].model or ""
    if not reference.startswith("path:"):
        return ()
    found = sorted(path for path in Path(reference.removeprefix("path:")).glob(pattern) if path.is_file())
    copies = [path.name if name == FIRST else f"{path.stem}-{name}{path.suffix}" for path in found]
    for path, copy in zip(found, copies, strict=True):
        shutil.copyfile(path, folder / copy)
    return tuple(copies)


def _licence_text(recipe: Recipe, name: str, facts: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The licence's own text where Potstill carries it, else a file that names it."""
    text = files("potstill.export") / "licenses" / f"{license_id(facts)}.txt"
    suffix = "" if name == FIRST else f"-{name}"
    if not text.is_file():
        return _named(facts, folder, f"LICENSE-TEACHER{suffix}.txt", "licence")
    whose = "" if isinstance(recipe.student, PrunedStudent) and name == FIRST else "-TEACHER"
    written = f"LICENSE{whose}{suffix}.txt"
    (folder / written).write_text(text.read_text(encoding="utf-8"), encoding="utf-8")
    return (written,)


def _named(terms_facts: Mapping[str, Any], folder: Path, name: str, what: str) -> tuple[str, ...]:
    url = f"\n{terms_facts['url']}" if terms_facts.get("url") else ""
    (folder / name).write_text(
        f"This model was trained from a teacher whose terms ask that its {what} go with it:\n\n"
        f"{terms_facts.get('document')} ({terms_facts.get('version_or_date')}), section {terms_facts.get('section')}"
        f"{url}\n\n{terms_facts.get('reason', '')}\n\n"
        f"Potstill found no text of this {what} to copy. Put it beside this file before you pass the model on.\n",
        encoding="utf-8",
    )
    return (name,)
