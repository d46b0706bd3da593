"""Collects through a provider's batch API: submits files of requests, waits, and joins what comes back, across days."""

import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from potstill import config
from potstill.collect.batch_files import InputFile, Pile
from potstill.collect.batch_results import Tally, by_custom_id, settle_lines
from potstill.collect.batch_state import asked_again, gone, words_of
from potstill.errors import PotstillError
from potstill.models.batches import FINAL, BatchServer, BatchState
from potstill.models.client import Fatal, Permanent, Retry
from potstill.models.route import Sleep, backoff_s
from potstill.progress import Meter, Reporter
from potstill.store.batches import Batch, BatchLog
from potstill.store.journal import Failure, Journal
from potstill.store.scores import spent_usd

_FIRST_WAIT_S = 5.0
_SLOWER = 1.5  # each wait against the one before, until something happens
Given = TypeVar("Given")


async def collect_in_batches(
    recipe: config.Recipe, section: config.Endpoint, journal: Journal, reporter: Reporter, sleep: Sleep
) -> None:
    """Have every pending request answered through batches; those that an earlier call submitted are read first.

    Raises PotstillError where the server, the budget or the disk ends it early. Whatever is under way is written down:
    the same call goes on from there, days later too.
    """
    with BatchLog(journal.path) as log:
        log.hold()
        counts = journal.counts()
        waiting = counts.total - counts.done - counts.error
        if not waiting and not log.under_way(section.base_url):
            return
        title = f"asking {section.model} in batches"
        with reporter.meter(title, counts.total, "requests", done=counts.total - waiting) as meter:
            async with BatchServer(section) as server:
                await _Work(recipe, section, server, journal, log, reporter, meter, sleep).run()


def refuse_while_under_way(journal: Journal) -> None:
    """Raises PotstillError where batches hold requests that would be asked, and paid, twice."""
    with BatchLog(journal.path) as log:
        number = len(log.under_way())
    if number:
        raise PotstillError(
            f"{journal.path}: {number} {'batch is' if number == 1 else 'batches are'} under way; their answers are "
            "paid for, so go on with collect.mode: batch until they are read"
        )


