"""Files of rules: the package's, one a provider or licence family, and those that a recipe brings along."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from potstill.errors import PotstillError, RecipeError
from potstill.ledger import file_hash
from potstill.terms.rule import Rule, inherited
from potstill.terms.rule_text import check_ids, load, parse_rules

_ENDINGS = (".yaml", ".yml", ".json")  # JSON is YAML


@lru_cache(maxsize=1)
def packaged() -> tuple[Rule, ...]:
    """The rules of this release, read once."""
    found = [rule for name, text in _packaged_texts() for rule in parse_rules(text, name)]
    check_together(found)
    return tuple(found)


@lru_cache(maxsize=1)
def families() -> Mapping[str, tuple[str, str]]:
    """Provider or family of each of the package's files, by the file's name, and what the file holds."""
    texts = {name: load(text, name) for name, text in _packaged_texts()}
    return {name: (data["family"], data["about"]) for name, data in texts.items()}


def _packaged_texts() -> Iterator[tuple[str, str]]:
    folder = files("potstill.terms") / "rules"
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.name.endswith(".yaml"):
            yield entry.name, entry.read_text(encoding="utf-8")


def read_rules(paths: Iterable[Path]) -> tuple[Rule, ...]:
    """The rules of files and folders that are a user's own. Raises PotstillError naming file, line, rule and field."""
    found: list[Rule] = []
    for path in rule_files(paths):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise PotstillError(f"{path}: cannot be read ({error})") from None
        found += parse_rules(text, str(path), own=True)
    check_ids(found)
    return tuple(found)


def rule_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files that these paths stand for; of a folder, its files of YAML or JSON by name. Raises PotstillError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix in _ENDINGS and one.is_file())
            if not inside:
                raise PotstillError(f"{path}: has no file of rules; they end in {', '.join(_ENDINGS)}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise PotstillError(f"{path}: no such file or folder of rules")
    return tuple(found)


def own_rules(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Name and SHA-256 of each file of rules that a recipe brings along. Raises RecipeError where one is not there."""
    try:
        return [{"file": path.name, "sha256": file_hash(path)} for path in rule_files(paths)]
    except PotstillError as error:
        raise RecipeError(f"terms.rules: {error}") from None


def check_together(found: Iterable[Rule]) -> None:
    """Raises PotstillError where two rules have one id, or one inherits from a rule that is not there."""
    found = tuple(found)
    check_ids(found)
    known = {rule.id for rule in found}
    for rule in found:
        for target in inherited(rule):
            if target not in known:
                raise PotstillError(f"{rule.origin}: {rule.id}: obligations: inherits {target}, which is no rule")
