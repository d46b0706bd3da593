"""Puts what a batch's output and error files say into the journal, each line under the request that it answers."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from potstill.collect.batch_lines import Line, LineFault, custom_id, read_line
from potstill.collect.screen import usable
from potstill.config import Prices
from potstill.errors import PotstillError
from potstill.models.http import cost_usd
from potstill.records import content_hash
from potstill.store.journal import Failure, Finish, Journal

_LINES_A_COMMIT = 500
_CAUSES_NAMED = 3


@dataclass(slots=True)
class Tally:
    """What the lines of a batch were."""

    answered: int = 0
    foreign: int = 0  # lines whose custom_id is none of this batch's
    repeated: int = 0  # further lines for a request that has its outcome
    unreadable: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # the words of what was refused or failed
    # Requests that are worth another try, with the words of what failed; "" where the provider never began.
    again: dict[str, str] = field(default_factory=dict)
    settled: dict[str, bool] = field(default_factory=dict)  # whether with an answer

    def in_words(self, otherwise: str = "") -> str:
        """One line: how many were answered, why others failed (`otherwise` where no line says), what was odd."""
        parts = [f"{self.answered:,} answered"]
        if failed := sum(self.failures.values()):
            causes = self.failures.most_common(_CAUSES_NAMED)
            parts.append(f"{failed:,} failed ({'; '.join(f'{number:,} × {words}' for words, number in causes)})")
        elif otherwise:
            parts.append(otherwise)
        kinds = (
            (sum(not words for words in self.again.values()), "requests not begun in time"),
            (self.foreign, "lines with an id that was not asked"),
            (self.repeated, "lines for a request that has its outcome"),
            (self.unreadable, "lines that cannot be read"),
        )
        return ", ".join([*parts, *(f"{number:,} {what}" for number, what in kinds if number)])


def by_custom_id(contents: Mapping[str, str], origin: str) -> dict[str, str]:
    """The keys of requests by their name in a batch, each request checked against its key.

    Raises PotstillError where a request is not what its key is the hash of: answers would go under the wrong one.
    """
    for key, content in contents.items():
        if content_hash(json.loads(content)) != key:
            raise PotstillError(
                f"{origin}: request {key[:12]} was changed in the journal; its answer belongs to no row"
            )
    names = {custom_id(key): key for key in contents}
    if len(names) < len(contents):
        raise PotstillError(f"{origin}: two requests have keys that begin alike; ask them online")
    return names


def settle_lines(
    lines: Iterable[str], find: Callable[[str], str | None], journal: Journal, prices: Prices | None, tally: Tally
) -> Iterator[tuple[int, float]]:
    """Keep what the lines say, some hundred at a time; yields how many rows were settled, and their known cost.

    `find` gives the key of a request by its name in the batch. In whatever order the lines come, an answer counts more
    than a failure of the same request, and the first answer most.
    """
    waiting = iter(lines)
    while group := list(islice(waiting, _LINES_A_COMMIT)):
        outcomes: list[Finish | Failure] = []
        for line in _parsed(group, tally):
            key = find(line.custom_id)
            if key is None:
                tally.foreign += 1
            elif key in tally.settled and (tally.settled[key] or line.outcome != "answered"):
                tally.repeated += 1
            elif (outcome := _outcome(key, line, prices, tally)) is not None:
                tally.settled[key] = isinstance(outcome, Finish)
                outcomes.append(outcome)
        journal.settle(outcomes)
        yield len(outcomes), sum(one.cost_usd or 0.0 for one in outcomes if isinstance(one, Finish))


def _parsed(texts: Iterable[str], tally: Tally) -> Iterator[Line]:
    for text in texts:
        if not text.strip():
            continue
        try:
            yield read_line(text)
        except LineFault:
            tally.unreadable += 1


def _outcome(key: str, line: Line, prices: Prices | None, tally: Tally) -> Finish | Failure | None:
    if line.outcome == "answered" and line.reply is not None:
        tally.answered += 1
        tally.again.pop(key, None)
        return Finish(key, line.reply, usable(line.reply), line.raw, cost_usd(line.reply, prices))
    if line.outcome != "unfinished":
        tally.failures[line.words] += 1
    if line.outcome == "refused":
        tally.again.pop(key, None)
        return Failure(key, line.words)
    tally.again[key] = "" if line.outcome == "unfinished" else line.words
    return None
