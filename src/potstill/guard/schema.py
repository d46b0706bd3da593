"""The canonical event: one request to a model's API and what came back, every field nullable, as an Arrow schema."""

from typing import Final

import pyarrow as pa

VERSION: Final = 1  # of the schema; a store says which one it was written with

_TIME: Final = pa.timestamp("us", tz="UTC")
SCHEMA: Final = pa.schema(
    [
        ("time", _TIME),  # when the request came in
        ("account", pa.string()),
        ("organization", pa.string()),
        ("plan", pa.string()),
        ("key", pa.string()),  # the API key
        ("payment", pa.string()),  # what the account pays with: a card's or a wallet's token
        ("signup_time", _TIME),
        ("address_prefix", pa.string()),  # the /24 of an IPv4 address, the /48 of an IPv6 one
        ("network", pa.string()),  # the autonomous system
        ("client", pa.string()),  # the user agent
        ("tls_fingerprint", pa.string()),
        ("model", pa.string()),
        ("endpoint", pa.string()),
        ("temperature", pa.float64()),
        ("max_tokens", pa.int64()),
        ("n", pa.int64()),  # answers asked for in one request
        ("logprobs", pa.bool_()),  # whether log-probabilities were asked for
        ("logit_bias", pa.bool_()),  # whether a bias was given
        ("stream", pa.bool_()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("status", pa.int64()),  # of HTTP
        ("conversation", pa.string()),
        ("prompt", pa.string()),  # the last message of the user
        ("system_prompt", pa.string()),
        ("answer", pa.string()),  # the first one
        ("finish_reason", pa.string()),
    ]
)
FIELDS: Final[tuple[str, ...]] = tuple(SCHEMA.names)

# What may tell who somebody is, or link one account to another: never stored as it came.
IDENTIFIERS: Final = (
    "account", "organization", "key", "payment", "address_prefix", "network", "client", "tls_fingerprint",
    "conversation",
)  # fmt: skip
TEXTS: Final = ("prompt", "system_prompt", "answer")  # what metadata-only mode drops

TIMES: Final = ("time", "signup_time")
COUNTS: Final = ("max_tokens", "n", "input_tokens", "output_tokens", "status")
SWITCHES: Final = ("logprobs", "logit_bias", "stream")
LABELS: Final = ("plan", "model", "endpoint", "finish_reason")  # stored as they came
