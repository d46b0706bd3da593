"""What a model folder says about its own licence and ancestors, from its card's front matter and its config."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from potstill.errors import RecipeError

_REPOSITORY = re.compile(r"^\w[\w.-]*/\w[\w.-]*$")


@dataclass(frozen=True, slots=True)
class Lineage:
    """Licence ids and ancestors as the folder itself names them."""

    shown: str  # the folder without its place on this machine
    licenses: tuple[str, ...]
    base_models: tuple[str, ...]
    loaded_from: tuple[str, ...]  # `_name_or_path` of the config, where it looks like ORG/NAME
    warnings: tuple[str, ...] = ()


def read_lineage(folder: str) -> Lineage:
    """Read README.md and config.json of a folder. Raises RecipeError where there is no such folder."""
    path = Path(folder)
    if not path.is_dir():
        raise RecipeError(f"teacher.model: {folder} is not a folder; path: takes a model folder")
    warnings: list[str] = []
    card = _front_matter(path / "README.md", warnings)
    licenses = _texts(card.get("license"))
    if licenses == ("other",):
        licenses = _texts(card.get("license_name")) or licenses
    origin = _config(path / "config.json", warnings).get("_name_or_path")
    return Lineage(
        shown=f"path:{path.name}",
        licenses=licenses,
        base_models=_texts(card.get("base_model")),
        loaded_from=(origin,) if isinstance(origin, str) and _REPOSITORY.match(origin) else (),
        warnings=tuple(warnings),
    )


def _front_matter(card: Path, warnings: list[str]) -> dict[str, Any]:
    """The YAML between the first two lines of three dashes; empty where the card has none."""
    if not card.is_file():
        return {}
    lines = card.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((index for index, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    try:
        data = yaml.safe_load("\n".join(lines[1:end])) if end else None
    except yaml.YAMLError:
        data = None
    if not isinstance(data, dict):
        warnings.append(f"{card.name} of the teacher has front matter that is not valid YAML; it was not used")
        return {}
    return data


def _config(config: Path, warnings: list[str]) -> dict[str, Any]:
    if not config.is_file():
        return {}
    try:
        data = json.loads(config.read_bytes())
    except ValueError:
        data = None
    if not isinstance(data, dict):
        warnings.append(f"{config.name} of the teacher is not a JSON object; it was not used")
        return {}
    return data


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(item.strip() for item in values if isinstance(item, str) and item.strip())
