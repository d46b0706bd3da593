"""Written permissions: each clears what it names and nothing else, on the days on which it holds."""

import re
from collections.abc import Mapping
from datetime import date

from potstill.config import Permission, Recipe
from potstill.errors import RecipeError
from potstill.ledger import file_hash
from potstill.terms.findings import Finding
from potstill.terms.rules import rules

_WORD = re.compile(r"\w+")
# Words that name no owner by themselves.
_COMMON_WORDS = {
    "ai", "cloud", "labs", "research", "singapore", "community", "foundation", "hub", "path", "dataset", "model",
    "open", "the", "of", "and", "inc", "ltd", "llc", "gmbh", "co", "corp", "team", "studio",
}  # fmt: skip


def check_permissions(recipe: Recipe, today: date) -> None:
    """Raises RecipeError for a permission whose file is not there, or that is dated in the future."""
    for field, permission in recipe.use.permissions.items():
        if not permission.file.is_file():
            raise RecipeError(
                f"{field}.file: {permission.file} does not exist; give the file that holds the permission"
            )
        if permission.date > today:
            raise RecipeError(f"{field}.date: {permission.date} is in the future; a permission counts from its day on")
        if permission.expires is not None and permission.expires < permission.date:
            raise RecipeError(f"{field}.expires: {permission.expires} is before its date, {permission.date}")


def hashes(recipe: Recipe) -> str | None:
    """The SHA-256 of each permission's file, in their order and separated by spaces; None without a permission."""
    return " ".join(file_hash(one.file) for one in recipe.use.permissions.values()) or None


def with_permissions(findings: list[Finding], recipe: Recipe, today: date) -> list[Finding]:
    """The findings with those cleared that a permission in force speaks for.

    One with `clears` speaks for what it lists. Another speaks for the owners that `granted_by` names; and where all
    that is left belongs to one owner and `granted_by` names no other that the rules know, for that one, with a warning.
    """
    in_force = {field: one for field, one in recipe.use.permissions.items() if not _over(one, today)}
    for field, permission in sorted(in_force.items(), key=lambda one: not one[1].clears):
        owners = {found.layer.owner for found in findings if not found.cleared}
        findings = [
            found.permitted(field) if not found.cleared and _speaks_for(permission, found, owners) else found
            for found in findings
        ]
    return findings


def in_words(what: str, field: str, recipe: Recipe) -> str:
    """A permission as a sentence of a decision's reason, about what it clears."""
    permission = recipe.use.permissions[field]
    until = f" until {permission.expires}" if permission.expires else ""
    return (
        f"{what} is cleared by the permission of {permission.granted_by} of {permission.date}{until} "
        f"({permission.file.name}, sha256 {file_hash(permission.file)})."
    )


def permission_warnings(recipe: Recipe, findings: list[Finding], today: date) -> list[str]:
    """What a person should look at: a giver that is not the owner by name, and permissions that clear nothing."""
    warnings = []
    given: Mapping[str, Permission] = recipe.use.permissions
    for found in findings:
        by = given.get(found.by_permission or "")
        if by is not None and not by.clears and not _names(by, found.layer.owner):
            warnings.append(
                f"{found.by_permission}.granted_by does not name {found.layer.owner}; make sure that it may permit this"
            )
    # A judge and a model that writes prompts pass the gate by themselves; their owners' permissions are not idle.
    others = (
        recipe.screen.judge is not None
        or recipe.evaluate.judge is not None
        or (recipe.prompts.grow is not None and recipe.prompts.grow.model)
    )
    for field, permission in given.items():
        if _over(permission, today):
            warnings.append(f"{field} ran out on {permission.expires} and clears nothing")
        for name in permission.clears:
            if not others and not any(_lists(name, found) for found in findings):
                warnings.append(f"{field}.clears: {name} is no rule, owner, model or data set of this run")
    return warnings


def _over(permission: Permission, today: date) -> bool:
    return permission.expires is not None and permission.expires < today


def _speaks_for(permission: Permission, found: Finding, owners: set[str]) -> bool:
    if permission.clears:
        return any(_lists(name, found) for name in permission.clears)
    if _names(permission, found.layer.owner):
        return True
    return len(owners) == 1 and not any(
        _names(permission, provider) for provider in {rule.provider for rule in rules()}
    )


def _lists(name: str, found: Finding) -> bool:
    """Whether an entry of `clears` is the layer's rule, owner, or the model or data set itself."""
    rule = found.layer.rule
    named = {found.layer.owner, found.layer.subject, found.layer.subject.removeprefix("path:")}
    named |= {rule.id} if rule else set()
    return name.casefold().strip() in {one.casefold() for one in named if one}


def _names(permission: Permission, owner: str) -> bool:
    """Whether the giver names an owner by one of its words, such as Anthropic; of ORG/NAME the organisation counts."""
    whose = owner.partition("/")[0] if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", owner) else owner
    given = set(_WORD.findall(permission.granted_by.casefold()))
    return bool(given & (set(_WORD.findall(whose.casefold())) - _COMMON_WORDS))
