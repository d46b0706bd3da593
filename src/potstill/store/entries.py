"""What goes into the journal and comes out: requests, answers, failures, rows; and how each is spelled in SQL."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from potstill.records import Prompt, Reply, Split, canonical_json, content_hash

State = Literal["pending", "sent", "done", "error"]
Use = Literal["ok", "truncated", "empty", "refused", "filtered", "reasoning_only", "malformed"]

# What a reader of rows selects, in the order that `read_row` expects, before top_logprobs.
COLUMNS = (
    "key, prompt_hash, sample, split, state, attempts, request, use, error, text, reasoning, finish_reason, "
    "input_tokens, cached_tokens, output_tokens, reasoning_tokens, served_model, cost_usd, seconds, finished_s, "
    "tool_calls"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a teacher. `content` is the canonical JSON of everything that can change its answer."""

    key: str  # sha256 of `content`
    prompt_hash: str
    sample: int
    split: Split
    content: str


def make_request(prompt: Prompt, sample: int, body: Mapping[str, Any], base_url: str | None = None) -> Request:
    """The request for one sample of a prompt. `body` is sent as it stands: model, messages, sampling, seed, tools.

    `base_url` is the endpoint's, None for local weights (then `body["model"]` pins their revision).
    """
    content = {"base_url": base_url, "body": body, "sample": sample}
    return Request(content_hash(content), prompt.hash, sample, prompt.split, canonical_json(content))


def request_seed(seed: int, prompt_hash: str, sample: int) -> int:
    """A request's own seed, below 2**31 as servers want it: it does not depend on which other prompts there are."""
    digest = hashlib.sha256(f"{seed}:{prompt_hash}:{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 2**31


@dataclass(frozen=True, slots=True)
class Finish:
    """An answer for the request `key`. `cost_usd` is None where it is unknown; `raw` is the server's own JSON."""

    key: str
    reply: Reply
    use: Use
    raw: str | None = None
    cost_usd: float | None = None
    seconds: float | None = None
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer. Permanent ones are not asked again unless somebody says so."""

    key: str
    words: str
    permanent: bool = True
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row as readers see it; `reply` is None unless the state is "done"."""

    key: str
    prompt_hash: str
    sample: int
    split: Split
    state: State
    attempts: int
    request: Mapping[str, Any]  # {"base_url", "body", "sample"}
    use: Use | None
    error: str | None
    reply: Reply | None
    cost_usd: float | None
    seconds: float | None
    finished_s: float | None  # since the epoch


class Waiting(NamedTuple):
    """A request that is to be sent: no more than that takes, because there may be millions."""

    key: str
    body: Mapping[str, Any]
    spelled: bytes  # the body as JSON, ready to be sent


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of the wanted rows are in which state, and how many answers are of which use."""

    pending: int = 0
    sent: int = 0
    done: int = 0
    error: int = 0
    use: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All wanted rows."""
        return self.pending + self.sent + self.done + self.error


def finished_sql(one: Finish, now: float) -> tuple[str, Sequence[Any]]:
    """The statement that keeps an answer, and its values."""
    reply = one.reply
    logprobs = json.dumps([dict(token) for token in reply.top_logprobs]) if reply.top_logprobs else None
    calls = canonical_json(reply.tool_calls) if reply.tool_calls else None
    return (
        "UPDATE requests SET state = 'done', use = ?, text = ?, reasoning = ?, finish_reason = ?, input_tokens = ?, "
        "cached_tokens = ?, output_tokens = ?, reasoning_tokens = ?, served_model = ?, top_logprobs = ?, raw = ?, "
        "tool_calls = ?, "
        "cost_usd = ?, seconds = ?, attempts = attempts + ?, finished_s = ?, error = NULL, permanent = NULL "
        "WHERE key = ? AND state <> 'done'"
    ), (
        one.use, reply.text, reply.reasoning, reply.finish_reason, reply.input_tokens, reply.cached_tokens,
        reply.output_tokens, reply.reasoning_tokens, reply.served_model, logprobs, one.raw, calls, one.cost_usd,
        one.seconds, one.attempts, now, one.key,
    )  # fmt: skip


def failed_sql(one: Failure, now: float) -> tuple[str, Sequence[Any]]:
    """The statement that keeps a failure, and its values."""
    return (
        "UPDATE requests SET state = 'error', error = ?, permanent = ?, attempts = attempts + ?, finished_s = ? "
        "WHERE key = ? AND state <> 'done'"
    ), (one.words, int(one.permanent), one.attempts, now, one.key)


def read_row(values: Sequence[Any]) -> Row:
    """A Row from the values of `COLUMNS` and top_logprobs (NULL where it was not asked for)."""
    key, prompt_hash, sample, split, state, attempts, request, use, error, text, reasoning, finish_reason = values[:12]
    input_tokens, cached, output_tokens, thought, served, cost_usd, seconds, finished_s, calls, logprobs = values[12:]
    reply = None
    if state == "done":
        top = tuple(json.loads(logprobs)) if logprobs else ()
        reply = Reply(
            text, finish_reason, reasoning, input_tokens, cached, output_tokens, thought, served, top,
            tuple(json.loads(calls)) if calls else (),
        )  # fmt: skip
    return Row(
        key, prompt_hash, sample, split, state, attempts, json.loads(request), use, error, reply, cost_usd, seconds,
        finished_s,
    )  # fmt: skip
