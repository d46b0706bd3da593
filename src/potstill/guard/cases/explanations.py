"""What innocent customers would look the same, and by which plain traits a group is taken for such."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from potstill.guard.cases.families import FAMILY_OF, Family
from potstill.guard.evidence.links import Link

_ASKS_FOR_METHOD: Final = 0.05  # share of prompts with such wording, from which no explanation is looked for


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a group beyond its links; None where the events do not say."""

    families: frozenset[Family]
    p_conduct: float | None  # of its conduct among others of the same plan, model and hours; None: cannot be told
    repeats: float | None  # median share of an account's requests whose prompt it sent before or after
    hours_of_day: float | None  # median
    exchanges: float  # median of an account
    usual_exchanges: float  # of all customers, median
    wording: float | None  # share of the prompts that ask for reasoning, rubrics or instructions
    one_payer: bool  # one payment or key joins all of them
    one_owner: bool  # half of them or more show one kind of tie: payment, origin or sign-up
    takes_over: bool  # some begin when others are shut out

    @property
    def asks_for_method(self) -> bool:
        """Whether a twentieth of the prompts or more ask for reasoning, rubrics or instructions."""
        return self.wording is not None and self.wording >= _ASKS_FOR_METHOD


@dataclass(frozen=True, slots=True)
class Explanation:
    """An innocent explanation, and when it fits."""

    name: str
    says: str
    fits: Callable[[Traits], bool]


_ORDINARY: Final = 0.05  # p of conduct above which it is that of others
_NOT_EXTREME: Final = 0.005  # and above which a class, all of it new and at one task, may still be one


def _ordinary(traits: Traits) -> bool:
    return traits.p_conduct is None or traits.p_conduct > _ORDINARY


EXPLANATIONS: Final[tuple[Explanation, ...]] = (
    Explanation(
        "repeated prompts",
        "most prompts come again and again: an evaluation suite, a drift monitor or a build server, which would gain "
        "nothing from the same answers",
        lambda traits: traits.repeats is not None and traits.repeats > 0.5,
    ),
    Explanation(
        "a class or an office",
        "they work by day, take no more than others do, and use the API much as others of their plan: people who share "
        "a place and a task",
        lambda traits: (
            (traits.p_conduct is None or traits.p_conduct > _NOT_EXTREME)
            and traits.hours_of_day is not None and traits.hours_of_day <= 14
            and traits.exchanges <= 2 * traits.usual_exchanges
        ),
    ),
    Explanation(
        "one paying customer",
        "one payment joins all of them, and they use the API as others of their plan, or have nothing else in common: "
        "a company with several accounts, or a reseller",
        lambda traits: traits.one_payer and (_ordinary(traits) or traits.families <= {"payment", "conduct"}),
    ),
    Explanation(
        "shared software",
        "nothing says that half of them have one owner: customers of one tool, or of one benchmark on the day of a "
        "release",
        lambda traits: not traits.one_owner and not traits.takes_over,
    ),
)  # fmt: skip


def explanation(traits: Traits) -> Explanation | None:
    """The first explanation that fits; none is looked for where wording asks for what distillation wants."""
    if traits.asks_for_method:
        return None
    return next((one for one in EXPLANATIONS if one.fits(traits)), None)


def owned(tie: Family, shown: set[str], members: set[str], links: Sequence[Link]) -> set[str]:
    """Of the members who show this tie (`shown`), those whom it says to have one owner.

    A place says so where half of those who come from it are members: any few customers who do the same come from some
    cloud region that many others use too. Every other tie says so of all who show it.
    """
    if tie != "origin":
        return shown
    places = [set(link.accounts) for link in links if FAMILY_OF[link.kind] == "origin"]
    own = [place for place in places if 2 * len(place & members) >= len(place)]
    return shown & set().union(*own)
