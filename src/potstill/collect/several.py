"""Collects from several local teachers: each writes its prompts' answers, then all that take part read them."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from potstill.collect.local import answer_batch
from potstill.collect.questions import Limit, Question, ask, batches, refuse_too_long
from potstill.collect.score import score_answers
from potstill.collect.table import write_answers_table
from potstill.config import FIRST, Recipe, SampledSignals, TopKSignals, called
from potstill.errors import RecipeError, TermsStopped
from potstill.models.fetch import fetch
from potstill.models.folder import context_tokens, weights_revision
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import Clearance, Prompt, StageResult
from potstill.rendering import Example
from potstill.store.journal import Journal, request_seed


@dataclass(frozen=True, slots=True)
class _Home:
    """A fetched teacher that is not loaded."""

    reference: str
    folder: Path
    revision: str
    context_tokens: int | None

    def load(self) -> LocalModel:
        return LocalModel.load(self.folder, self.reference)


def collect_several(
    recipe: Recipe, clearance: Clearance, prompts: Sequence[Prompt], folder: Path, reporter: Reporter
) -> StageResult:
    """Have each prompt answered by the first teacher that takes part in it, and scored by all that do; see `collect`.

    One teacher is in memory at a time. Prompts are written as the first teacher's tokenizer and chat template write
    them, for all: a distribution belongs to one sequence of tokens. What is scored are the training answers; each
    teacher's signals stand in signals/NAME, made again only where a file of an earlier call is missing or damaged.

    Raises TermsStopped without a Clearance, RecipeError for teachers with different tokenizers, a prompt without a
    teacher, or where no prompt fits the context.
    """
    if not isinstance(clearance, Clearance):
        raise TermsStopped("no clearance: the teacher is not asked before the terms gate has given one")
    homes, tokenizer = _homes(recipe, reporter)
    written: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        written.setdefault(recipe.writer(prompt.tag), []).append(prompt)
    with Journal(folder / "answers.sqlite") as journal:
        asked = {name: ask(recipe, tokenizer, homes[name].revision, few) for name, few in written.items()}
        journal.add(_in_order(asked.values(), prompts))
        limits = _limits(recipe, homes, prompts)
        for questions in asked.values():
            refuse_too_long(questions, limits, recipe.collect.max_new_tokens, journal)
        _answer(recipe, asked, homes, journal, folder, reporter)
        writers = {prompt.hash: name for name, few in written.items() for prompt in few}
        totals = write_answers_table(journal, prompts, folder / "answers.parquet", recipe, clearance, writers)
        counts = journal.counts()
        examples = _examples(journal, asked)
    outputs = ["answers.sqlite", "answers.parquet"]
    if isinstance(recipe.signals, SampledSignals | TopKSignals):
        _score(recipe, recipe.signals, clearance, homes, examples, prompts, folder / "signals", reporter)
        outputs.append("signals")
    facts = {
        "teacher": recipe.teacher.model, "teacher_sha256": homes[FIRST].revision, "requests": counts.total,
        "answers": counts.done, "errors": counts.error, "use": dict(counts.use), **totals,
        "teachers": _facts(recipe, homes, prompts),
    }  # fmt: skip
    return StageResult(tuple(outputs), facts)


def _homes(recipe: Recipe, reporter: Reporter) -> tuple[dict[str, _Home], Any]:
    """Every teacher, fetched, and the tokenizer that all of them have."""
    homes: dict[str, _Home] = {}
    first: Any = None
    for name, one in recipe.teachers.items():
        reference = one.model or ""  # an endpoint among several is refused in the recipe
        where = fetch(reference, one.sha256, reporter)
        homes[name] = _Home(reference, where, weights_revision(where), context_tokens(where))
        own = AutoTokenizer.from_pretrained(where)
        first = own if first is None else first
        if own.get_vocab() != first.get_vocab():
            raise RecipeError(
                f"more_teachers.{name}: its tokenizer has {len(own)} tokens and the first teacher's {len(first)}, and "
                "they differ; several teachers are mixed token by token, so take one with the first one's tokenizer"
            )
        if own.chat_template != first.chat_template:
            reporter.say(f"teacher {name}: its chat template is not the first one's, in which it gets the prompts")
    return homes, first


def _in_order(asked: Iterable[Sequence[Question]], prompts: Sequence[Prompt]) -> Any:
    """All requests in the order of the prompts, whoever is asked."""
    place = {prompt.hash: at for at, prompt in enumerate(prompts)}
    requests = [question.request for questions in asked for question in questions]
    return sorted(requests, key=lambda one: (place[one.prompt_hash], one.sample))


def _limits(recipe: Recipe, homes: Mapping[str, _Home], prompts: Sequence[Prompt]) -> dict[str, Limit]:
    """The shortest context among each prompt's teachers: all of them have to read its answer."""
    found = {}
    for prompt in prompts:
        bounded = [
            (limit, name) for name in recipe.shares(prompt.tag) if (limit := homes[name].context_tokens) is not None
        ]
        shortest = min(bounded, default=None)
        found[prompt.hash] = Limit(shortest[0], f"the context of {called(shortest[1])}") if shortest else Limit(None)
    return found


