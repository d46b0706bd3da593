"""Asks a judge about answers, through a journal of its own: no judgement is asked, or paid, twice."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from potstill.collect.sender import Limits, Sender
from potstill.config import Judge, Recipe
from potstill.errors import TermsStopped
from potstill.models.http import Endpoint, Sampling, request_body
from potstill.models.route import route_to
from potstill.progress import Reporter
from potstill.records import Clearance, Message, Prompt
from potstill.store.journal import Journal, Request, Row, make_request
from potstill.store.scores import JUDGEMENTS, spent_usd
from potstill.texts.verdicts import SCORE_FORM, parse_score


@dataclass(frozen=True, slots=True)
class Judgements:
    """What the judge said: scores by the key of the answer's request, and what asking took."""

    scores: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)  # why there is no score, by key
    facts: Mapping[str, Any] = field(default_factory=dict)


def judge_answers(
    recipe: Recipe, section: Judge, clearance: Clearance, answers: Iterable[Row], collected: Journal, folder: Path,
    reporter: Reporter,
) -> Judgements:  # fmt: skip
    """Have every answer judged that was not judged before in just these words; equal questions are asked once.

    `collected` is the journal of the answers. Raises TermsStopped without a clearance, and PotstillError where the
    route, the budget or the disk ends it early; what is judged is kept, and the same call goes on from there.
    """
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the judge is not asked before the terms gate has given one")
    prices, budget_usd = section.endpoint.price_per_million, recipe.collect.budget_usd
    limits = Limits(section.endpoint.concurrency, section.endpoint.max_attempts, prices, budget_usd)
    asked: dict[str, str] = {}  # request key of the answer: key of the question to the judge

    def questions() -> Iterator[Request]:
        for row in answers:
            question = _question(row, section)
            asked[row.key] = question.key
            yield question

    with Journal(folder / JUDGEMENTS) as journal:
        journal.add(questions())
        journal.retry_errors()
        teacher = recipe.teacher.endpoint
        spent = spent_usd(folder, collected, teacher.price_per_million if teacher else None, prices)
        try:
            asyncio.run(_send(section, journal, limits, spent, reporter))
        finally:
            journal.requeue()
        return _read(section, journal, asked, clearance)


def _question(row: Row, section: Judge) -> Request:
    answer = row.reply.text if row.reply is not None else ""
    turns = "\n".join(f"[{one['role']}]\n{one.get('content') or ''}" for one in row.request["body"]["messages"])
    messages = (
        Message("system", section.rubric.strip() + SCORE_FORM.format(scale=section.scale)),
        Message("user", f"<conversation>\n{turns}\n</conversation>\n\n<answer>\n{answer}\n</answer>"),
    )
    sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=section.max_new_tokens, seed=0)
    body = request_body(section.endpoint, messages, sampling)
    return make_request(Prompt(messages, row.split, "", row.prompt_hash), 0, body, section.endpoint.base_url)


async def _send(section: Judge, journal: Journal, limits: Limits, spent: float, reporter: Reporter) -> None:
    counts = journal.counts()
    if not counts.pending:
        return
    title = f"judging with {section.endpoint.model}"
    with reporter.meter(title, counts.total, "answers", done=counts.total - counts.pending) as meter:

        def settled(number: int, spent_now: float) -> None:
            meter.advance(number, "cost unknown" if limits.prices is None else f"{spent_now:.4f} USD in all")

        route = route_to(section.endpoint)
        async with Endpoint(section.endpoint, "screen.judge.endpoint", route=route) as model:
            sender = Sender(model, journal, limits, route, spent_usd=spent, say=reporter.say, settled=settled)
            await sender.run()


def _read(section: Judge, journal: Journal, asked: Mapping[str, str], clearance: Clearance) -> Judgements:
    by_question: dict[str, int | str] = {}
    input_tokens = output_tokens = 0
    cost: float | None = 0.0
    for row in journal.rows():
        if row.reply is None:
            by_question[row.key] = row.error or "no answer"
            continue
        input_tokens += row.reply.input_tokens or 0
        output_tokens += row.reply.output_tokens or 0
        cost = None if cost is None or row.cost_usd is None else cost + row.cost_usd
        score = parse_score(row.reply.text, section.scale) if row.use == "ok" else None
        by_question[row.key] = f"{row.use}: {row.reply.text[-80:]!r}" if score is None else score
    found = {key: by_question[question] for key, question in asked.items()}
    scores = {key: one for key, one in found.items() if isinstance(one, int)}
    unread = {key: one for key, one in found.items() if isinstance(one, str)}
    facts = {
        "model": section.endpoint.model, "base_url": section.endpoint.base_url, "minimum": section.minimum,
        "scale": section.scale, "answers": len(found), "scored": len(scores), "requests": len(by_question),
        "input_tokens": input_tokens, "output_tokens": output_tokens, "cost_usd": cost,
        "terms": {"verdict": clearance.verdict, "rule": clearance.rule, "reason": clearance.reason},
    }  # fmt: skip
    return Judgements(scores, unread, facts)
