"""Accounts of a simulated API: who they are, what they pay with, where they come from; every value made up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from potstill.guard.simulate.kinds import Made

Ints = NDArray[np.int64]
DAY_US: Final = 86_400_000_000

# Where addresses come from. Prefixes lie in ranges for private use and documentation, networks in private numbers.
_HOME_NETWORKS, _CLOUD_NETWORKS = 80, 6
_HOME_PREFIXES, _CLOUD_PREFIXES = 60_000, 400
_PRIVATE_NETWORKS: Final = 4_200_000_000
_BROWSERS, _SDKS = 120, 30
_ZONES_H: Final = np.array((-8, -6, -5, -5, -3, 0, 1, 1, 1, 2, 3, 5, 7, 8, 9))


@dataclass(frozen=True, slots=True)
class Pool:
    """Values that accounts have several of: those of account a are values[first[a] : first[a] + count[a]]."""

    values: pa.StringArray
    first: Ints
    count: Ints

    def pick(self, account: NDArray[np.intp], rng: np.random.Generator) -> Ints:
        """Where in `values` the value of each request is; an account uses its first ones more."""
        return self.first[account] + (rng.random(len(account)) ** 2 * self.count[account]).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts of a simulation as columns, in the order in which groups were added."""

    names: pa.StringArray
    organization: pa.StringArray
    plan: pa.StringArray
    payment: pa.StringArray
    signup_us: Ints
    zone_s: NDArray[np.float64]
    keys: Pool
    addresses: Pool
    networks: pa.StringArray  # of each address
    clients: Pool
    fingerprints: pa.StringArray  # of each client


