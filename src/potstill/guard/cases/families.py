"""Which kinds of evidence count as one: what one cause would bring about together is no second witness."""

from typing import Final, Literal

Family = Literal["payment", "origin", "signup", "content", "timing", "conduct"]
Tie = Literal["payment", "origin", "signup"]

KINDS_OF: Final[dict[Family, tuple[str, ...]]] = {
    "payment": ("payment", "key"),  # who pays
    "origin": ("address", "network", "client", "tls"),  # where requests come from
    "signup": ("signup",),  # when accounts were made
    "content": ("templates", "near_duplicates", "phrasing"),  # what is asked
    "timing": ("coactivation", "failover"),  # when it is asked
    "conduct": (
        "lengths", "saturation", "logprobs", "single_turn", "hours", "ramp", "release", "plan_use",
    ),  # how the API is used
}  # fmt: skip
FAMILY_OF: Final[dict[str, Family]] = {kind: family for family, kinds in KINDS_OF.items() for kind in kinds}
TIES: Final[tuple[Family, ...]] = ("payment", "origin", "signup")  # what accounts are, whatever they do

SHOWS: Final[dict[Family, str]] = {
    "payment": "accounts that one card, wallet or key pays for",
    "origin": "accounts from the same addresses, networks or programs",
    "signup": "accounts made within minutes of each other",
    "content": "the same templates, prompts or wording",
    "timing": "activity in the same five minutes, or one account taking over from another",
    "conduct": "use that is out of the ordinary for plan, model and hour: lengths, limits, hours, ramp",
}

INNOCENT: Final[dict[Family, str]] = {
    "payment": "one company with several accounts, a reseller, a family or a parent who pays",
    "origin": "an office, a campus, a carrier's shared addresses, a cloud region, a popular client",
    "signup": "a class or a workshop, a company that brings its staff on board, a day of much press",
    "content": "a popular tool's prompts, a public benchmark, an assignment, one company's product",
    "timing": "a build server, a shared timetable or outage, a fall-back router",
    "conduct": "an evaluation suite, a backfill of documents, a nightly batch, licensed distillation",
}


def together(one: Family, other: Family) -> bool:
    """Whether these two are independent, and say more than that several accounts have one owner.

    Two ties say who somebody is and nothing of what is done. Content and conduct may both come from one program that
    many use, such as a public benchmark's.
    """
    if one == other or (one in TIES and other in TIES):
        return False
    return {one, other} != {"content", "conduct"}
