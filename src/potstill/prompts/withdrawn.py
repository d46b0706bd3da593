"""Rows that may not be used any more: the list a person keeps of them, and which rows of a source it means."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from potstill.errors import RecipeError
from potstill.ledger import file_hash

_HASH = re.compile(r"[0-9a-f]{64}")
_PART_OF_A_HASH = re.compile(r"[0-9a-f]{12,63}|[0-9a-f]{65,}")
_LINE = re.compile(r":\d+$")


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a list of withdrawn rows left out of a run's prompts."""

    file_sha256: str
    rows: int  # of the source
    hashes: tuple[str, ...]  # of the prompts that are listed, and of those that were left out because of their source
    unmatched: tuple[str, ...]  # lines of the list that mean no row of the source


@dataclass(slots=True)
class WithdrawnRows:
    """The list, and what of the source it has met so far."""

    file_sha256: str
    listed: frozenset[str]  # hashes of prompts and names of sources
    rows: int = 0
    _hashes: set[str] = field(default_factory=set)
    _met: set[str] = field(default_factory=set)

    def take(self, place: str, identity: str) -> bool:
        """Whether the row at `place` with the prompt hash `identity` is withdrawn; counts it where it is."""
        found = self.listed & {identity, *names_of(place)}
        if found:
            self.rows += 1
            self._hashes.add(identity)
            self._met |= found
        return bool(found)

    def result(self) -> Withdrawal:
        """What was left out, once the source is read."""
        hashes = self._hashes | {one for one in self.listed if _HASH.fullmatch(one)}
        return Withdrawal(self.file_sha256, self.rows, tuple(sorted(hashes)), tuple(sorted(self.listed - self._met)))


def read_withdrawn(path: Path) -> WithdrawnRows:
    """Read a list: a prompt's hash or the name of a source on a line, empty lines and those with # in front apart.

    Raises RecipeError where it cannot be read, or a line is only a part of a hash.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        sha256 = file_hash(path)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"prompts.withdrawn: {path}: cannot be read ({error})") from None
    return WithdrawnRows(sha256, frozenset(_listed(path, lines)))


def names_of(place: str) -> Iterator[str]:
    """What the source of a row may be called: its place, its file, or the end of either from a folder's name on."""
    for whole in dict.fromkeys((place, _LINE.sub("", place))):
        yield whole
        parts = PurePosixPath(whole).parts
        yield from ("/".join(parts[at:]) for at in range(1, len(parts)))


def _listed(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if _PART_OF_A_HASH.fullmatch(text.lower()):
            raise RecipeError(
                f"{path}:{number}: {len(text)} digits; a prompt's hash has 64, `potstill lineage RUN --prompt {text}` "
                "shows it whole"
            )
        yield text.lower() if _HASH.fullmatch(text.lower()) else text
