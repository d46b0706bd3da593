"""Which kinds of evidence count as one: what one cause would bring about together is no second witness."""

from collections.abc import Iterable
from itertools import combinations
from typing import Final, Literal

Family = Literal["payment", "origin", "signup", "content", "timing", "conduct", "software"]

KINDS_OF: Final[dict[Family, tuple[str, ...]]] = {
    "payment": ("payment", "key"),  # who pays
    "origin": ("address", "network"),  # where requests come from
    "signup": ("signup",),  # when accounts were made
    "content": ("templates", "near_duplicates", "phrasing"),  # what is asked
    "timing": ("coactivation", "failover"),  # when it is asked
    "conduct": (
        "lengths", "saturation", "logprobs", "single_turn", "hours", "ramp", "release", "plan_use",
    ),  # how the API is used
    "software": ("client", "tls"),  # by which program: shown, and no witness, as many customers use one
}  # fmt: skip
FAMILY_OF: Final[dict[str, Family]] = {kind: family for family, kinds in KINDS_OF.items() for kind in kinds}
TIES: Final[tuple[Family, ...]] = ("payment", "origin", "signup")  # what accounts are, whatever they do

SHOWS: Final[dict[Family, str]] = {
    "payment": "accounts that one card, wallet or key pays for",
    "origin": "accounts from the same addresses or networks",
    "signup": "accounts made within minutes of each other",
    "content": "the same templates, prompts or wording",
    "timing": "activity in the same five minutes, or one account taking over from another",
    "conduct": "use that is out of the ordinary for plan, model and hour: lengths, limits, hours, ramp",
    "software": "the same client",
}

INNOCENT: Final[dict[Family, str]] = {
    "payment": "one company with several accounts, a reseller, a family or a parent who pays",
    "origin": "an office, a campus, a carrier's shared addresses, a cloud region",
    "signup": "a class or a workshop, a company that brings its staff on board, a day of much press",
    "content": "a popular tool's prompts, a public benchmark, an assignment, one company's product",
    "timing": "a build server, a shared timetable or outage, a fall-back router",
    "conduct": "an evaluation suite, a backfill of documents, a nightly batch, licensed distillation",
    "software": "a popular client",
}


_ONE_CAUSE: Final = (
    {"content", "conduct"},  # one program that many use, such as a public benchmark's
    {"origin", "conduct"},  # a cloud region or a campus, where one kind of use is at home
    {"signup", "conduct"},  # being new
)


def together(one: Family, other: Family) -> bool:
    """Whether these two are independent, and say more than that several accounts have one owner.

    Two ties say who somebody is and nothing of what is done; other pairs may well have one innocent cause.
    """
    if one == other or (one in TIES and other in TIES) or "software" in (one, other):
        return False
    return {one, other} not in _ONE_CAUSE


def clauses(own: Family, asked: Iterable[Family]) -> list[tuple[Family, ...]]:
    """What would make evidence of a group that `own` joins: one family that is independent of it, or two of each other.

    Only families in `asked` can be told of this log.
    """
    others = [family for family in asked if family != own]
    found: list[tuple[Family, ...]] = [(other,) for other in others if together(own, other)]
    rest = [other for other in others if not together(own, other)]
    return found + [pair for pair in combinations(rest, 2) if together(*pair)]


def independent(families: Iterable[Family]) -> bool:
    """Whether two of these are independent."""
    return any(together(*pair) for pair in combinations(list(families), 2))
