"""What a folder says about its licence and ancestors: its card's front matter, its LICENSE files and its configs."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from potstill.errors import RecipeError
from potstill.terms.licence_texts import licences_in

_REPOSITORY = re.compile(r"^\w[\w.-]*/\w[\w.-]*$")
_CACHED = re.compile(r"^(?:models|datasets)--(?P<organisation>[\w.-]+?)--(?P<name>[\w.-]+)$")
_LICENCE_FILE = re.compile(
    r"(licen[cs]e|copying)(?![-_.]code)([-_.].*)?", re.IGNORECASE
)  # LICENSE-CODE is of no weights
_LONGEST_TEXT_BYTES = 400_000  # of a LICENSE; a longer file is no licence


@dataclass(frozen=True, slots=True)
class Ancestor:
    """What a folder was made from: a hub name or a path as the folder writes it, and which file says so."""

    name: str
    said_by: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """Licence ids and ancestors as the folder itself names them."""

    shown: str  # the folder without its place on this machine
    folder: Path
    repository: str | None  # ORG/NAME, where the folder is a snapshot in the hub's cache
    licenses: tuple[str, ...]  # of the card
    titled: bool  # the card says `other`, so that what it gives is a title, and the text is the licence
    texts: Mapping[str, tuple[str, ...]]  # of each LICENSE file the ids that its text is known as
    ancestors: tuple[Ancestor, ...]
    loaded_from: str | None  # `_name_or_path` of the config: ORG/NAME, or a path
    config: Mapping[str, Any]
    tags: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def read_lineage(folder: str, whose: str = "teacher", field: str = "teacher.model") -> Lineage:
    """Read the card, licences and configs of a folder. Raises RecipeError where it is not there or cannot be read."""
    path = Path(folder)
    if not path.is_dir():
        raise RecipeError(f"{field}: {folder} is not a folder; path: takes a model folder")
    try:
        return _read(path, whose)
    except OSError as error:
        raise RecipeError(f"{field}: {error.filename or folder}: cannot be read ({error.strerror or error})") from None


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a text that can be no path is none."""
    try:
        return path.is_dir()
    except OSError:  # a name that is too long
        return False


def _read(path: Path, whose: str) -> Lineage:
    warnings: list[str] = []
    card = _front_matter(path / "README.md", whose, warnings)
    licenses = _texts(card.get("license"))
    titled = licenses == ("other",)
    if titled:
        licenses = _texts(card.get("license_name")) or licenses
    config = _config(path / "config.json", whose, warnings)
    origin = config.get("_name_or_path")
    texts = {file.name: licences_in(text) for file, text in _licence_files(path)}
    unread = [name for name, ids in texts.items() if not ids]
    if unread:
        warnings.append(f"{', '.join(unread)} of the {whose} is no text that Potstill knows; read it")
    return Lineage(
        shown=f"path:{path.name}",
        folder=path,
        repository=_repository(path),
        licenses=licenses,
        titled=titled,
        texts=texts,
        ancestors=tuple(_ancestors(path, card, whose, warnings)),
        loaded_from=origin.strip() if isinstance(origin, str) and origin.strip() else None,
        config=config,
        tags=_texts(card.get("tags")),
        warnings=tuple(warnings),
    )


def is_repository(name: str) -> bool:
    """Whether a text looks like ORG/NAME."""
    return _REPOSITORY.match(name) is not None


def _repository(path: Path) -> str | None:
    """ORG/NAME from the place of a snapshot in the hub's cache, models--ORG--NAME/snapshots/REVISION."""
    if path.parent.name != "snapshots" or (found := _CACHED.match(path.parent.parent.name)) is None:
        return None
    return f"{found['organisation']}/{found['name']}"


def _ancestors(path: Path, card: Mapping[str, Any], whose: str, warnings: list[str]) -> Iterator[Ancestor]:
    """What the card, an adapter's config and a merge's config name, each once."""
    shown, relation = f"path:{path.name}", card.get("base_model_relation")
    said = f"base_model of {shown}" + (f", {relation}" if isinstance(relation, str) else "")
    found = [Ancestor(name, said) for name in _texts(card.get("base_model"))]
    adapter = _config(path / "adapter_config.json", whose, warnings)
    found += [
        Ancestor(name, f"adapter_config.json of {shown}") for name in _texts(adapter.get("base_model_name_or_path"))
    ]
    merge = path / "mergekit_config.yml"
    if merge.is_file():
        models = _merged(_yaml(merge.read_text(encoding="utf-8", errors="replace")))
        found += [Ancestor(name, f"{merge.name} of {shown}") for name in models]
    seen: set[str] = set()
    for one in found:
        if one.name not in seen:
            seen.add(one.name)
            yield one


def _merged(data: Any) -> list[str]:
    """The models that a mergekit configuration names, wherever they stand in it; `+` puts an adapter behind one."""
    found: list[str] = []
    seen: set[int] = set()  # YAML's aliases can stand in themselves
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or not isinstance(one, dict | list):
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            names = (one.get(key) for key in ("model", "base_model", "source_model"))
            found += [part.strip() for name in names if isinstance(name, str) for part in name.split("+")]
        waiting += one.values() if isinstance(one, dict) else one
    return [name for name in found if name]


def _licence_files(path: Path) -> Iterator[tuple[Path, str]]:
    for file in sorted(path.iterdir()):
        if _LICENCE_FILE.fullmatch(file.name) and file.is_file() and file.stat().st_size <= _LONGEST_TEXT_BYTES:
            yield file, file.read_text(encoding="utf-8", errors="replace")


def _front_matter(card: Path, whose: str, warnings: list[str]) -> dict[str, Any]:
    """The YAML between the first two lines of three dashes; empty where the card has none."""
    if not card.is_file():
        return {}
    lines = card.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((index for index, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    data = _yaml("\n".join(lines[1:end])) if end else None
    if not isinstance(data, dict):
        warnings.append(f"{card.name} of the {whose} has front matter that is not valid YAML; it was not used")
        return {}
    return data


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date such as 2026-99-99
        return None


def _config(config: Path, whose: str, warnings: list[str]) -> dict[str, Any]:
    if not config.is_file():
        return {}
    try:
        data = json.loads(config.read_bytes())
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        warnings.append(f"{config.name} of the {whose} is not a JSON object; it was not used")
        return {}
    return data


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(item.strip() for item in values if isinstance(item, str) and item.strip())
