"""The teacher's answers to a pilot: a few prompts ahead of a run, as its journal has them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from potstill.records import Prompt, Reply
from potstill.store.journal import Journal

PILOT = "pilot"  # in the run folder: the journal of a local teacher's answers to a pilot


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt and the teacher's usable answers to it, first and second; None for one that cannot be used."""

    prompt: Prompt
    first: Reply | None
    second: Reply | None


@dataclass(frozen=True, slots=True)
class PilotAnswers:
    """What the teacher said, and what its answers took."""

    asked: Sequence[Asked]
    usage: Sequence[tuple[int, int, int]]  # input, cached and output tokens, of the answers that tell
    files: tuple[str, ...]  # of the run folder, that hold nothing but the pilot's answers


def read_asked(journal: Journal, prompts: Sequence[Prompt], uses: Collection[str]) -> list[Asked]:
    """Each prompt's first two answers, as far as their use is among `uses`."""
    replies = {(row.prompt_hash, row.sample): row.reply for row in journal.answers() if row.use in uses}
    return [Asked(one, replies.get((one.hash, 0)), replies.get((one.hash, 1))) for one in prompts]


def read_usage(journal: Journal) -> list[tuple[int, int, int]]:
    """Input, cached and output tokens of each answer that tells them."""
    replies = [row.reply for row in journal.answers() if row.reply is not None]
    return [
        (one.input_tokens, one.cached_tokens or 0, one.output_tokens)
        for one in replies
        if one.input_tokens is not None and one.output_tokens is not None
    ]
