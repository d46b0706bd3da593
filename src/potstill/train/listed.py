"""A server's token lists, as the journal keeps them, in the signal store: in the student's ids, one list a position."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from potstill.alignment import Agreement, Lists, Spelling, Wording, lists_of
from potstill.answers import Answer
from potstill.config import Recipe, TopKSignals
from potstill.errors import RecipeError
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import content_hash
from potstill.store.journal import Journal, Row
from potstill.store.signals import SUFFIX, Binding, TopK, intact, keep_only, store_shard, tokenizer_hash

_SEQUENCES_A_SHARD = 1024
# One tokenizer over its own text differs from what was sampled at a few positions in a thousand; two different ones at
# every tenth to third.
_SHARED = 0.95
_UNKNOWN = 0.02


class Stored(NamedTuple):
    """What the store of a server's lists holds, and the hash of it all."""

    sha256: str
    facts: Mapping[str, Any]


def store_lists(
    recipe: Recipe, signals: TopKSignals, folder: Path, student: LocalModel, answers: Sequence[Answer],
    reporter: Reporter,
) -> Stored:  # fmt: skip
    """Bring the lists of these answers from a run's journal to its signals/, bound to the student's tokenizer.

    Kept shards of a killed call are not made again. Raises RecipeError where the server sent no lists, or lists of
    other tokens than the student's: nothing compares a distribution over those with the student's token by token.
    """
    endpoint = recipe.teacher.endpoint
    if endpoint is None:
        raise RecipeError("collect.signals: lists come from a server; local weights store their own while they answer")
    k, tokenizer = signals.k, student.tokenizer
    revision = content_hash([endpoint.base_url, endpoint.model])
    binding = Binding(
        tokenizer_hash(tokenizer), revision, len(tokenizer), kind="top_k", k=k, bits=signals.stored_bits,
        reference=endpoint.model,
    )  # fmt: skip
    wording = Wording(Spelling(tokenizer))
    by_key = {answer.key: answer for answer in answers}
    home, names = folder / "signals", hashlib.sha256()
    shards: list[Path] = []
    agreement, listed = Agreement(), 0
    with (
        Journal(folder / "answers.sqlite", read_only=True) as journal,
        reporter.meter("reading token lists", len(answers), "answers") as meter,
    ):
        rows = (row for row in journal.answers(with_logprobs=True) if row.key in by_key)
        while few := list(islice(rows, _SEQUENCES_A_SHARD)):
            found: dict[str, tuple[str, TopK]] = {}
            for row, lists, agreed in _lists(few, by_key, wording, k):
                agreement += agreed
                listed += int((lists.tail < 1).sum())
                found[row.key] = (by_key[row.key].tokens_hash, TopK(*map(torch.from_numpy, lists)))
            name = _name(found, binding)
            names.update(name.encode())
            shards.append(home / f"{len(shards):05d}-{name[:12]}{SUFFIX}")
            if not intact(shards[-1]):
                store_shard(shards[-1], binding, found)
            meter.advance(len(few))
    _refuse_foreign(agreement, recipe)
    keep_only(home, shards, endpoint.model, revision)
    positions = sum(answer.example.answer_length for answer in answers)
    facts = {
        "positions": positions, "with_list": listed, "tokens_shared": agreement.shared / agreement.placed,
        "mass_of_unknown_tokens": agreement.unknown / agreement.listed if agreement.listed else 0.0,
        "k": k,
    }  # fmt: skip
    reporter.say(
        f"signals: {listed:,} of {positions:,} positions have the server's list of up to {k} tokens; "
        "the others take their own token"
    )
    return Stored(names.hexdigest(), facts)


def _lists(
    rows: Sequence[Row], by_key: Mapping[str, Answer], wording: Wording, k: int
) -> Iterator[tuple[Row, Lists, Agreement]]:
    for row in rows:
        example = by_key[row.key].example
        tokens = example.tokens[example.prompt_length :]
        reply = row.reply
        # What calls tools is written by the student's template, in which the server's tokens have no place.
        reported = reply.top_logprobs if reply is not None and not reply.tool_calls else ()
        yield (row, *lists_of(reported, reply.text if reply is not None else "", tokens, wording, k))


def _name(found: Mapping[str, tuple[str, TopK]], binding: Binding) -> str:
    digest = hashlib.sha256(content_hash([list(found), binding.tokenizer_sha256, binding.k, binding.bits]).encode())
    for tokens, lists in found.values():
        digest.update(tokens.encode())
        for column in (lists.ids, lists.log_probabilities, lists.tail):
            digest.update(column.numpy().tobytes())
    return digest.hexdigest()


def _refuse_foreign(agreement: Agreement, recipe: Recipe) -> None:
    instead = "or set train.objective to {kind: cross_entropy}, which learns from the text"
    if not agreement.placed:
        raise RecipeError(
            "collect.signals: no answer has log-probabilities that belong to its text; ask a server that reports "
            f"top_logprobs, {instead}"
        )
    shared = agreement.shared / agreement.placed
    unknown = agreement.unknown / agreement.listed if agreement.listed else 0.0
    if shared < _SHARED or unknown > _UNKNOWN:
        served = recipe.teacher.endpoint.model if recipe.teacher.endpoint else ""
        raise RecipeError(
            f"student: {shared:.0%} of the tokens of {served} are its own ({unknown:.1%} of the listed probability "
            "is on tokens that it does not have), so their distributions cannot be compared; take a student with the "
            f"server's tokenizer, {instead}"
        )