class _Work:
    """One call's work on the batches of a run."""

    def __init__(
        self, recipe: config.Recipe, section: config.Endpoint, server: BatchServer, journal: Journal, log: BatchLog,
        reporter: Reporter, meter: Meter, sleep: Sleep,
    ) -> None:  # fmt: skip
        self._files, self._budget_usd = recipe.collect.batch, recipe.collect.budget_usd
        self._section, self._server, self._journal, self._log = section, server, journal, log
        self._judge_prices = recipe.judge_prices
        self._prices = section.price_per_million.in_batches if section.price_per_million else None
        self._say, self._meter, self._sleep = reporter.say, meter, sleep
        self._known_usd = journal.spent_usd()
        self._stopped: PotstillError | None = None  # once all batches under way have been looked at

    async def run(self) -> None:
        wait_s = min(_FIRST_WAIT_S, self._files.poll_s)
        while True:
            news = False
            for batch in self._log.under_way(self._section.base_url):
                news |= await self._advance(batch)
            if self._stopped is not None:
                raise self._stopped
            news |= await self._submit_more()
            if not self._log.under_way(self._section.base_url):
                if not self._journal.counts().pending:
                    return
                continue
            wait_s = min(_FIRST_WAIT_S if news else wait_s * _SLOWER, self._files.poll_s)
            await self._sleep(wait_s)

    async def _advance(self, batch: Batch) -> bool:
        """Take a batch one step further; whether anything happened."""
        if batch.state == "prepared":
            # Its file's id was never known, so that nothing can have been submitted with it.
            self._log.forget(batch)
            return True
        if batch.state == "uploaded":
            await self._submit(batch, maybe_there=True)
            return True
        batch_id = batch.batch_id or ""
        state = await self._persist(lambda: self._server.look(batch_id))
        news = state.status != batch.status
        batch = self._log.looked(batch, state.status, state.output_file_id, state.error_file_id)
        if state.status in FINAL:
            await self._read(batch, state)
        elif news:
            self._say(f"batch {batch_id}: {state.status}, {state.completed:,} of {state.total:,} requests done")
        return news

    async def _submit_more(self) -> bool:
        """Submit pending requests while the provider's and the budget's limits allow; whether any were."""
        pile = Pile(self._log.pending(), self._files, self._prices)
        submitted = False
        with tempfile.TemporaryDirectory(dir=self._journal.path.parent, prefix=".batch-") as scratch:
            while len(self._log.under_way(self._section.base_url)) < self._files.at_once:
                file = pile.fill(Path(scratch) / "input.jsonl", self._allowance())
                if file is None:
                    break
                await self._upload(file)
                submitted = True
        self._journal.settle(Failure(key, words) for key, words in pile.too_long)
        self._meter.advance(len(pile.too_long))
        next_usd = pile.next_usd()
        if next_usd is not None and not self._log.under_way(self._section.base_url):
            raise PotstillError(self._budget_words(next_usd))
        return submitted

    async def _upload(self, file: InputFile) -> None:
        """Write a batch down, upload its file, submit it: a kill between any two steps never submits it twice."""
        tag = uuid.uuid4().hex
        batch = self._log.prepare(tag, file.keys, file.sha256, self._section.base_url, file.most_usd)
        name = f"potstill-{tag[:12]}.jsonl"
        file_id = await self._persist(lambda: self._server.upload(file.path, name))
        batch = self._log.uploaded(batch, file_id)
        await self._submit(batch, maybe_there=False)

    async def _submit(self, batch: Batch, *, maybe_there: bool) -> None:
        """Make the provider work on an uploaded file, unless it does: that is looked up wherever it is in doubt."""
        file_id, attempts = batch.file_id or "", 0
        while True:
            state: BatchState | None = None
            if maybe_there:
                state = await self._persist(lambda: self._server.find(batch.tag, file_id, batch.created_s))
            try:
                window = self._files.completion_window
                state = state or await self._server.submit(file_id, window, batch.tag, batch.input_sha256)
            except Retry as error:
                maybe_there = True
                attempts = await self._wait(error, attempts)
                continue
            except (Permanent, Fatal) as error:
                self._log.read(batch, str(error))  # the provider does not have it: its requests are free again
                raise gone(self._server.where, error) from None
            break
        self._log.submitted(batch, state.id)
        self._say(f"batch {state.id}: submitted with {batch.requests:,} requests")

    async def _read(self, batch: Batch, state: BatchState) -> None:
        """Put a finished batch into the journal: first the answers, then that it was read."""
        contents = self._log.contents(batch)
        names, tally = by_custom_id(contents, str(self._journal.path)), Tally()
        with tempfile.TemporaryFile(dir=self._journal.path.parent) as file:
            for file_id in filter(None, (state.output_file_id, state.error_file_id)):
                await self._persist(partial(self._server.download, file_id, file))
                for settled, usd in settle_lines(self._lines(file), names.get, self._journal, self._prices, tally):
                    self._known_usd += usd
                    self._meter.advance(settled, self._spent_words())
        words = words_of(state, tally)
        if state.status not in ("failed", "cancelled"):
            given_up = asked_again(self._log.tries(batch), tally, words, self._section.max_attempts)
            self._journal.settle(given_up)
            self._meter.advance(len(given_up))
        self._log.read(batch, words)
        self._say(f"batch {state.id}: {words}")
        if state.status in ("failed", "cancelled"):
            self._stopped = PotstillError(
                f"{self._server.where}: batch {state.id} {words}; what is collected is kept, the same command submits "
                "the rest again"
            )

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        file.seek(0)
        for line in file:
            yield self._server.clean(line.decode("utf-8", errors="replace"))

    def _allowance(self) -> float | None:
        """What may still be committed: the budget without what is spent and what batches under way can cost."""
        if self._budget_usd is None:
            return None
        reserved = sum(batch.most_usd for batch in self._log.under_way())
        return self._budget_usd - self._spent() - reserved

    def _spent(self) -> float:
        """US dollars of everything that the run has paid for, scores and judgements included."""
        folder, prices = self._journal.path.parent, self._section.price_per_million
        return spent_usd(folder, self._journal, prices, self._judge_prices)

    def _budget_words(self, most: float) -> str:
        return (
            f"collect.budget_usd: {self._spent():.6g} USD of {self._budget_usd:.6g} are spent, and the next request "
            f"may cost up to {most:.6g}; what is collected is kept, a larger budget goes on from here"
        )

    def _spent_words(self) -> str:
        return "cost unknown" if self._prices is None else f"{self._known_usd:.4f} USD"

    async def _persist(self, ask: Callable[[], Awaitable[Given]]) -> Given:
        """Ask until there is an answer. Raises PotstillError after `max_attempts`, or where asking again is no use."""
        attempts = 0
        while True:
            try:
                return await ask()
            except Retry as error:
                attempts = await self._wait(error, attempts)
            except (Permanent, Fatal) as error:
                raise gone(self._server.where, error) from None

    async def _wait(self, error: Retry, attempts: int) -> int:
        """Wait as the server or the number of attempts asks; returns the attempts, this one counted."""
        attempts += error.after_s is None
        if attempts >= self._section.max_attempts:
            raise PotstillError(
                f"{self._server.where}: {error} ({attempts} attempts); the same command goes on from here"
            )
        await self._sleep(backoff_s(attempts) if error.after_s is None else max(error.after_s, 1.0))
        return attempts
