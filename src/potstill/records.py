"""Frozen records that the rooms hand each other; plain data, so that every room can be tested without the others."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Split = Literal["train", "holdout"]
Verdict = Literal["allowed", "conditional", "prohibited_if_competing", "prohibited", "unknown"]


# One encoder for all calls: json.dumps makes another for every value that is not spelled its own way.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces, UTF-8 kept; what every hash in Potstill is taken of."""
    return _CANONICAL.encode(value)


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; role is "system", "user", "assistant" or "tool".

    An assistant's turn may call tools, in the form of chat completions (arguments are JSON text); a tool's turn says
    which of these calls it answers.
    """

    role: str
    content: str
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it: role and content alone where there are no tools, so that hashes of old prompts hold."""
        turn: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            turn["tool_calls"] = [dict(call) for call in self.tool_calls]
        return turn | ({} if self.tool_call_id is None else {"tool_call_id": self.tool_call_id})

    @classmethod
    def read(cls, turn: Mapping[str, Any]) -> "Message":
        """The turn that `plain` gave."""
        return cls(turn["role"], turn["content"], tuple(turn.get("tool_calls", ())), turn.get("tool_call_id"))


@dataclass(frozen=True, slots=True)
class Grown:
    """Where a prompt comes from that a model wrote: who, the request's key in its journal, and the prompts shown."""

    model: str
    request: str
    parents: tuple[str, ...]  # hashes of prompts


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that waits for an answer. `hash` is that of its messages, and of the row's own tools if any."""

    messages: tuple[Message, ...]
    split: Split
    source: str  # file and line, or another place that a person can open
    hash: str
    tag: str | None = None  # what teachers may be chosen by; no part of the hash
    tools: tuple[Mapping[str, Any], ...] = ()  # that the answer may call: the row's own, else the recipe's
    grown: Grown | None = None  # None: it stands in the source


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model answered: what the recipe called it, and what pins it down."""

    reference: str  # as in the recipe, or the model's name at an endpoint
    kind: Literal["local", "endpoint"]
    revision: str  # sha256 of the weights for a local model; the served model's name for an endpoint
    host: str | None = None  # of an endpoint, without credentials


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model gave back for one request; token counts are None where the server does not say."""

    text: str
    finish_reason: str  # "stop", "length", "content_filter", …, as the server words it
    reasoning: str = ""
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    served_model: str | None = None
    # Per answer token: {"token": str, "logprob": nats, "top": [[token, logprob], …], "tail": the probability of all
    # tokens that are not in "top"}; empty where there are none.
    top_logprobs: tuple[Mapping[str, Any], ...] = ()
    # As the server gave them: {"id", "type": "function", "function": {"name", "arguments": JSON text}}.
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Clearance:
    """The terms gate's permission to ask this teacher. Only `terms` makes one; `collect` refuses to work without."""

    verdict: Verdict
    rule: str
    document: str
    section: str
    version_or_date: str
    teacher: str
    obligations: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JudgeReplies:
    """What one judge said to questions, in their order; where there is a problem the text is no answer, if any."""

    texts: tuple[str | None, ...]
    problems: tuple[str, ...]  # such as truncated; empty for a reply that came whole
    facts: Mapping[str, Any]  # what asking took: requests, input_tokens, output_tokens, cost_usd (None: unknown)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure with its 95 % interval; low and high are None where no interval can be given."""

    value: float
    low: float | None
    high: float | None
    n: int  # independent cases behind it (prompts, or alternating timings)
    unit: str


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage leaves: files under the run folder that its marker hashes, and facts for the ledger."""

    outputs: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


Progress = Literal["done", "stale", "running", "stopped", "not started"]


@dataclass(frozen=True, slots=True)
class StageState:
    """How far one stage of a run is, as of now."""

    name: str
    state: Progress
    words: str  # the state with when and how long, or why not
    progress: tuple[str, ...] = ()  # of what is half done
