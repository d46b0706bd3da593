"""Which kinds of evidence there are, which fields of the event each needs, and so which a store cannot give."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from potstill.guard.schema import TEXTS


@dataclass(frozen=True, slots=True)
class Need:
    """What one kind of evidence reads, and what it would show."""

    fields: tuple[str, ...]
    shows: str


KINDS: Final[Mapping[str, Need]] = {
    "templates": Need(("account", "prompt"), "accounts that fill the same templates"),
    "near_duplicates": Need(("account", "prompt"), "accounts that send nearly the same prompts"),
    "phrasing": Need(("account", "prompt"), "prompts that ask for reasoning, rubrics or system prompts"),
    "one_shot": Need(("account", "prompt"), "prompts that are never sent twice"),
    "single_turn": Need(("account", "conversation"), "conversations of one request"),
    "hours": Need(("account", "time"), "use around the clock"),
    "ramp": Need(("account", "time"), "new accounts that go straight to their maximum"),
    "coactivation": Need(("account", "time"), "accounts that are active in the same minutes"),
    "failover": Need(("account", "time", "status"), "accounts that begin when another one is shut out"),
    "release": Need(("account", "time", "model"), "use that moves to a new model within a day"),
    "plan_use": Need(("account", "time", "plan"), "use out of proportion to the plan"),
    "lengths": Need(("account", "input_tokens", "output_tokens"), "short questions with long answers"),
    "saturation": Need(("account", "max_tokens", "output_tokens"), "answers that use up max_tokens"),
    "logprobs": Need(("account", "logprobs"), "requests for log-probabilities, with a logit bias or without"),
    "payment": Need(("account", "payment"), "accounts that share a payment"),
    "key": Need(("account", "key"), "accounts that share an API key"),
    "address": Need(("account", "address_prefix"), "accounts from one range of addresses"),
    "network": Need(("account", "network"), "accounts from one network"),
    "client": Need(("account", "client"), "accounts with one client"),
    "tls": Need(("account", "tls_fingerprint"), "accounts with one TLS fingerprint"),
    "signup": Need(("account", "signup_time"), "accounts that were made within minutes of each other"),
}


@dataclass(frozen=True, slots=True)
class Gap:
    """A kind of evidence that a store cannot give, and why."""

    kind: str
    missing: tuple[str, ...]  # fields that no event has
    shows: str  # what goes unseen


def missing_evidence(present: Mapping[str, int], metadata_only: bool = False) -> tuple[Gap, ...]:
    """The kinds of evidence that are missing where only these fields are present (field -> events that have it).

    `metadata_only` says what would be missing if texts were dropped too.
    """
    there = {name for name, count in present.items() if count and not (metadata_only and name in TEXTS)}
    gaps = (
        (kind, tuple(name for name in need.fields if name not in there), need.shows) for kind, need in KINDS.items()
    )
    return tuple(Gap(kind, missing, shows) for kind, missing, shows in gaps if missing)
