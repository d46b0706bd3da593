"""Collects answers from weights on this machine: batches in a fixed order, each kept whole with its distributions."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from potstill.collect.questions import Limit, Question, ask, batches, refuse_too_long
from potstill.collect.recording import Recorder, bind
from potstill.collect.screen import usable
from potstill.collect.table import write_answers_table
from potstill.config import Recipe, SampledSignals, TopKSignals
from potstill.errors import RecipeError, TermsStopped
from potstill.models.fetch import fetch
from potstill.models.local import Generation, LocalModel
from potstill.progress import Reporter
from potstill.records import Clearance, Prompt, Reply, StageResult, content_hash
from potstill.store.journal import Finish, Journal
from potstill.store.signals import SUFFIX, Binding, intact, keep_only, store_shard


def collect_local(
    recipe: Recipe, clearance: Clearance, prompts: Sequence[Prompt], folder: Path, reporter: Reporter
) -> StageResult:
    """Answer every prompt with the local teacher; see `collect`.

    A batch's answers become durable together. Batches are the same in every run, because the last bit of a batched
    product depends on the batch: a killed run that goes on gives the answers of an unbroken one.
    """
    if not isinstance(clearance, Clearance) or recipe.teacher.model is None:
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    source = fetch(recipe.teacher.model, recipe.teacher.sha256, reporter)
    teacher = LocalModel.load(source, recipe.teacher.model)
    collect = recipe.collect
    stored = recipe.signals if isinstance(recipe.signals, SampledSignals | TopKSignals) else None
    binding = bind(stored, teacher) if stored is not None else None
    questions = ask(recipe, teacher.tokenizer, teacher.identity.revision, prompts)
    with Journal(folder / "answers.sqlite") as journal:
        journal.add(question.request for question in questions)
        limits = dict.fromkeys((prompt.hash for prompt in prompts), Limit(teacher.context_tokens))
        refuse_too_long(questions, limits, collect.max_new_tokens, journal)
        waiting = {row.key for row in journal.pending()}
        failed = {row.key for row in journal.rows() if row.state == "error"}
        answerable = [question for question in questions if question.request.key not in failed]
        if not answerable:
            raise RecipeError(f"{folder}: no prompt fits the teacher's context; {journal.common_errors()[0][0]}")
        fixed = list(batches(answerable, collect.batch_size))
        done = len(answerable) - len(waiting)
        shards = [folder / "signals" / f"{number:05d}-{_name(batch)}{SUFFIX}" for number, batch in enumerate(fixed)]
        with reporter.meter("collecting", len(answerable), "answers", done) as meter:
            for batch, shard in zip(fixed, shards, strict=True):
                missing = sum(question.request.key in waiting for question in batch)
                if missing == 0 and (binding is None or intact(shard)):
                    continue
                journal.mark_sent(question.request.key for question in batch)
                answer_batch(batch, teacher, recipe, journal, binding, shard)
                meter.advance(missing)
        totals = write_answers_table(journal, prompts, folder / "answers.parquet", recipe, clearance)
        counts = journal.counts()
    outputs = ["answers.sqlite", "answers.parquet"]
    if binding is not None:
        keep_only(folder / "signals", shards, teacher.identity.reference, teacher.identity.revision)
        outputs.append("signals")
    facts = {
        "teacher": recipe.teacher.model, "teacher_sha256": teacher.identity.revision, "requests": counts.total,
        "answers": counts.done, "errors": counts.error, "use": dict(counts.use), **totals,
    }  # fmt: skip
    return StageResult(tuple(outputs), facts)


def _name(batch: Sequence[Question]) -> str:
    return content_hash([question.request.key for question in batch])[:12]


def answer_batch(
    batch: Sequence[Question], teacher: LocalModel, recipe: Recipe, journal: Journal,
    binding: Binding | None = None, shard: Path | None = None,
) -> None:  # fmt: skip
    """Answer one batch; its distributions, where there is a shard for them, are on disk before its answers count."""
    started = time.monotonic()
    seeds = [question.seed for question in batch]
    recorder = Recorder(seeds, binding) if binding is not None else None
    generations = teacher.generate(
        [question.tokens for question in batch],
        max_new_tokens=recipe.collect.max_new_tokens,
        temperature=recipe.collect.temperature,
        top_p=recipe.collect.top_p,
        seeds=seeds,
        on_step=recorder,
    )
    if recorder is not None and binding is not None and shard is not None:
        sequences = {
            question.request.key: (content_hash([*question.tokens, *generation.tokens]), signals)
            for question, generation, signals in zip(batch, generations, recorder.answers(), strict=True)
        }
        store_shard(shard, binding, sequences)
    seconds = (time.monotonic() - started) / len(batch)
    journal.finish_many(
        _finish(question, one, teacher, seconds) for question, one in zip(batch, generations, strict=True)
    )


def _finish(question: Question, generation: Generation, teacher: LocalModel, seconds: float) -> Finish:
    text = teacher.tokenizer.decode(generation.tokens, skip_special_tokens=True)
    reply = Reply(
        text, generation.finish_reason, input_tokens=len(question.tokens), output_tokens=len(generation.tokens),
        served_model=teacher.identity.revision,
    )  # fmt: skip
    raw = json.dumps({"tokens": list(generation.tokens)})
    return Finish(question.request.key, reply, usable(reply), raw, cost_usd=None, seconds=seconds)
