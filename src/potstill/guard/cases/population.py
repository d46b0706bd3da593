"""The customers of a log as arrays: features, blocks within which they may be exchanged, and their class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from potstill.guard.cases.permutation import Exchangeable, Floats, Numbers

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NEW_H: Final = 7 * 24  # hours from sign-up to the first request
LEAST: Final = 20  # customers in a block, or in a class

# Larger is more like taking all that there is. Each names the kind of evidence it belongs to.
CONDUCT: Final[dict[str, str]] = {
    "output_input_ratio": "lengths",
    "saturated_share": "saturation",
    "bias_share": "logprobs",
    "single_turn_share": "single_turn",
    "hour_entropy_bits": "hours",
    "active_share": "hours",
    "ramp": "ramp",
    "moved_share": "release",
    "usage_of_plan": "plan_use",
}


@dataclass(frozen=True, slots=True)
class Population:
    """N customers by name, in order."""

    names: list[str]
    number: dict[str, int]
    features: dict[str, Floats]  # (N,) each; NaN where an account's events lack what it needs
    blocks: Exchangeable
    score: Floats  # (N,) how much conduct is like taking: the mean place of its features among all, 0 to 1
    p_class: Floats  # (N,) of the score within its own class; NaN where that is too small
    classes: list[str]

    @property
    def varies(self) -> bool:
        """Whether conduct tells customers apart at all."""
        return bool(len(self.score)) and bool(np.ptp(self.score) > 0)

    def feature(self, name: str, members: list[int]) -> Floats:
        """The members' values that are known."""
        values = self.features.get(name, np.empty(0))
        found = values[members] if len(values) else values
        known: Floats = found[~np.isnan(found)]
        return known


def population(features: pa.Table, connection: "DuckDBPyConnection") -> Population:
    """The customers of this table of features (`account_features`), with plan, model and hour from the events."""
    names = features.column("account").to_pylist()
    values = {name: _floats(features, name) for name in features.column_names if name != "account"}
    with np.errstate(invalid="ignore", divide="ignore"):
        values["bias_share"] = values["logprobs_and_bias"] / values["events"]
        new = values["idle_before_first_h"] < _NEW_H  # of older accounts the log's first day says nothing
        values["ramp"] = np.where(new, values["first_day_share"], np.nan)
    most = _most(connection)
    plan, model, hour = ([most.get(name, ("", "", ""))[at] for name in names] for at in range(3))
    score = _score(values, len(names))
    classes = [f"{one}, {kind}" if one else kind for one, kind in zip(plan, _kinds_of_use(values), strict=True)]
    blocks = _blocks([list(zip(hour, plan, model, strict=True)), list(zip(plan, model, strict=True)), plan])
    number = {name: at for at, name in enumerate(names)}
    return Population(names, number, values, blocks, score, conformal(score, classes), classes)


def _floats(features: pa.Table, name: str) -> Floats:
    """The column, rounded: sums of fractions depend on the order that threads add them in, and ranks shall not."""
    found: Floats = features.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False).round(9)
    return found


def _most(connection: "DuckDBPyConnection") -> dict[str, tuple[str, str, str]]:
    """Plan, model and quarter of the day that a customer has most events in; '' for none."""
    rows = connection.execute(
        """
        WITH counted AS (
          SELECT account, coalesce(plan, '') AS plan, coalesce(model, '') AS model,
            coalesce((extract(hour FROM time) // 6)::VARCHAR, '') AS hour, count(*) AS events
          FROM events WHERE account IS NOT NULL GROUP BY ALL
        ), sums AS (
          SELECT account, unnest(['plan', 'model', 'hour']) AS what, unnest([plan, model, hour]) AS value, events
          FROM counted
        ), largest AS (
          SELECT account, what, value FROM (SELECT account, what, value, sum(events) AS events FROM sums GROUP BY ALL)
          QUALIFY row_number() OVER (PARTITION BY account, what ORDER BY events DESC, value) = 1
        )
        SELECT account, max(value) FILTER (WHERE what = 'plan'), max(value) FILTER (WHERE what = 'model'),
          max(value) FILTER (WHERE what = 'hour') FROM largest GROUP BY account
        """
    ).fetchall()
    return {account: (plan, model, hour) for account, plan, model, hour in rows}


