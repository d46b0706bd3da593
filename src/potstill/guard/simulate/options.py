"""What is to be simulated: seed, days, customers, and campaigns as they are ordered on the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from potstill.errors import PotstillError
from potstill.guard.simulate.families import FAMILIES
from potstill.guard.simulate.kinds import Family

_BY_NAME: Final = {family.name: family for family in FAMILIES}
_LEAST_ACCOUNTS: Final = 3  # fewer are no fleet
_MOST_ACCOUNTS, _MOST_EXCHANGES, _MOST_DAYS = 1_000_000, 1_000_000_000, 366


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign: its family, and what differs from the family's published size. `cover` is a share of requests."""

    family: str
    cover: float = 0.0
    accounts: int | None = None
    exchanges: int | None = None  # with cover traffic

    def shape(self) -> Family:
        """The family. Raises PotstillError where there is none of this name."""
        if self.family not in _BY_NAME:
            raise PotstillError(f"{self.family}: no family of campaigns; there are {', '.join(_BY_NAME)}")
        return _BY_NAME[self.family]

    def size(self, scale: float) -> tuple[int, int]:
        """Accounts, three or more, and all their exchanges at this scale of the published size."""
        shape = self.shape()
        accounts = self.accounts or max(round(shape.accounts * scale), _LEAST_ACCOUNTS)
        usual = accounts * shape.exchanges / shape.accounts if self.accounts else shape.exchanges * scale
        return accounts, self.exchanges or max(round(usual), accounts)


@dataclass(frozen=True, slots=True)
class Options:
    """A simulation. The same options give the same events, to the byte."""

    seed: int = 0
    days: int = 30
    benign: int = 3_000  # accounts, hard negatives among them
    campaigns: tuple[Campaign, ...] = ()
    scale: float = 0.01  # of campaigns whose size is not given
    prompts: Path | None = None  # a file or folder of texts, None for those built in
    arrivals: Path | None = None  # a trace or folder of them, None for shapes built in

    def check(self) -> None:
        """Raises PotstillError for what cannot be simulated."""
        _within("--seed", self.seed, 0, 2**63 - 1)
        _within("--days", self.days, 1, _MOST_DAYS)
        _within("--benign", self.benign, 0, _MOST_ACCOUNTS)
        if not 0 < self.scale <= 1:
            raise PotstillError(f"--scale {self.scale}: wanted is a number over 0 and at most 1")
        if not self.benign and not self.campaigns:
            raise PotstillError("nothing to simulate: no customers (--benign 0) and no --campaign")
        for one in self.campaigns:
            one.shape()
        for path in (self.prompts, self.arrivals):
            if path is not None and not path.exists():
                raise PotstillError(f"{path}: no such file or folder")


def parse_campaign(text: str) -> Campaign:
    """A campaign from FAMILY[:accounts=N,cover=SHARE,exchanges=N]. Raises PotstillError for anything else."""
    family, _, rest = text.partition(":")
    given: dict[str, str] = {}
    for part in rest.split(",") if rest else []:
        name, _, value = part.partition("=")
        if name not in ("accounts", "cover", "exchanges") or name in given:
            raise PotstillError(
                f"--campaign {text}: {part!r} is not understood; wanted is FAMILY:accounts=N,cover=SHARE,exchanges=N"
            )
        given[name] = value
    made = Campaign(
        family,
        float(_number(text, "cover", given["cover"], 0, 0.999)) if "cover" in given else 0.0,
        int(_number(text, "accounts", given["accounts"], 1, _MOST_ACCOUNTS)) if "accounts" in given else None,
        int(_number(text, "exchanges", given["exchanges"], 1, _MOST_EXCHANGES)) if "exchanges" in given else None,
    )
    made.shape()
    return made


def _number(text: str, name: str, value: str, least: float, most: float) -> float:
    try:
        number = float(value) if name == "cover" else int(value)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise PotstillError(f"--campaign {text}: {name} is a number from {least:,} to {most:,}, not {value!r}")
    return number


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise PotstillError(f"{name} {value}: wanted is a number from {least:,} to {most:,}")
