"""Which prompts are held out: those that the source says, or a share of all chosen by their content."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from potstill.config import Prompts
from potstill.errors import RecipeError
from potstill.records import Prompt, Split

_SALT = "potstill split 1"  # changing it would move every prompt of every old run
_SAID: Final[Mapping[str, Split]] = {"train": "train", "holdout": "holdout", "test": "holdout"}


def read_split(row: Mapping[str, Any], section: Prompts, where: str) -> Split:
    """The split that a row names; train where the recipe names no field for it. Raises RecipeError for another word."""
    if section.split is None:
        return "train"
    if section.split not in row:
        there = ", ".join(map(repr, list(row)[:8])) or "nothing"
        raise RecipeError(f"{where}: no field {section.split!r} (prompts.split); there is {there}")
    said = row[section.split]
    if not isinstance(said, str) or said not in _SAID:
        raise RecipeError(
            f"{where}: {section.split} is {said!r}; prompts.split takes {', '.join(_SAID)}; leave rows of other splits "
            "out of the file"
        )
    return _SAID[said]


def held_out(unique: Mapping[str, Prompt], section: Prompts) -> set[str]:
    """The hashes of the held-out prompts. Raises RecipeError where none is held out, or none left to train on.

    Without `prompts.split` these are the round(holdout · n) prompts whose salted content hashes are smallest.
    """
    if section.split is not None:
        said = {one for one, prompt in unique.items() if prompt.split == "holdout"}
        if not 1 <= len(said) < len(unique):
            raise RecipeError(
                f"prompts.split: {len(said)} of {len(unique)} different prompts in {section.source} are held out; at "
                "least one must be, and one left to train on"
            )
        return said
    number = round(section.holdout * len(unique))
    if not 1 <= number < len(unique):
        raise RecipeError(
            f"prompts.holdout: {section.holdout:g} of {len(unique)} different prompts in {section.source} is {number}; "
            "at least one must be held out and one left to train on"
        )
    return set(sorted(unique, key=lambda one: hashlib.sha256(f"{_SALT}:{one}".encode()).digest())[:number])
