"""Who there is in a simulation: customers, hard negatives and campaigns, as accounts, streams and the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from potstill.guard.simulate.accounts import DAY_US, AccountBook, Accounts
from potstill.guard.simulate.arrivals import week_of
from potstill.guard.simulate.blocks import Turns
from potstill.guard.simulate.chance import chance
from potstill.guard.simulate.customers import CUSTOMERS
from potstill.guard.simulate.hard_negatives import HARD_NEGATIVES
from potstill.guard.simulate.kinds import Days, Kind, What, When
from potstill.guard.simulate.options import Campaign, Options
from potstill.guard.simulate.prompts import Forms, campaign_forms, frameworks, honest_forms
from potstill.guard.simulate.requests import Stream
from potstill.guard.simulate.texts import Texts, read_yaml

Floats = NDArray[np.float64]
COVER: Final = ("chat_user", "student", "writer", "developer", "agent", "translator")  # what campaigns hide among
_MONTH_DAYS: Final = 30
_PROBES: Final = 40
_OUTAGE_SHARE: Final = 0.13  # of days
_SMALL: Final = 40  # groups are at most this part of all accounts, so that few accounts hold every hard negative


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the truth for so many accounts in order."""

    label: str  # benign, hard_negative or campaign
    kind: str
    group: str
    cover: float | None
    accounts: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody, and what they do."""

    accounts: Accounts
    streams: tuple[Stream, ...]
    truth: tuple[Row, ...]


class _Founding:
    """Adds groups one after the other; what one draws does not depend on the others."""

    def __init__(self, options: Options, texts: Texts, start_us: int, weekday: int) -> None:
        self.options, self._texts, self._start_us, self._weekday = options, texts, start_us, weekday
        self.book = AccountBook(start_us, options.days)
        self.streams: list[Stream] = []
        self.truth: list[Row] = []
        outages = chance(options.seed, "outages").random(options.days) < _OUTAGE_SHARE
        outages[options.days // 3] = True
        self._outages = outages.astype(float)
        self.release_day = options.days // 2

    def kind(self, kind: Kind, label: str, accounts: int) -> None:
        """So many accounts of a kind, in groups of its size; customers by themselves share one stream."""
        size = max(min(kind.size, self.options.benign // _SMALL), 1)
        each = size if kind.size > 1 else accounts
        groups = [min(each, accounts - first) for first in range(0, accounts, each)]
        for number, members in enumerate(groups):
            name = f"{kind.name}-{number}" if kind.size > 1 else kind.name
            rng = chance(self.options.seed, name)
            made = kind.made
            if kind.size == 1:
                added = np.concatenate([self.book.add(made, 1, rng) for _ in range(members)])
            else:
                added = self.book.add(made, members, rng)
            requests = kind.requests * self.options.days / _MONTH_DAYS
            total = requests * rng.lognormal(0, kind.spread, len(added))
            self._stream(name, added, total, kind.when, kind.what, rng)
            self.truth.append(Row(label, kind.name, name, None, added))

    def campaign(self, order: Campaign, number: int) -> None:
        """The accounts of a campaign: a stream of what it is after, and one of each kind of cover traffic."""
        family, name = order.shape(), f"{order.family}-{number}"
        rng = chance(self.options.seed, name)
        size, exchanges = order.size(self.options.scale)
        added = self.book.add(family.made, size, rng)
        each = rng.lognormal(0, 0.25, size)
        each *= exchanges / each.sum()
        what = family.what
        turns = Turns(self.options.seed, name) if family.pools else None
        share = exchanges / family.exchanges
        self._stream(
            name,
            added,
            each * (1 - order.cover),
            family.when,
            what,
            rng,
            family.days,
            attack=True,
            turns=turns,
            share=min(share, 1),
        )
        if order.cover:
            kinds = {kind.name: kind for kind in CUSTOMERS}
            of = rng.integers(len(COVER), size=size)
            for at, cover in enumerate(COVER):
                mine = of == at
                if mine.any():
                    kind = kinds[cover]
                    total = each[mine] * order.cover
                    self._stream(f"{name}-{cover}", added[mine], total, kind.when, kind.what, rng, (0, 1))
        self.truth.append(Row("campaign", family.name, name, order.cover, added))

    def _stream(
        self, name: str, added: NDArray[np.intp], total: Floats, when: When, what: What, rng: np.random.Generator,
        window: tuple[float, float] | None = None, attack: bool = False, turns: Turns | None = None, share: float = 1.0,
    ) -> None:  # fmt: skip
        """A stream of these totals. Those of a campaign, which have a window, are reached whenever accounts sign up."""
        weights = self._weights(when, len(added), rng, window or (0, 1))
        there = weights * (np.arange(self.options.days) >= self.book.signup_days(added)[:, None])
        usual = (weights if window is None else there).sum(axis=1, keepdims=True)
        expected = total[:, None] * there / np.where(usual > 0, usual, 1)
        forms = self._forms(what, len(added), rng, share)
        self.streams.append(Stream(name, added, expected, when, what, forms, name, attack, turns))

    def _weights(self, when: When, accounts: int, rng: np.random.Generator, window: tuple[float, float]) -> Floats:
        """Relative activity, accounts × days, over 0 on one day at least."""
        days = np.arange(self.options.days)
        factor = week_of(when.week, self._weekday, self.options.days) * self._on(when.days, when, accounts, rng)
        begins, ends = (round(one * self.options.days) for one in window)
        factor = np.where((days >= begins) & (days < max(ends, begins + 1)), factor, 0)
        factor[:, -1] += ~factor.any(axis=1)  # such as lessons in a log of one day
        return factor * rng.lognormal(0, 0.3, (accounts, len(days)))

    def _on(self, kind: Days, when: When, accounts: int, rng: np.random.Generator) -> Floats:
        """1 on the days on which each account is at work at all, accounts × days."""
        days = np.arange(self.options.days)
        if kind == "outages":
            return np.broadcast_to(self._outages, (accounts, len(days)))
        if kind == "all":
            return np.ones((accounts, len(days)))
        first = np.full(accounts, self.release_day)
        if kind == "window":
            first = rng.integers(max(self.options.days - when.window_days, 1), size=accounts)
        return ((days >= first[:, None]) & (days < first[:, None] + when.window_days)).astype(float)

    def _forms(self, what: What, accounts: int, rng: np.random.Generator, share: float) -> Forms:
        pairs = self._pairs(what, accounts, rng, share)
        each = what.templates if what.scope == "account" else len(pairs)
        own = what.scope == "account"
        first = np.arange(accounts) * each if own else np.zeros(accounts, np.int64)
        count = np.full(accounts, each)
        if what.asks == "documents" and what.scope == "world":  # an application is built on one library
            first, count = rng.integers(len(pairs), size=accounts), np.ones(accounts, np.int64)
        begins, ends = ([pair[side] for pair in pairs] for side in (0, 1))
        return Forms(
            pa.array(begins, pa.string()), pa.array(ends, pa.string()), first.astype(np.int64), count,
            self._systems(what, accounts, rng),
        )  # fmt: skip

    def _pairs(self, what: What, accounts: int, rng: np.random.Generator, share: float) -> Sequence[tuple[str, str]]:
        if what.wording is not None:
            wanted = what.templates if what.wording != "sweep" else max(round(what.templates * share), 12)
            return campaign_forms(what.wording, wanted, rng)
        if what.asks == "fixed":
            number = chance(self.options.seed, "probes").integers(len(self._texts.texts), size=_PROBES)
            chosen = [*read_yaml("words.yaml")["probes"], *self._texts.texts.take(pa.array(number)).to_pylist()]
            return [(text, "") for text in chosen[:_PROBES]]
        if what.scope == "world":
            return frameworks()
        return honest_forms(what.templates * (accounts if what.scope == "account" else 1), rng)

    def _systems(self, what: What, accounts: int, rng: np.random.Generator) -> pa.StringArray | None:
        if what.system is None:
            return None
        if what.system == "world":
            products = [begin for begin, _ in honest_forms(12, chance(self.options.seed, "products"))]
            found = [products[at] for at in rng.integers(12, size=accounts).tolist()]
        else:
            found = [begin for begin, _ in honest_forms(accounts, rng)]
            found = found if what.system == "account" else found[:1] * accounts
        return pa.array(found, pa.string())


def populate(options: Options, texts: Texts, start_us: int, weekday: int) -> tuple[Population, int]:
    """Everybody in this simulation, and when the new model comes out, in microseconds since 1970."""
    founding = _Founding(options, texts, start_us, weekday)
    for kind, label, accounts in _allotted(options.benign):
        founding.kind(kind, label, accounts)
    for number, order in enumerate(options.campaigns):
        founding.campaign(order, number)
    made = Population(founding.book.accounts(), tuple(founding.streams), tuple(founding.truth))
    return made, start_us + founding.release_day * DAY_US + 17 * 3_600_000_000


def _allotted(benign: int) -> list[tuple[Kind, str, int]]:
    """How many accounts each kind has: hard negatives whole groups, as far as they go, customers the rest by share."""
    found: list[tuple[Kind, str, int]] = []
    for kind in HARD_NEGATIVES:
        size = max(min(kind.size, benign // _SMALL), 1)
        wanted = max(round(benign * kind.share / size), 1) * size
        found.append((kind, "hard_negative", min(wanted, benign - sum(one[2] for one in found))))
    left = benign - sum(one[2] for one in found)
    shares = np.cumsum([kind.share for kind in CUSTOMERS])
    edges = np.round(shares / shares[-1] * left).astype(int)
    counts = np.diff(edges, prepend=0)
    found += [(kind, "benign", int(count)) for kind, count in zip(CUSTOMERS, counts, strict=True)]
    return [one for one in found if one[2] > 0]