def _blocks(finest_first: list[list[Any]]) -> Exchangeable:
    """Every customer in the finest block that has at least 20; those left over are blocks of the next coarser kind."""
    count = len(finest_first[0])
    block = np.full(count, -1, np.intp)
    made = 0
    levels = [*finest_first, [""] * count]
    for keys in levels:
        left: dict[Any, list[int]] = {}
        for at in np.flatnonzero(block < 0).tolist():
            left.setdefault(keys[at], []).append(at)
        for key in sorted(left):
            if len(left[key]) >= LEAST or keys is levels[-1]:
                block[left[key]] = made
                made += 1
    return Exchangeable(block)


def _score(values: dict[str, Floats], count: int) -> Floats:
    places = np.full((len(CONDUCT), count), 0.5)
    for row, name in zip(places, CONDUCT, strict=True):
        column = values[name]
        known = ~np.isnan(column)
        if known.sum() > 1:
            row[known] = _midranks(column[known])
    found: Floats = places.mean(axis=0)
    return found


def _midranks(column: Floats) -> Floats:
    ordered = np.sort(column)
    below, upto = np.searchsorted(ordered, column, "left"), np.searchsorted(ordered, column, "right")
    found: Floats = (below + upto) / 2 / len(column)
    return found


def _kinds_of_use(values: dict[str, Floats]) -> list[str]:
    """What kind of use it is, by few plain traits: a specialised customer is compared with its like."""
    templated = np.nan_to_num(values["top_template_share"]) >= 0.5
    turns = np.nan_to_num(values["single_turn_share"], nan=1.0) < 0.5
    busy = values["events"] >= 1_000
    volume = np.where(busy, "many requests", "few requests")
    kind = np.where(templated, "templates", np.where(turns, "conversations", "single requests"))
    return [f"{one}, {other}" for one, other in zip(kind.tolist(), volume.tolist(), strict=True)]


def conformal(score: Floats, classes: list[str], least: int = LEAST) -> Floats:
    """One-sided conformal p-values within each class: (1 + others with at least the score) / (others + 1).

    A Mondrian conformal test (Vovk, Gammerman and Shafer 2005): uniform, if a class's members are exchangeable. NaN in
    classes of fewer than `least`: their smallest p would say nothing.
    """
    found = np.full(len(score), np.nan)
    of_class = np.asarray(classes)
    for name in np.unique(of_class) if len(classes) else ():
        at: Numbers = np.flatnonzero(of_class == name)
        if len(at) >= least:
            ordered = np.sort(score[at])
            found[at] = (len(at) - np.searchsorted(ordered, score[at], "left")) / len(at)
    return found


def unusual(everybody: Population, members: list[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Kinds of conduct in which the members' median is among the upper fifth of all, and the medians beside all's."""
    kinds, told = [], []
    for name, kind in CONDUCT.items():
        values = everybody.feature(name, members)
        every = everybody.feature(name, list(range(len(everybody.names))))
        if len(values) and np.median(values) > np.quantile(every, 0.8):
            kinds.append(kind)
            told.append(f"{name}: median {np.median(values):.3g}, of all customers {np.median(every):.3g}")
    return tuple(dict.fromkeys(kinds)) or ("conduct",), tuple(told)


def compared(everybody: Population, members: list[int]) -> str:
    """How many of these stand out in their own class, and in their own past, in a sentence."""
    of_class = everybody.p_class[members]
    past = everybody.feature("p_history", members)
    classed = of_class[~np.isnan(of_class)]
    parts = []
    if len(classed):
        parts.append(
            f"conduct is rare in its own class (p at most 0.05) for {(classed <= 0.05).sum()} of {len(classed)}"
        )
    if len(past):
        parts.append(f"the last week is high for its own past (p at most 0.1) for {(past <= 0.1).sum()} of {len(past)}")
    return "; ".join(parts)


def matrix(members: list[NDArray[np.intp]], customers: int) -> Any:
    """A sparse matrix (customers, values) of 0 and 1: who holds which value."""
    from scipy.sparse import csr_array

    rows = np.concatenate([*members, np.empty(0, np.intp)]).astype(np.int64)
    columns = np.repeat(np.arange(len(members)), [len(one) for one in members])
    return csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(customers, len(members)))
