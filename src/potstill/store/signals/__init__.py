"""Teacher distributions on disk: an unbiased forward-KL gradient, or exact top-K, at a few bytes a position."""

from potstill.store.signals.encode import encode_sampled, encode_top_k
from potstill.store.signals.folder import intact, keep_only, store_shard
from potstill.store.signals.records import (
    Binding,
    Kind,
    Samples,
    Signals,
    TopK,
    join_samples,
    join_top_k,
    tokenizer_hash,
)
from potstill.store.signals.shard import FORMAT_VERSION, SUFFIX, Shard, write_shard
from potstill.store.signals.store import SignalStore

__all__ = [
    "FORMAT_VERSION",
    "SUFFIX",
    "Binding",
    "Kind",
    "Samples",
    "Shard",
    "SignalStore",
    "Signals",
    "TopK",
    "encode_sampled",
    "encode_top_k",
    "intact",
    "join_samples",
    "join_top_k",
    "keep_only",
    "store_shard",
    "tokenizer_hash",
    "write_shard",
]
