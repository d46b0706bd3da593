"""An OpenAI-compatible server as a model that answers conversations, and what its answers cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from potstill import config
from potstill.models.chat_completion import error_in, in_words, read_reply
from potstill.models.client import TEACHER, Client, Fatal, Permanent, Retry
from potstill.models.route import Route
from potstill.records import Message, ModelIdentity, Reply, canonical_json

_TOKENS_A_MESSAGE = 16  # the most that a chat template adds around one message


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn. `top_logprobs` asks for the k most likely tokens at each position; 0 for none."""

    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """What the answer to a request may be made of."""

    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    response_format: Mapping[str, Any] | None = None


class Answers(Protocol):
    """Whatever can stand where an endpoint stands."""

    identity: ModelIdentity

    async def ask(self, body: Mapping[str, Any], spelled: bytes | None = None) -> tuple[Reply, str]:
        """Answer one request body, which may be `spelled` as JSON; returns the reply and the JSON it was read from."""


def request_body(
    section: config.Endpoint, messages: Sequence[Message], sampling: Sampling, form: Form | None = None
) -> dict[str, Any]:
    """The body of a chat completion. Everything is spelled out, because servers differ in their defaults.

    Whatever role its model plays, a server gets the fields that its section of the recipe asks for: its name for the
    token limit, and `extra_body`, where a None leaves out a field that it refuses.
    """
    form = form or Form()
    body: dict[str, Any] = {
        "model": section.model,
        "messages": [message.plain for message in messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        section.token_limit_field: sampling.max_new_tokens,
        "seed": sampling.seed,
    }
    if sampling.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
    if form.tools:
        body["tools"] = [dict(tool) for tool in form.tools]
        if form.tool_choice is not None:
            body["tool_choice"] = form.tool_choice
    if form.response_format is not None:
        body["response_format"] = form.response_format
    return {name: value for name, value in (body | dict(section.extra_body)).items() if value is not None}


def token_limit(body: Mapping[str, Any]) -> int:
    """The most tokens that a request lets its answer have."""
    return int(body["max_tokens"] if "max_tokens" in body else body["max_completion_tokens"])


def cost_usd(reply: Reply, prices: config.Prices | None) -> float | None:
    """What a reply cost in US dollars, or None where its tokens or the prices are unknown.

    Output tokens include reasoning, as servers count them.
    """
    if prices is None or reply.input_tokens is None or reply.output_tokens is None:
        return None
    return tokens_usd(reply.input_tokens, reply.cached_tokens or 0, reply.output_tokens, prices)


def tokens_usd(input_tokens: int, cached_tokens: int, output_tokens: int, prices: config.Prices | None) -> float:
    """US dollars for tokens, 0 without prices. Cached input costs as other input where it has no price."""
    if prices is None:
        return 0.0
    cached = min(cached_tokens, input_tokens)
    cached_price = prices.input if prices.cached_input is None else prices.cached_input
    fresh = input_tokens - cached
    return (fresh * prices.input + cached * cached_price + output_tokens * prices.output) / 1e6


def most_usd(body: Mapping[str, Any], prices: config.Prices | None) -> float:
    """The most that one request can cost: no tokenizer makes more tokens of a text than it has bytes."""
    if prices is None:
        return 0.0
    parts = [
        *body["messages"],
        *body.get("tools", ()),
        *([body["response_format"]] if "response_format" in body else ()),
    ]
    input_tokens = sum(len(canonical_json(one).encode()) + _TOKENS_A_MESSAGE for one in parts)
    return (input_tokens * prices.input + token_limit(body) * prices.output) / 1e6


class Endpoint:
    """One route of chat completions: a base URL, a model and a key. Use it in an `async with`; see `Client`."""

    def __init__(self, section: config.Endpoint, field: str = TEACHER, *, route: Route | None = None) -> None:
        self._section, self._field = section, field
        self._client = Client(section, field, route=route)
        self.identity = ModelIdentity(section.model, "endpoint", section.model, self._client.host)

    def __repr__(self) -> str:
        return f"Endpoint({self._section.base_url}, {self._section.model})"

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.__aexit__(*exc)

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """Answer one conversation. Raises Retry, Permanent or Fatal."""
        return (await self.ask(request_body(self._section, messages, sampling)))[0]

    async def ask(self, body: Mapping[str, Any], spelled: bytes | None = None) -> tuple[Reply, str]:
        """Send one request body as it stands; returns the reply and the server's JSON without its log-probabilities.

        `spelled` is the body as JSON, where the caller has it already. Raises Retry, Permanent or Fatal.
        """
        try:
            data, text = await self._client.exchange("chat/completions", spelled or body)
        except Permanent as error:
            if "max_completion_tokens" in body or "max_completion_tokens" not in str(error):
                raise
            raise Fatal(
                f"{self._client.where}: {error}; set {self._field}.token_limit_field: max_completion_tokens"
            ) from None
        reply, raw = read_reply(data, text)
        if reply is None:
            raise Retry(f"no answer in the reply: {error_in(data)[1] or in_words(json.dumps(data))}")
        return reply, raw
