"""Batch files for providers where a person uploads them: writes what is to be asked, reads what came back."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from potstill import config
from potstill.collect.asking import check_student_takes_tools, requests
from potstill.collect.batch import refuse_while_under_way
from potstill.collect.batch_files import Pile
from potstill.collect.batch_lines import ID_DIGITS
from potstill.collect.batch_results import Tally, settle_lines
from potstill.errors import PotstillError, RecipeError, TermsStopped
from potstill.progress import Reporter
from potstill.records import Clearance, Prompt, content_hash
from potstill.store.batches import BatchLog
from potstill.store.journal import Failure, Journal
from potstill.store.scores import spent_usd


def write_input_files(
    recipe: config.Recipe, clearance: Clearance, prompts: Sequence[Prompt], folder: Path, out: Path, reporter: Reporter
) -> list[Path]:
    """Write every request without an answer into input files in `out`; returns them, none where all is answered.

    Raises TermsStopped without a clearance, RecipeError for a recipe without an endpoint, and PotstillError where
    `out` holds input files already, batches are under way, or the budget is too small.
    """
    section = _section(recipe, clearance)
    check_student_takes_tools(recipe, prompts, reporter)
    if there := sorted(out.glob("batch-*.jsonl")):
        raise PotstillError(f"{there[0]}: exists already; choose another folder, or remove its files")
    prices = section.price_per_million.in_batches if section.price_per_million else None
    with Journal(folder / "answers.sqlite") as journal, BatchLog(journal.path) as log:
        refuse_while_under_way(journal)
        journal.add(requests(recipe, section, prompts))
        journal.retry_errors()
        allowance = None
        if recipe.collect.budget_usd is not None:
            allowance = recipe.collect.budget_usd - spent_usd(
                folder, journal, section.price_per_million, recipe.judge_prices
            )
        pile = Pile(log.pending(), recipe.collect.batch, prices)
        out.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        part = out / ".batch.part"
        while (file := pile.fill(part, allowance)) is not None:
            allowance = None if allowance is None else allowance - file.most_usd
            written.append(part.replace(out / f"batch-{len(written) + 1:04d}.jsonl"))
        part.unlink(missing_ok=True)
        journal.settle(Failure(key, words) for key, words in pile.too_long)
        if pile.next_usd() is not None:
            reporter.say("collect.budget_usd: not all requests are in the files; a larger budget lets the rest in")
            if not written:
                raise PotstillError("collect.budget_usd: too little is left for a single request; raise it")
    return written


def read_output_files(recipe: config.Recipe, clearance: Clearance, folder: Path, files: Sequence[Path]) -> str:
    """Put the lines of output and error files into the journal, each under the request that it answers.

    Returns what they held, in words. Reading a file again changes nothing. Raises TermsStopped without a
    clearance, PotstillError where a file cannot be read or a request was changed in the journal.
    """
    section = _section(recipe, clearance)
    prices = section.price_per_million.in_batches if section.price_per_million else None
    tally = Tally()
    with Journal(folder / "answers.sqlite") as journal, BatchLog(journal.path) as log:

        def find(custom_id: str) -> str | None:
            found = log.beginning_with(custom_id) if len(custom_id) == ID_DIGITS and custom_id.isalnum() else []
            for key, content in found:
                if content_hash(json.loads(content)) != key:
                    raise PotstillError(f"{journal.path}: request {key[:12]} was changed in the journal")
            return found[0][0] if len(found) == 1 else None

        for file in files:
            for _ in settle_lines(_lines(file), find, journal, prices, tally):
                pass
    return tally.in_words()


def _section(recipe: config.Recipe, clearance: Clearance) -> config.Endpoint:
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    if recipe.teacher.endpoint is None:
        raise RecipeError("teacher.endpoint: missing; batch files are for a provider, and this teacher is none")
    return recipe.teacher.endpoint


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise PotstillError(f"{path}: cannot be read ({error.strerror})") from None
