"""Distributions for answers that are there already: the teacher reads them and its signals are stored beside them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from potstill.collect.recording import StoredSignals, bind, encode, join, stream
from potstill.errors import RecipeError, TermsStopped
from potstill.models.local import LocalModel
from potstill.models.prefix import answer_states
from potstill.objectives.head import chunk_positions
from potstill.objectives.transform import logit_transform
from potstill.progress import Reporter
from potstill.records import Clearance, content_hash
from potstill.rendering import Example
from potstill.store.journal import request_seed
from potstill.store.signals import SUFFIX, Binding, Signals, intact, keep_only, store_shard

_SEQUENCES_A_SHARD = 1024


def score_answers(
    teacher: LocalModel, clearance: Clearance, examples: Mapping[str, Example], signals: StoredSignals, folder: Path,
    reporter: Reporter, *, seed: int = 0, temperature: float = 1.0, tokens_per_batch: int = 8192,
) -> Binding:  # fmt: skip
    """Store the teacher's distribution at every answer position of `examples`, by key, in shards under `folder`.

    One forward pass over given tokens, at most `tokens_per_batch` padded ones at a time; logits exist for a chunk of
    positions only. `temperature` divides the logits before the softmax. Kept shards of a killed call are not made
    again; the folder ends up with what these examples need and nothing else. Read it with
    `SignalStore(folder, binding, {key: content_hash(list(example.tokens))})`; the binding is what is returned.

    Raises TermsStopped without a Clearance, RecipeError where a sequence is over the teacher's context or holds a token
    that it does not know.
    """
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    binding = bind(signals, teacher, temperature)
    _refuse_foreign(examples, teacher, binding.vocabulary)
    ordered = sorted(
        examples, key=lambda key: (len(examples[key].tokens), key)
    )  # like lengths together: little padding
    shards = []
    with reporter.meter("scoring", len(ordered), "answers") as meter:
        for start in range(0, len(ordered), _SEQUENCES_A_SHARD):
            keys = ordered[start : start + _SEQUENCES_A_SHARD]
            hashes = [content_hash(list(examples[key].tokens)) for key in keys]
            name = content_hash([keys, hashes, seed, temperature, signals.model_dump(mode="json")])[:12]
            path = folder / f"{start // _SEQUENCES_A_SHARD:05d}-{name}{SUFFIX}"
            shards.append(path)
            if not intact(path):
                scored = _score(teacher, [examples[key] for key in keys], keys, seed, binding, tokens_per_batch)
                store_shard(path, binding, dict(zip(keys, zip(hashes, scored, strict=True), strict=True)))
            meter.advance(len(keys))
    folder.mkdir(parents=True, exist_ok=True)
    keep_only(folder, shards, teacher.identity.reference, teacher.identity.revision)
    return binding


def _refuse_foreign(examples: Mapping[str, Example], teacher: LocalModel, vocabulary: int) -> None:
    limit = teacher.context_tokens
    for key, one in examples.items():
        if limit is not None and len(one.tokens) > limit:
            raise RecipeError(
                f"answer {key[:12]}: takes {len(one.tokens)} tokens, over the teacher's context of {limit}"
            )
        if not one.prompt_length or max(one.tokens) >= vocabulary:
            raise RecipeError(
                f"answer {key[:12]}: needs a prompt and tokens below {vocabulary}; render it with the teacher's own "
                "tokenizer"
            )


def _batches(examples: Sequence[Example], budget: int) -> Iterator[slice]:
    """Runs of examples whose padded size stays within a budget of tokens; they come in the order of their lengths."""
    start = 0
    for at, one in enumerate(examples):
        if at > start and len(one.tokens) * (at - start + 1) > budget:
            yield slice(start, at)
            start = at
    if examples:
        yield slice(start, len(examples))


@torch.inference_mode()
def _score(
    teacher: LocalModel, examples: Sequence[Example], keys: Sequence[str], seed: int, binding: Binding, budget: int
) -> list[Signals]:
    head, shape = teacher.network.get_output_embeddings(), logit_transform(teacher.network.config)
    pad = teacher.tokenizer.pad_token_id or 0
    chunk = chunk_positions(head.weight.shape[0])
    answers: list[Signals] = []
    for few in _batches(examples, budget):
        batch = examples[few]
        lengths = [one.answer_length for one in batch]
        states = answer_states(
            teacher.network, [one.tokens for one in batch], [one.prompt_length for one in batch], pad
        )
        uniform = torch.cat(
            [
                torch.rand(length, generator=stream(request_seed(seed, key, 0)), dtype=torch.float64)
                for key, length in zip(keys[few], lengths, strict=True)
            ]
        )
        parts = [
            encode(shape(head(states[low : low + chunk]).float()), uniform[low : low + chunk], binding)
            for low in range(0, len(states), chunk)
        ]
        found = join(parts)
        answers += [found.select(positions) for positions in torch.split(torch.arange(len(states)), lengths)]
    return answers
