"""Which decisions keep a student from being exported unless a person says why it is to go out all the same."""

from collections.abc import Mapping
from typing import Any

from potstill.config import Recipe
from potstill.errors import Inconclusive, NotAccepted, PotstillError


def refusal(recipe: Recipe, decision: Mapping[str, Any]) -> PotstillError | None:
    """The error that refuses this student's export; None where it ships, or where the recipe asks nothing of it."""
    word, reason = decision.get("word"), decision.get("reason") or "no reason is recorded"
    if recipe.accept == {} or word == "ship":
        return None
    kind = NotAccepted if word == "no ship" else Inconclusive
    return kind(
        f"not exported: {word or 'no decision'}: {reason}; change the recipe or what accept: asks, or say why it is to "
        'go out all the same: potstill export RUN --despite "REASON"'
    )