class AccountBook:
    """Adds groups of accounts, and gives them out as columns."""

    def __init__(self, start_us: int, days: int) -> None:
        self._start_us, self._days = start_us, days
        self._names: list[str] = []
        self._organization: list[str | None] = []
        self._plan: list[str] = []
        self._payment: list[str | None] = []
        self._signup_us: list[int] = []
        self._zone_s: list[float] = []
        self._keys, self._addresses, self._clients = _Pools(), _Pools(), _Pools()

    def add(self, made: Made, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """A group of so many accounts. Returns their numbers."""
        tag = _hex(rng, 1)[0]
        first = len(self._names)
        self._names += [f"acct-{one}" for one in _hex(rng, size)]
        self._organization += [f"org-{tag}" if made.organization else None] * size
        plans = [made.plans[at] for at in rng.integers(len(made.plans), size=size).tolist()]
        self._plan += plans if not made.organization else plans[:1] * size
        self._payment += _cards(made, plans, tag, size)
        self._signup_us += self._signups(made, size, rng)
        zones = rng.choice(_ZONES_H, 1 if made.one_zone else size) * 3600.0
        self._zone_s += np.broadcast_to(zones, size).tolist()
        self._places(made, size, rng)
        self._programs(made, size, tag, rng)
        return np.arange(first, first + size)

    def signup_days(self, accounts: NDArray[np.intp]) -> Ints:
        """The day of the log on which each of these was made, below 0 before the log."""
        return (np.array(self._signup_us, np.int64)[accounts] - self._start_us) // DAY_US

    def accounts(self) -> Accounts:
        """Everything that was added."""
        keys, _ = self._keys.columns()
        addresses, networks = self._addresses.columns()
        clients, fingerprints = self._clients.columns()
        return Accounts(
            pa.array(self._names, pa.string()), pa.array(self._organization, pa.string()),
            pa.array(self._plan, pa.string()), pa.array(self._payment, pa.string()),
            np.array(self._signup_us, np.int64), np.array(self._zone_s), keys, addresses, networks, clients,
            fingerprints,
        )  # fmt: skip

    def _signups(self, made: Made, size: int, rng: np.random.Generator) -> list[int]:
        earliest, latest = made.signed_up_days
        latest = min(latest, latest * self._days / 30)  # those after the beginning are of a month
        if made.batch_s is not None:
            times = rng.uniform(earliest, latest) * DAY_US + np.sort(rng.random(size)) * made.batch_s * 1e6
        else:
            times = rng.uniform(earliest, latest, size) * DAY_US
            new = rng.random(size) < made.new_share
            times = np.where(new, rng.random(size) * self._days * 0.9 * DAY_US, times)
        return [int(one) for one in (self._start_us + times).tolist()]

    def _places(self, made: Made, size: int, rng: np.random.Generator) -> None:
        for _ in range(1 if made.one_place else size):
            if made.place == "cloud":
                networks = np.repeat(rng.integers(_CLOUD_NETWORKS), made.addresses)
                prefixes = networks * 1_000 + rng.integers(_CLOUD_PREFIXES, size=made.addresses)
                found = [_cloud(one) for one in prefixes.tolist()]
            elif made.place == "proxies":
                prefixes = rng.integers(_HOME_PREFIXES, size=made.addresses)
                networks, found = prefixes % _HOME_NETWORKS + 100, [_home(one) for one in prefixes.tolist()]
            else:  # at home or in an office: one network, few prefixes of it
                network = int(_HOME_NETWORKS * rng.random() ** 2)
                within = rng.integers(_HOME_PREFIXES // _HOME_NETWORKS, size=made.addresses)
                networks = np.repeat(network + 100, made.addresses)
                found = [_home(one) for one in (within * _HOME_NETWORKS + network).tolist()]
            named = [f"AS{_PRIVATE_NETWORKS + int(one)}" for one in networks]
            self._addresses.add(found, named, size if made.one_place else 1)

    def _programs(self, made: Made, size: int, tag: str, rng: np.random.Generator) -> None:
        for name in _hex(rng, size):
            self._keys.add([f"key-{name}-{number}" for number in range(made.keys)], [None] * made.keys, 1)
            if made.client == "own":
                programs = [(f"product-{tag[:6]}/1.{number}", f"tls-{tag[:6]}") for number in range(made.clients)]
            else:
                kinds = _BROWSERS if made.client == "browser" else _SDKS
                numbers = (kinds * rng.random(made.clients) ** 3).astype(int).tolist()
                programs = [(f"{made.client}/{number}", f"tls-{made.client}-{number // 6}") for number in numbers]
            self._clients.add([one for one, _ in programs], [one for _, one in programs], 1)


class _Pools:
    """Builds a pool, and a second column beside its values."""

    def __init__(self) -> None:
        self._values: list[str] = []
        self._beside: list[str | None] = []
        self._first: list[int] = []
        self._count: list[int] = []

    def add(self, values: Sequence[str], beside: Sequence[str | None], accounts: int) -> None:
        """These values for the next so many accounts."""
        self._first += [len(self._values)] * accounts
        self._count += [len(values)] * accounts
        self._values += values
        self._beside += beside

    def columns(self) -> tuple[Pool, pa.StringArray]:
        first, count = np.array(self._first, np.int64), np.array(self._count, np.int64)
        return Pool(pa.array(self._values, pa.string()), first, count), pa.array(self._beside, pa.string())


def _cards(made: Made, plans: Sequence[str], tag: str, size: int) -> list[str | None]:
    """What each account pays with; one that pays alone and has a free plan has nothing."""
    if not made.cards_known:
        return [None] * size
    each = made.accounts_a_card or size
    return [
        None if each == 1 and plan == "free" else f"card-{tag}-{number // each}" for number, plan in enumerate(plans)
    ]


def _hex(rng: np.random.Generator, n: int) -> list[str]:
    return [f"{one:012x}" for one in rng.integers(1 << 48, size=n).tolist()]


def _home(number: int) -> str:
    return f"10.{number // 256 % 256}.{number % 256}.17"


def _cloud(number: int) -> str:
    return f"2001:db8:{number:x}::17"