def _answer(
    recipe: Recipe, asked: Mapping[str, Sequence[Question]], homes: Mapping[str, _Home], journal: Journal,
    folder: Path, reporter: Reporter,
) -> None:  # fmt: skip
    """Answer whatever has no answer, one teacher after the other, in batches that are the same in every run."""
    waiting = {row.key for row in journal.pending()}
    failed = {row.key for row in journal.rows() if row.state == "error"}
    answerable = {
        name: [one for one in questions if one.request.key not in failed] for name, questions in asked.items()
    }
    total = sum(map(len, answerable.values()))
    if not total:
        raise RecipeError(f"{folder}: no prompt fits the teachers' context; {journal.common_errors()[0][0]}")
    with reporter.meter("collecting", total, "answers", total - len(waiting)) as meter:
        for name, questions in answerable.items():
            teacher: LocalModel | None = None
            for batch in batches(questions, recipe.collect.batch_size):
                missing = sum(question.request.key in waiting for question in batch)
                if missing == 0:
                    continue
                teacher = teacher or homes[name].load()
                journal.mark_sent(question.request.key for question in batch)
                answer_batch(batch, teacher, recipe, journal)
                meter.advance(missing)


def _examples(journal: Journal, asked: Mapping[str, Sequence[Question]]) -> dict[str, tuple[str, Example]]:
    """The training answers by request: the prompt's hash, and prompt and answer in tokens."""
    tokens = {one.request.key: one.tokens for questions in asked.values() for one in questions}
    examples = {}
    for row in journal.answers():
        answer = json.loads(journal.raw(row.key) or "{}").get("tokens")
        if row.split == "train" and answer:
            prompt = tokens[row.key]
            examples[row.key] = (row.prompt_hash, Example((*prompt, *answer), len(prompt)))
    return examples


def _score(
    recipe: Recipe, signals: SampledSignals | TopKSignals, clearance: Clearance, homes: Mapping[str, _Home],
    examples: Mapping[str, tuple[str, Example]], prompts: Sequence[Prompt], folder: Path, reporter: Reporter,
) -> None:  # fmt: skip
    """Store the distributions of each teacher on the training answers that it takes part in."""
    shares = {prompt.hash: recipe.shares(prompt.tag) for prompt in prompts}
    kept = set()
    for name, home in homes.items():
        mine = {key: example for key, (prompt, example) in examples.items() if name in shares[prompt]}
        if not mine:
            continue
        reporter.say(f"{called(name)} reads {len(mine):,} answers")
        # Each teacher draws with random numbers of its own, so that their errors do not add up.
        seed = request_seed(recipe.collect.seed, name, 0)
        score_answers(home.load(), clearance, mine, signals, folder / name, reporter, seed=seed)
        kept.add(folder / name)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in kept:  # of an earlier recipe
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _facts(recipe: Recipe, homes: Mapping[str, _Home], prompts: Sequence[Prompt]) -> dict[str, Any]:
    taking_part = [recipe.shares(prompt.tag) for prompt in prompts]
    return {
        name: {
            "reference": home.reference, "sha256": home.revision,
            "prompts": sum(name in shares for shares in taking_part),
            "writes": sum(name == next(iter(shares)) for shares in taking_part),
        }
        for name, home in homes.items()
    }  # fmt: skip
