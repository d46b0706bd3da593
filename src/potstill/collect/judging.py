"""Asks the judges of the recipe's evaluation, each through a journal of its own: nothing is asked, or paid, twice."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from potstill.collect.screen import usable
from potstill.collect.sender import Limits, Sender
from potstill.config import Endpoint as EndpointSection
from potstill.config import JudgeModel, Judging, Recipe
from potstill.errors import TermsStopped
from potstill.models.http import Endpoint, Sampling, request_body
from potstill.models.route import route_to
from potstill.progress import Reporter
from potstill.records import Clearance, JudgeReplies, Prompt, Reply
from potstill.store.journal import Failure, Finish, Journal, Request, Row, make_request
from potstill.store.scores import JUDGING, answers_usd

_CALIBRATION: Final = "calibration"  # under JUDGING: what judges said of answers that people compared


class Judges:
    """The judges of `evaluate.judge` in a run folder.

    Questions are conversations; each is asked at temperature 0. Raises TermsStopped for a judge without a clearance.
    """

    def __init__(self, recipe: Recipe, clearances: Mapping[str, Clearance], folder: Path, reporter: Reporter) -> None:
        if recipe.evaluate.judge is None:
            raise ValueError("the recipe has no evaluate.judge")
        self._judging: Judging = recipe.evaluate.judge
        for name in self._judging.named:
            if not isinstance(clearances.get(name), Clearance):
                raise TermsStopped(f"no clearance: the judge {name} is not asked before the terms gate has given one")
        self._folder, self._reporter = folder / JUDGING, reporter

    def ask(self, name: str, questions: Sequence[Prompt], *, calibration: bool = False) -> JudgeReplies:
        """Have a judge answer; equal questions, and those that it answered in an earlier start, are asked once.

        Raises PotstillError where the route, the budget or the disk ends it early; what is judged is kept, and the same
        call goes on from there.
        """
        judge = self._judging.named[name]
        path = self._folder / (_CALIBRATION if calibration else "") / f"{name}.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Journal(path) as journal:
            if judge.endpoint is not None:
                asked = self._ask_server(name, judge.endpoint, questions, journal)
            else:
                asked = self._ask_weights(name, judge, questions, journal)
            return _read(journal, [one.key for one in asked])

    def _ask_server(
        self, name: str, section: EndpointSection, questions: Sequence[Prompt], journal: Journal
    ) -> list[Request]:
        sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=self._judging.max_new_tokens, seed=0)
        asked = [
            make_request(one, 0, request_body(section, one.messages, sampling), section.base_url) for one in questions
        ]
        journal.add(_once(asked))
        journal.retry_errors()
        prices, budget = section.price_per_million, self._judging.budget_usd
        limits = Limits(section.concurrency, section.max_attempts, prices, budget, budget="evaluate.judge.budget_usd")
        spent = answers_usd(journal, prices) + sum(self._spent_elsewhere(journal.path))
        try:
            asyncio.run(self._send(name, section, journal, limits, spent))
        finally:
            journal.requeue()
        return asked

    async def _send(self, name: str, section: EndpointSection, journal: Journal, limits: Limits, spent: float) -> None:
        counts = journal.counts()
        if not counts.pending:
            return
        done = counts.total - counts.pending
        with self._reporter.meter(f"judging with {name}", counts.total, "questions", done=done) as meter:

            def settled(number: int, spent_now: float) -> None:
                meter.advance(number, "cost unknown" if limits.prices is None else f"{spent_now:.4f} USD in all")

            route = route_to(section)
            async with Endpoint(section, f"evaluate.judge.judges.{name}.endpoint", route=route) as model:
                say = self._reporter.say
                await Sender(model, journal, limits, route, spent_usd=spent, say=say, settled=settled).run()

    def _spent_elsewhere(self, own: Path) -> Iterator[float]:
        """What the other journals of judging have cost, those of earlier recipes included."""
        for path in sorted(self._folder.rglob("*.sqlite")):
            if path != own:
                judge = self._judging.named.get(path.stem)
                prices = judge.endpoint.price_per_million if judge is not None and judge.endpoint is not None else None
                with Journal(path, read_only=True) as journal:
                    yield answers_usd(journal, prices)

    def _ask_weights(
        self, name: str, judge: JudgeModel, questions: Sequence[Prompt], journal: Journal
    ) -> list[Request]:
        from potstill.models.fetch import fetch
        from potstill.models.folder import weights_revision

        home = fetch(judge.model or "", judge.sha256, self._reporter)
        revision, limit = weights_revision(home), self._judging.max_new_tokens
        asked = [make_request(one, 0, _body(revision, one, limit)) for one in questions]
        journal.add(_once(asked))
        waiting = {row.key for row in journal.pending()}
        if not waiting:
            return asked  # nothing to load the weights for
        by_key = dict(zip((one.key for one in asked), questions, strict=True))
        with self._reporter.meter(
            f"judging with {name}", len(by_key), "questions", len(by_key) - len(waiting)
        ) as meter:
            for settled in _answer(home, {key: by_key[key] for key in by_key if key in waiting}, self._judging):
                journal.settle(settled)
                meter.advance(len(settled))
        return asked


def _answer(home: Path, waiting: Mapping[str, Prompt], judging: Judging) -> Iterator[list[Finish | Failure]]:
    """A local judge's answers, a batch of like lengths at a time, greedy; questions too long for it are failures."""
    from potstill.models.local import LocalModel
    from potstill.rendering import render_prompt

    model = LocalModel.load(home)
    tokens = {key: tuple(render_prompt(model.tokenizer, one.messages)) for key, one in waiting.items()}
    room, most = model.context_tokens, judging.max_new_tokens
    long = [key for key, one in tokens.items() if room is not None and len(one) + most > room]
    if long:
        yield [
            Failure(key, f"{len(tokens[key])} tokens and evaluate.judge.max_new_tokens {most} are over its {room}")
            for key in long
        ]
    order = sorted(tokens.keys() - set(long), key=lambda key: (len(tokens[key]), key))
    for start in range(0, len(order), judging.batch_size):
        batch = order[start : start + judging.batch_size]
        started = time.monotonic()
        prompts = [tokens[key] for key in batch]
        found = model.generate(prompts, max_new_tokens=most, temperature=0.0, seeds=[0] * len(batch))
        seconds = (time.monotonic() - started) / len(batch)
        texts = [model.tokenizer.decode(one.tokens, skip_special_tokens=True) for one in found]
        replies = [
            Reply(text, one.finish_reason, input_tokens=len(asked), output_tokens=len(one.tokens))
            for text, one, asked in zip(texts, found, prompts, strict=True)
        ]
        yield [
            Finish(key, reply, usable(reply), json.dumps({"tokens": list(one.tokens)}), cost_usd=0.0, seconds=seconds)
            for key, reply, one in zip(batch, replies, found, strict=True)
        ]


