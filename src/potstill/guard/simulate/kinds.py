"""What makes a customer of a simulated API: how its accounts came to be, when it is active, and what it asks for."""

from dataclasses import dataclass
from typing import Literal

Hours = Literal["office", "evening", "waking", "flat", "night"]
Week = Literal["every", "work", "lessons"]
# sessions: conversations with pauses; run: one request after the other; clock: at a fixed minute of the hour;
# together: in time slots that a group, or the whole world, shares.
Pacing = Literal["sessions", "run", "clock", "together"]
Days = Literal["all", "window", "release", "outages"]
Asks = Literal["free", "template", "documents", "fixed", "benchmark", "tools"]
Scope = Literal["account", "group", "world"]


@dataclass(frozen=True, slots=True)
class Made:
    """How the accounts of a group came to be: what they pay with, where they come from, with which clients."""

    plans: tuple[str, ...] = ("pro",)
    organization: bool = False  # the group is one organization
    accounts_a_card: int = 1  # 0: the whole group pays with one
    cards_known: bool = True
    batch_s: float | None = None  # the group signed up within so many seconds; None: at any time
    signed_up_days: tuple[float, float] = (-700, -1)  # when, from the first day of the log on
    new_share: float = 0.08  # of a kind's accounts, made while the log runs
    place: Literal["home", "office", "cloud", "proxies"] = "home"
    addresses: int = 2  # an account
    one_place: bool = False  # the group shares its addresses
    client: Literal["browser", "sdk", "own"] = "sdk"  # own: a program of the group's own
    clients: int = 1  # an account
    keys: int = 1  # an account
    one_zone: bool = False  # the group lives in one time zone


@dataclass(frozen=True, slots=True)
class When:
    """When requests come."""

    hours: Hours = "office"
    week: Week = "every"
    pacing: Pacing = "sessions"
    turns: float = 1.0  # mean requests a conversation
    gap_s: float = 60.0  # mean pause between requests of a session or run
    days: Days = "all"
    window_days: int = 3  # of days = window or release
    slots: int = 24  # a day, of pacing = together
    jitter_s: float = 120.0
    schedule: Literal["group", "world"] = "group"


@dataclass(frozen=True, slots=True)
class What:
    """What requests ask for. Tokens are medians; several values are habits, of which an account has one."""

    asks: Asks = "free"
    topics: int = 100  # how many topics an account asks about
    templates: int = 1  # of an account, or whatever shares them
    scope: Scope = "account"  # who shares templates
    wording: str | None = None  # a family of wordings.yaml, instead of made-up templates
    system: Scope | None = None
    context_tokens: int = 60  # beside the prompt: instructions, history
    output_tokens: int = 250
    output_spread: float = 0.8
    max_tokens: tuple[int | None, ...] = (None, 1024, 4096)
    temperatures: tuple[float | None, ...] = (None, 0.2, 0.7, 1.0)
    model: Literal["large", "small", "code"] = "large"
    adopts_days: float = 12.0  # half of such accounts have moved to a new model by then
    moved_share: float = 1.0  # of an account's requests, once it has moved
    several_answers: float = 0.0  # share of requests with n over 1
    logprobs: float = 0.0
    biased: float = 0.0  # share of requests with a logit bias, of those with log-probabilities
    streamed: float = 0.5
    limited: float = 0.01  # share of requests that meet a limit (429)
    conversations: bool = True  # whether requests carry a conversation
    traced: Literal["conv", "code"] | None = None  # tokens of this service of a trace, where one is given


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of customer, or a hard negative: what they are, and how many requests in 30 days."""

    name: str
    about: str
    share: float  # of all benign accounts
    requests: float  # median of an account
    made: Made
    when: When
    what: What
    spread: float = 1.0  # sigma of the logarithm of requests
    size: int = 1  # accounts of one group


@dataclass(frozen=True, slots=True)
class Family:
    """An attack family: the size that was published (or, where the report says none, assumed), and its shape."""

    name: str
    about: str
    accounts: int
    exchanges: int
    made: Made
    when: When
    what: What
    days: tuple[float, float] = (0.2, 0.95)  # of the log: from when to when the campaign is active
    pools: bool = False  # two pools of accounts that take turns as one is blocked
