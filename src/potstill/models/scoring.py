"""A served model that scores: log-probabilities of given tokens, from vLLM's `prompt_logprobs`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill import config
from potstill.models.chat_completion import read_usage
from potstill.models.client import Client, Fatal, Permanent
from potstill.records import content_hash

# What a decoder writes for the bytes of half a character; which tokens show it depends on the text around them.
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_OUTPUT_TOKENS = 1  # servers generate at least one token

# The texts that a token may have, by its id: as the student's tokenizer decodes it, and as its vocabulary spells it.
Spellings = Callable[[int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Scored:
    """Log p of each answer token, in nats, and the tokens that the request took."""

    log_p: tuple[float, ...]
    input_tokens: int
    cached_tokens: int
    output_tokens: int


def scoring_body(section: config.Endpoint, tokens: Sequence[int]) -> dict[str, Any]:
    """The body of a completion that scores its prompt, given as token ids: vLLM's form.

    One alternative a position is asked for and not read: some servers take 0 for "none at all". The salt keeps servers
    from answering out of a cache of states, which holds no log-probabilities. `extra_body` goes with it as with every
    request; `token_limit_field` does not, since completions know `max_tokens` only.
    """
    body = {
        "model": section.model, "prompt": list(tokens), "max_tokens": _OUTPUT_TOKENS, "temperature": 0,
        "prompt_logprobs": 1, "cache_salt": content_hash(list(tokens)),
    }  # fmt: skip
    extra = section.extra_body
    return {name: value for name, value in (dict(extra) | body).items() if extra.get(name, value) is not None}


async def score(
    client: Client, section: config.Endpoint, tokens: Sequence[int], prompt_length: int, spell: Spellings
) -> Scored:
    """Have a server score `tokens[prompt_length:]` given what stands before each; `prompt_length` is at least 1.

    Raises Retry or Permanent as `Client.post`, and Fatal also for a server that cannot score, or has other tokens.
    """
    try:
        data = await client.post("completions", scoring_body(section, tokens))
    except Permanent as error:
        if "prompt_logprobs" in str(error):
            raise Fatal(f"{client.where}: takes no prompt_logprobs ({error}); {_SERVE}") from None
        raise
    try:
        entries = prompt_entries(data, tokens)
        check_spelling(entries, tokens, spell)
        log_p = [_log_p(entry, at, tokens[at]) for at, entry in enumerate(entries)][prompt_length:]
    except ValueError as error:
        raise Fatal(f"{client.where}: {error}") from None
    usage = read_usage(data)
    return Scored(
        tuple(log_p), usage["input_tokens"] or len(tokens), usage["cached_tokens"] or 0,
        _OUTPUT_TOKENS if usage["output_tokens"] is None else usage["output_tokens"],
    )  # fmt: skip


_SERVE = "serve the teacher with vLLM, whose completions score their prompt"


def prompt_entries(data: Any, tokens: Sequence[int]) -> list[Any]:
    """One entry a token of the prompt, the first of them null. Raises ValueError in words for anything else."""
    choices = data.get("choices") if isinstance(data, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    entries = choice.get("prompt_logprobs") if isinstance(choice, Mapping) else None
    if not isinstance(entries, list):
        raise ValueError(f"gives no prompt_logprobs, so it cannot score; {_SERVE}")
    if len(entries) != len(tokens):
        raise ValueError(
            f"gives prompt_logprobs for {len(entries)} tokens where {len(tokens)} were sent; its model must take "
            "token ids as they are, and nothing in between may add or cut tokens"
        )
    return entries


def check_spelling(entries: Sequence[Any], tokens: Sequence[int], spell: Spellings) -> None:
    """Compare the texts that the server knows the tokens by with the student's; half characters prove nothing.

    Raises ValueError in words where they differ: the ids then mean something else there.
    """
    for token, entry in zip(tokens, entries, strict=True):
        one = entry.get(str(token)) if isinstance(entry, Mapping) else None
        theirs = one.get("decoded_token") if isinstance(one, Mapping) else None
        if not isinstance(theirs, str) or not theirs.strip() or _REPLACEMENT in theirs:
            continue
        ours = spell(token)
        if any(_REPLACEMENT in text for text in ours) or theirs.strip() in {text.strip() for text in ours}:
            continue
        raise ValueError(
            f"token {token} is {theirs!r} there and {ours[0]!r} in the student's tokenizer; a served teacher can only "
            "score what a student with its own tokenizer writes, so take such a student"
        )


def _log_p(entry: Any, at: int, token: int) -> float:
    if at == 0:
        return 0.0  # nothing stands before it, so servers give null
    one = entry.get(str(token)) if isinstance(entry, Mapping) else None
    value = one.get("logprob") if isinstance(one, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(
            f"prompt_logprobs has no log-probability for token {token} at position {at}; {_SERVE}, a release that "
            "gives the prompt's own tokens"
        )
    return min(float(value), 0.0)
