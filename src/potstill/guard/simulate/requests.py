"""The events of a stream on one day: times, identities, prompts, parameters and what came back, as Arrow columns."""

import zlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from potstill.guard.schema import SCHEMA
from potstill.guard.simulate.accounts import DAY_US, Accounts
from potstill.guard.simulate.arrivals import DAY_S, Arrivals, Trace, moments, seconds_of_day
from potstill.guard.simulate.blocks import Turns
from potstill.guard.simulate.chance import chance
from potstill.guard.simulate.kinds import What, When
from potstill.guard.simulate.prompts import Forms, Ints, prompts
from potstill.guard.simulate.texts import Texts

Floats = NDArray[np.float64]
_HISTORY_TOKENS: Final = 180  # that a turn adds to the next one's input
_CHARACTERS_A_TOKEN: Final = 4
_OUTAGE_S: Final = 7_200.0
_FAILED: Final = 0.002  # of all requests, by no fault of the customer


@dataclass(frozen=True, slots=True)
class World:
    """What all customers have in common."""

    seed: int
    start_us: int
    days: int
    texts: Texts
    arrivals: Arrivals
    accounts: Accounts
    release_us: int  # when the new model comes out


@dataclass(frozen=True, slots=True)
class Stream:
    """Accounts that do one thing: how many requests each makes on each day, when, and what they ask for."""

    name: str  # of its random numbers
    accounts: NDArray[np.intp]  # A
    expected: Floats  # A×days, mean requests
    when: When
    what: What
    forms: Forms
    group: str  # whose slots they share
    attack: bool
    turns: Turns | None = field(default=None)  # of pools that replace each other


def requests_of(stream: Stream, day: int, world: World, part: slice) -> tuple[pa.RecordBatch, NDArray[np.intp]]:
    """The events of a part of the stream's accounts on this day, and which account of the stream each is of."""
    rng = chance(world.seed, stream.name, "day", day, int(part.start))
    who = np.repeat(np.arange(len(stream.accounts))[part], rng.poisson(stream.expected[part, day]))
    account, when, what = stream.accounts[who], stream.when, stream.what
    own = chance(world.seed, stream.name, "habits")  # the same every day
    topic = own.integers(world.texts.topics, size=len(stream.accounts))
    trace = world.arrivals.traces.get(what.traced or "")
    shared = chance(world.seed, stream.group if when.schedule == "group" else "world", "slots", day)
    slots = seconds_of_day(shared, when.hours, when.slots)
    if when.days == "outages":
        slots = shared.random() * (DAY_S - _OUTAGE_S) + slots * _OUTAGE_S / DAY_S
    seconds, conversation, turn = moments(when, who, world.accounts.zone_s[account], rng, slots, trace)
    if when.days == "release" and day == (world.release_us - world.start_us) // DAY_US:
        first = (world.release_us - world.start_us) % DAY_US / 1e6
        seconds = first + seconds * (1 - first / DAY_S)
    blocked = np.zeros(len(who), bool)
    if stream.turns is not None:
        seconds, blocked = stream.turns.moments(day, who % 2, rng)
    us = (world.start_us + day * DAY_US + seconds * 1e6).astype(np.int64)
    made_us = world.accounts.signup_us[account]
    left_us = world.start_us + (day + 1) * DAY_US - 1 - made_us
    us = np.where(us < made_us, made_us + (rng.random(len(us)) * left_us).astype(np.int64), us)
    text = prompts(what, world.texts, stream.forms, who, topic, turn, rng)
    columns = _identity(world.accounts, account, rng)
    columns |= _parameters(what, who, own, rng, len(stream.accounts))
    columns["time"] = pa.array(us, SCHEMA.field("time").type)
    columns["prompt"] = text
    if stream.forms.system is not None:
        columns["system_prompt"] = stream.forms.system.take(pa.array(who))
    if what.conversations:
        begins = f"conv-{zlib.crc32(stream.name.encode()):08x}-{day}-{part.start}"
        columns["conversation"] = pc.binary_join_element_wise(begins, pa.array(conversation).cast(pa.string()), "-")
    columns["model"] = _models(what, us, who, own, rng, world, len(stream.accounts))
    columns |= _outcome(what, text, turn, columns["max_tokens"], blocked, trace, rng)
    arrays = [columns.get(one.name, pa.nulls(len(who), one.type)) for one in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), who


