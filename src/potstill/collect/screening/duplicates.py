"""The screens that look at an answer beside the others: exact and near duplicates, the first of each is kept."""

import hashlib
from collections.abc import Iterator

from potstill.config import Screen
from potstill.store.journal import Row
from potstill.texts.near_duplicates import NearDuplicates
from potstill.texts.normal import same_text


class Duplicates:
    """Takes answers in the journal's order, where those to one prompt stand together.

    Within a prompt memory is that of its answers; near duplicates among all keep a signature of every kept answer.
    """

    def __init__(self, screen: Screen) -> None:
        self._exact, self._near = screen.exact_duplicates, screen.near_duplicates
        self._prompt: str | None = None
        self._seen: dict[bytes, Row] = {}
        self._kept = self._new()

    @property
    def across_splits(self) -> bool:
        """Whether training answers are compared with held-out ones, which then have to be taken first."""
        return self._near is not None and self._near.among == "all"

    def look(self, row: Row, asked: str, text: str, *, keep: bool) -> Iterator[tuple[str, str]]:
        """The reasons against an answer; with `keep` one that has none is what later ones are compared with."""
        if self._prompt != row.prompt_hash:
            self._prompt, self._seen = row.prompt_hash, {}
            if not self.across_splits:
                self._kept = self._new()
        digest = hashlib.blake2b(same_text(text).encode(errors="replace"), digest_size=16).digest()
        first = self._seen.get(digest)
        if first is not None:
            if self._exact:
                yield "exact_duplicate", f"of sample {first.sample}"
            return
        earlier = None
        if self._kept is not None:
            compared = f"{asked}\n{text}" if self.across_splits else text
            earlier = self._kept.earlier(_name(row), compared, keep=keep)
            if earlier is not None:
                yield "near_duplicate", f"of {earlier}"
        if keep and earlier is None:
            self._seen[digest] = row

    def _new(self) -> NearDuplicates | None:
        return NearDuplicates(self._near.similarity) if self._near is not None else None


def _name(row: Row) -> str:
    return f"request {row.key[:12]}, {row.split}"
