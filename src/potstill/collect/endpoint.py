"""Collects answers from an OpenAI-compatible endpoint: prompts to journal, journal to answers, nothing asked twice."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill import config
from potstill.collect.asking import check_student_takes_tools, requests
from potstill.collect.batch import collect_in_batches, refuse_while_under_way
from potstill.collect.sender import Limits, Sender
from potstill.collect.table import write_answers_table
from potstill.errors import PotstillError, RecipeError, TermsStopped
from potstill.models.http import Answers, Endpoint
from potstill.models.route import Clock, Route, Sleep, route_to
from potstill.progress import Reporter
from potstill.records import Clearance, Prompt, StageResult, canonical_json, content_hash
from potstill.store.journal import Counts, Journal
from potstill.store.prompts import fields
from potstill.store.scores import spent_usd as spent_by_run


def collect_endpoint(
    recipe: config.Recipe,
    clearance: Clearance,
    prompts: Sequence[Prompt],
    folder: Path,
    reporter: Reporter,
    *,
    model: Answers | None = None,
    retry_refused: bool = False,
    clock: Clock = time.monotonic,
    sleep: Sleep = asyncio.sleep,
) -> StageResult:
    """Ask the recipe's endpoint for every prompt and write answers.sqlite and answers.parquet into the run folder.

    `model` stands in for the endpoint in tests. `retry_refused` also asks again what the server refused for good in an
    earlier run. Raises TermsStopped without a clearance, RecipeError where the recipe lacks the endpoint, its key or
    the prices that a budget needs, and PotstillError where the route, the budget or the disk ends it early, or where no
    request was answered. Whatever was answered is kept; the same call goes on from there.
    """
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    section, limits = _served(recipe)
    check_student_takes_tools(recipe, prompts, reporter)
    with Journal(folder / "answers.sqlite") as journal:
        _want(recipe, section, prompts, journal, retry_refused)
        route = _route(section, clock, sleep)
        try:
            if recipe.collect.mode == "batch":
                asyncio.run(collect_in_batches(recipe, section, journal, reporter, sleep))
            else:
                refuse_while_under_way(journal)
                asyncio.run(_send(model or Endpoint(section, route=route), journal, limits, route, reporter))
        finally:
            journal.requeue()
        counts = _some_answered(journal, section)
        totals = write_answers_table(journal, prompts, folder / "answers.parquet", recipe, clearance)
        facts = {**_facts(journal, section, counts), **totals}
    return StageResult(("answers.sqlite", "answers.parquet"), facts)


def ask_endpoint(
    recipe: config.Recipe, clearance: Clearance, prompts: Sequence[Prompt], journal: Journal, reporter: Reporter
) -> None:
    """Have the endpoint answer these prompts online, whatever the recipe's mode is, and leave no table.

    The answers are those of `collect_endpoint`: same keys, same journal, same budget, same errors.
    """
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    section, limits = _served(recipe)
    check_student_takes_tools(recipe, prompts, reporter)
    refuse_while_under_way(journal)
    _want(recipe, section, prompts, journal)
    route = route_to(section)
    try:
        asyncio.run(_send(Endpoint(section, route=route), journal, limits, route, reporter))
    finally:
        journal.requeue()
    _some_answered(journal, section)


def _served(recipe: config.Recipe) -> tuple[config.Endpoint, Limits]:
    """The endpoint and what it is asked within."""
    section = recipe.teacher.endpoint
    if section is None:
        raise RecipeError("teacher.endpoint: missing; this teacher is not a server")
    prices, budget_usd = section.price_per_million, recipe.collect.budget_usd
    if budget_usd is not None and prices is None:
        raise RecipeError("collect.budget_usd: needs teacher.endpoint.price_per_million, or what is spent is unknown")
    return section, Limits(section.concurrency, section.max_attempts, prices, budget_usd, recipe.judge_prices)


def _want(
    recipe: config.Recipe, section: config.Endpoint, prompts: Sequence[Prompt], journal: Journal,
    retry_refused: bool = False,
) -> None:  # fmt: skip
    """Make the requests of these prompts the wanted ones."""
    plan = content_hash([_plan(recipe, section), _digest(prompts)])
    if not journal.holds(plan):
        journal.add(requests(recipe, section, prompts), plan)
    journal.retry_errors(permanent=retry_refused)


def _some_answered(journal: Journal, section: config.Endpoint) -> Counts:
    counts = journal.counts()
    if counts.total and not counts.done:
        raise PotstillError(_nothing_answered(journal, section, counts))
    return counts


def _route(section: config.Endpoint, clock: Clock, sleep: Sleep) -> Route:
    """The run's route to the server, or one with a time of its own."""
    if clock is time.monotonic and sleep is asyncio.sleep:
        return route_to(section)
    paces = {"requests_per_minute": section.requests_per_minute, "tokens_per_minute": section.tokens_per_minute}
    return Route(section.concurrency, clock, sleep, **paces)


async def _send(model: Answers, journal: Journal, limits: Limits, route: Route, reporter: Reporter) -> None:
    counts = journal.counts()
    if not counts.pending:
        return
    capped = limits.budget_usd is not None
    folder = journal.path.parent
    spent_usd = spent_by_run(folder, journal, limits.prices, limits.judge_prices) if capped else journal.spent_usd()
    title = f"asking {model.identity.reference}"
    with reporter.meter(title, counts.total, "requests", done=counts.total - counts.pending) as meter:

        def settled(number: int, spent: float) -> None:
            meter.advance(number, "cost unknown" if limits.prices is None else f"{spent:.4f} USD")

        sender = Sender(model, journal, limits, route, spent_usd=spent_usd, say=reporter.say, settled=settled)
        if isinstance(model, Endpoint):
            async with model:
                await sender.run()
        else:
            await sender.run()


def _plan(recipe: config.Recipe, section: config.Endpoint) -> Mapping[str, Any]:
    """Everything besides the prompts that the requests are made from."""
    unasked = {"budget_usd", "batch_size", "train_on_truncated", "mode", "batch"}
    asked = recipe.collect.model_dump(mode="json", exclude=unasked)
    special = {"token_limit_field": section.token_limit_field, "extra_body": dict(section.extra_body)}
    again = {"asked_again": True} if recipe.asks_again else {}
    return {"base_url": section.base_url, "model": section.model, "collect": asked, **special, **again}


def _digest(prompts: Sequence[Prompt]) -> str:
    digest = hashlib.sha256()
    for identity, split, tools in fields(prompts, "hash", "split", "tools"):
        written = tools if isinstance(tools, str) else canonical_json(tools or ())
        digest.update(f"{identity} {split} {written}\n".encode())
    return digest.hexdigest()


def _nothing_answered(journal: Journal, section: config.Endpoint, counts: Counts) -> str:
    words = "; ".join(f"{number} × {text}" for text, number in journal.common_errors())
    return f"teacher.endpoint: {section.base_url} answered none of {counts.total} requests: {words}"


def _facts(journal: Journal, section: config.Endpoint, counts: Counts) -> Mapping[str, Any]:
    return {
        "model": section.model,
        "base_url": section.base_url,
        "requests": counts.total,
        "answers": counts.done,
        "errors": counts.error,
        "use": dict(counts.use),
        "error_words": [[text, number] for text, number in journal.common_errors()],
    }