def _body(revision: str, question: Prompt, max_new_tokens: int) -> dict[str, Any]:
    messages = [one.plain for one in question.messages]
    return {"model": revision, "messages": messages, "temperature": 0.0, "max_tokens": max_new_tokens}


def _once(asked: Sequence[Request]) -> list[Request]:
    return list({one.key: one for one in asked}.values())


def _read(journal: Journal, keys: Sequence[str]) -> JudgeReplies:
    rows: dict[str, Row] = {row.key: row for row in journal.rows()}
    replies = [row.reply for row in rows.values() if row.reply is not None]
    costs = [row.cost_usd for row in rows.values() if row.reply is not None]
    facts = {
        "requests": len(rows),
        "input_tokens": sum(one.input_tokens or 0 for one in replies),
        "output_tokens": sum(one.output_tokens or 0 for one in replies),
        "cost_usd": None if None in costs else sum(one for one in costs if one is not None),
    }
    problems = [_problem(rows[key]) for key in keys]
    texts = [row.reply.text if row.reply is not None else None for row in (rows[key] for key in keys)]
    return JudgeReplies(tuple(texts), tuple(problems), facts)


def _problem(row: Row) -> str:
    """Why a reply cannot be read; empty for one that can."""
    if row.reply is None:
        return f"no answer: {row.error or 'not asked'}"
    return "" if row.use == "ok" else str(row.use).replace("_", " ")
