"""A served model that samples: answers to token prompts, with the log-probability that each token was drawn at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.models.client import Client, Fatal

_TOKEN_ID = "token_id:"  # how servers spell a token that they were asked to give as its id


@dataclass(frozen=True, slots=True)
class Drawn:
    """One answer: its tokens, the end token included where the model ended by itself, and log q of each in nats."""

    tokens: tuple[int, ...]
    log_q: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """One answer to be drawn. `version` tells the weights apart, so that no cached state of others is used."""

    prompt: Sequence[int]
    max_new_tokens: int
    temperature: float
    seed: int
    end: int
    version: str


def drawing_body(model: str, draw: Draw) -> dict[str, Any]:
    """The body of a completion in vLLM's form. Everything that a server's defaults could change is spelled out."""
    return {
        "model": model, "prompt": list(draw.prompt), "max_tokens": draw.max_new_tokens, "seed": draw.seed,
        "temperature": draw.temperature, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0,
        "presence_penalty": 0.0, "frequency_penalty": 0.0, "stop_token_ids": [draw.end], "logprobs": 1,
        "return_token_ids": True, "return_tokens_as_token_ids": True, "cache_salt": draw.version,
    }  # fmt: skip


async def draw_answer(client: Client, model: str, draw: Draw) -> Drawn:
    """Have a server sample one answer. Raises Retry or Permanent as `Client.post`, Fatal for a reply without tokens."""
    data = await client.post("completions", drawing_body(model, draw))
    try:
        return read_drawn(data)
    except ValueError as error:
        raise Fatal(f"{client.where}: {error}") from None


def read_drawn(data: Any) -> Drawn:
    """The answer in a server's decoded JSON. Raises ValueError in words where its ids or log-probabilities are not."""
    choices = data.get("choices") if isinstance(data, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    logprobs = choice.get("logprobs")
    given = logprobs if isinstance(logprobs, Mapping) else {}
    tokens = choice.get("token_ids") or [_spelled_id(text) for text in given.get("tokens") or []]
    if not tokens or not all(isinstance(one, int) and one >= 0 for one in tokens):
        raise ValueError("gives no token ids with its answer; serve the student with vLLM, which has return_token_ids")
    values = given.get("token_logprobs") or []
    numbers = [one for one in values if isinstance(one, int | float) and math.isfinite(one)]
    if len(numbers) != len(tokens) or len(values) != len(tokens):
        raise ValueError(
            f"gives {len(numbers)} log-probabilities for {len(tokens)} tokens; serve the student with vLLM, which has "
            "logprobs in completions"
        )
    return Drawn(tuple(tokens), tuple(min(float(one), 0.0) for one in numbers))


def _spelled_id(text: Any) -> int | None:
    number = text.removeprefix(_TOKEN_ID) if isinstance(text, str) and text.startswith(_TOKEN_ID) else ""
    return int(number) if number.isdecimal() else None