def _identity(accounts: Accounts, account: NDArray[np.intp], rng: np.random.Generator) -> dict[str, pa.Array]:
    at = pa.array(account)
    key, address, client = (
        pa.array(pool.pick(account, rng)) for pool in (accounts.keys, accounts.addresses, accounts.clients)
    )
    return {
        "account": accounts.names.take(at), "organization": accounts.organization.take(at),
        "plan": accounts.plan.take(at), "payment": accounts.payment.take(at),
        "signup_time": pa.array(accounts.signup_us[account], SCHEMA.field("signup_time").type),
        "key": accounts.keys.values.take(key), "address_prefix": accounts.addresses.values.take(address),
        "network": accounts.networks.take(address), "client": accounts.clients.values.take(client),
        "tls_fingerprint": accounts.fingerprints.take(client),
    }  # fmt: skip


def _parameters(
    what: What, who: NDArray[np.intp], own: np.random.Generator, rng: np.random.Generator, accounts: int
) -> dict[str, pa.Array]:
    """What an account asks with; temperature and max_tokens are habits."""
    n = len(who)
    temperature = pa.array(what.temperatures, pa.float64())
    limit = pa.array(what.max_tokens, pa.int64())
    logprobs = rng.random(n) < what.logprobs
    return {
        "temperature": temperature.take(pa.array(own.integers(len(temperature), size=accounts)[who])),
        "max_tokens": limit.take(pa.array(own.integers(len(limit), size=accounts)[who])),
        "n": pa.array(np.where(rng.random(n) < what.several_answers, 4, 1)),
        "logprobs": pa.array(logprobs), "logit_bias": pa.array(logprobs & (rng.random(n) < what.biased)),
        "stream": pa.array(rng.random(n) < what.streamed),
        "endpoint": pa.array(["/v1/chat/completions"] * n, pa.string()),
    }  # fmt: skip


def _models(
    what: What, us: Ints, who: NDArray[np.intp], own: np.random.Generator, rng: np.random.Generator, world: World,
    accounts: int,
) -> pa.StringArray:  # fmt: skip
    """The model of each request: those of the large one move to its successor, each account at its own pace."""
    after = own.exponential(what.adopts_days / np.log(2), accounts) * DAY_US
    moved = (us >= world.release_us + after[who]) & (rng.random(len(us)) < what.moved_share)
    if what.model == "large":
        return pc.if_else(pa.array(moved), "large-2", "large-1")
    return pa.array([f"{what.model}-1"] * len(us), pa.string())


def _outcome(
    what: What, text: pa.StringArray, turn: NDArray[np.intp], limit: pa.Int64Array, blocked: NDArray[np.bool_],
    trace: Trace | None, rng: np.random.Generator,
) -> dict[str, pa.Array]:  # fmt: skip
    """Tokens, status and how the answer ended; what failed has no tokens out."""
    n = len(turn)
    own = np.asarray(pc.utf8_length(text)) // _CHARACTERS_A_TOKEN
    input_tokens = own + (what.context_tokens * rng.lognormal(0, 0.6, n)).astype(np.int64) + turn * _HISTORY_TOKENS
    output = np.maximum(what.output_tokens * rng.lognormal(0, what.output_spread, n), 1).astype(np.int64)
    if trace is not None:
        row = trace.tokens[rng.integers(len(trace.tokens), size=n)]
        input_tokens, output = np.maximum(input_tokens, row[:, 0]), row[:, 1]
    most = np.asarray(pc.fill_null(limit, 1 << 20))
    luck = rng.random(n)
    status = np.where(luck < what.limited, 429, np.where(luck < what.limited + _FAILED, 500, 200))
    status = np.where(blocked, 403, status)
    good = status == 200
    ended = pc.if_else(pa.array(output >= most), "length", "stop")
    return {
        "input_tokens": pa.array(input_tokens), "output_tokens": pa.array(np.where(good, np.minimum(output, most), 0)),
        "status": pa.array(status), "finish_reason": pc.if_else(pa.array(good), ended, None),
    }  # fmt: skip
