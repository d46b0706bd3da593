"""The licence and notice texts that the teachers' terms want beside the weights: found and copied, or refused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from potstill.config import FIRST, PrunedStudent, Recipe
from potstill.errors import RecipeError, TermsStopped
from potstill.export.lineage import PROMPTS, Layer, layers_of
from potstill.export.notice import NOTICE
from potstill.export.obligations import NO_ADVICE
from potstill.models.fetch import cached

_ASKED: Mapping[str, Literal["licence", "notice"]] = {"include_license_copy": "licence", "notice_file": "notice"}
_PATTERNS = {"licence": ("LICEN[CS]E*",), "notice": ("NOTICE*", "Notice*")}


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that one layer of terms wants. `own`: it is of the teacher's own weights, so its folder may hold it."""

    layer: Layer
    what: Literal["licence", "notice"]
    own: bool


def write_licences(recipe: Recipe, terms_facts: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Put the licence and notice files that the obligations ask for into `folder`; gives their names.

    Of several teachers each one's own terms say what of it goes along; the files of all but the first carry its name.
    Where a text is nowhere to be found, a student that is not distributed gets a file that names the document. Any
    other is refused: raises TermsStopped, saying what to give.
    """
    written: dict[str, bytes] = {}
    for text in _wanted(terms_facts):
        found = _found(text, recipe)
        if not found:
            if recipe.use.distributed is not False:
                raise TermsStopped(_missing(text))
            found = {_slot(text, recipe, ".txt", named=True): _naming(text, terms_facts)}
        written |= found
    for name, content in written.items():
        (folder / name).write_bytes(content)
    return tuple(written)


def check_texts(recipe: Recipe, terms_facts: Mapping[str, Any]) -> None:
    """What `write_licences` would refuse, before anything is paid for; weights that are yet to be fetched may hold it.

    Raises TermsStopped for a text that is missing, RecipeError for a file of the recipe that is not there.
    """
    for text in _wanted(terms_facts):
        model = recipe.teachers[text.layer.teacher].model
        to_come = text.own and model is not None and model.startswith("hub:") and cached(model) is None
        if not _found(text, recipe) and recipe.use.distributed is not False and not to_come:
            raise TermsStopped(_missing(text))


def _wanted(terms_facts: Mapping[str, Any]) -> Iterator[_Text]:
    """Each text once: the first layer of a teacher that wants one is that of its own weights or service."""
    seen: set[tuple[str, str, str]] = set()
    for layer in layers_of(terms_facts):
        if layer.teacher == PROMPTS:
            continue  # no prompt goes with the weights
        for given in layer.obligations:
            what = _ASKED.get(given.partition(":")[0])
            key = (layer.teacher, what or "", layer.rule)
            if what is not None and key not in seen:
                yield _Text(layer, what, not any(one[:2] == key[:2] for one in seen))
                seen.add(key)


def _found(text: _Text, recipe: Recipe) -> dict[str, bytes]:
    """The text by the name of the file that it goes into: of the recipe, of the teacher's folder, or our own copy."""
    given = (recipe.export.licence_files if text.what == "licence" else recipe.export.notice_files).get(text.layer.rule)
    if given is not None:
        if not given.is_file():
            raise RecipeError(
                f"export.{text.what}_files.{text.layer.rule}: {given} does not exist; give the text's file"
            )
        return {_slot(text, recipe, given.suffix or ".txt"): given.read_bytes()}
    copies = _copies(text, recipe)
    carried = files("potstill.export") / "licenses" / f"{text.layer.hub_id}.txt"
    if not copies and text.what == "licence" and carried.is_file():
        return {_slot(text, recipe, ".txt"): carried.read_bytes()}
    return copies


def _copies(text: _Text, recipe: Recipe) -> dict[str, bytes]:
    """The teacher's own files, where it is a folder on this machine."""
    name = text.layer.teacher
    model = recipe.teachers[name].model or ""
    if not text.own or not model.startswith(("path:", "hub:")):
        return {}
    home = Path(model.removeprefix("path:")) if model.startswith("path:") else cached(model)
    if home is None:
        return {}
    found = {path for pattern in _PATTERNS[text.what] for path in home.glob(pattern) if path.is_file()}
    return {_copy_name(path, name): path.read_bytes() for path in sorted(found)}


def _copy_name(path: Path, teacher: str) -> str:
    if teacher != FIRST:
        return f"{path.stem}-{teacher}{path.suffix}"
    # The student has a notice of its own.
    return f"{path.stem}-TEACHER{path.suffix}" if path.name.upper() == NOTICE.upper() else path.name


def _slot(text: _Text, recipe: Recipe, suffix: str, *, named: bool = False) -> str:
    """The file's name. A pruned student's licence is its first teacher's; else the file says that it is a teacher's."""
    name = text.layer.teacher
    if not text.own:
        return f"{'LICENSE' if text.what == 'licence' else 'NOTICE'}-{text.layer.rule}{suffix}"
    of = "" if name == FIRST else f"-{name}"
    cut = isinstance(recipe.student, PrunedStudent) and name == FIRST and text.what == "licence" and not named
    return f"{'LICENSE' if text.what == 'licence' else 'NOTICE'}{'' if cut else '-TEACHER'}{of}{suffix}"


def _missing(text: _Text) -> str:
    layer = text.layer
    source = f", {layer.url}" if layer.url else ""
    return (
        f"export.{text.what}_files: the terms of {layer.name} ({layer.dated}{source}) want their "
        f"{text.what} beside a student that is passed on, and Potstill found no text of it; give it as "
        f"export.{text.what}_files: {{{layer.rule}: FILE}}, or say use.distributed: false. {NO_ADVICE}"
    )


def _naming(text: _Text, terms_facts: Mapping[str, Any]) -> bytes:
    layer = text.layer
    url = f"\n{layer.url}" if layer.url else ""
    return (
        f"This model was trained from a teacher whose terms ask that their {text.what} go with it:\n\n"
        f"{layer.dated}{url}\n\n{terms_facts.get('reason', '')}\n\n"
        f"Potstill found no text of this {text.what} to copy, and the recipe says that the model is not distributed. "
        f"Before you pass it on, give the text as export.{text.what}_files in the recipe and run it again.\n"
    ).encode()
