"""The stage: every answer of the journal past every screen, and what came of it into two files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from potstill.collect.screening.duplicates import Duplicates
from potstill.collect.screening.evaluation_sets import read_sets
from potstill.collect.screening.judge import Judgements, judge_answers
from potstill.collect.screening.reasons import looks, own_reasons
from potstill.collect.screening.tally import Tally
from potstill.config import Recipe
from potstill.errors import PotstillError, TermsStopped
from potstill.progress import Reporter
from potstill.records import Clearance, StageResult
from potstill.store.durable import written_whole
from potstill.store.journal import Counts, Journal, Row
from potstill.store.scores import JUDGEMENTS
from potstill.store.screening import REASONS, SCREENING, Screened, write_screening

SUMMARY = "screening.json"  # in the run folder: counts, and examples of each reason

_Found = dict[str, list[tuple[str, str]]]  # reasons with details, by request key; only of answers that have some


def screen(recipe: Recipe, judge_clearance: Clearance | None, folder: Path, reporter: Reporter) -> StageResult:
    """Screen the answers in a run folder's journal as the recipe says; nothing is deleted, no teacher is asked.

    Leaves screening.parquet, with every reason against every answer, and screening.json, with counts and examples.
    Screens of a text by itself look at both splits. Duplicates and contamination leave out training answers only: what
    must not be learned may still be measured on. The judge is asked about answers against which nothing else speaks.

    Raises RecipeError for a schema or an evaluation set that cannot be read, PotstillError where more requests failed
    than `screen.most_failed` allows or asking the judge ended early, TermsStopped where the judge has no clearance.
    """
    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        counts = journal.counts()
        _refuse_failures(counts, journal, recipe)
        asked = _asked(recipe)
        found = _look(recipe, journal, asked, counts.done, reporter)
        judged = Judgements()
        if recipe.screen.judge is not None:
            if judge_clearance is None:
                raise TermsStopped("no clearance: the judge is not asked before the terms gate has given one")
            judged = judge_answers(
                recipe, recipe.screen.judge, judge_clearance,
                (row for row in journal.answers() if row.key not in found), journal, folder, reporter,
            )  # fmt: skip
        tally = Tally()
        write_screening(_verdicts(recipe, journal, found, judged, tally, asked), folder / SCREENING)
    facts: dict[str, Any] = {"answers": counts.done, "errors": counts.error, **tally.facts()}
    outputs = [SCREENING, SUMMARY]
    if judged.facts:
        facts["judge"] = dict(judged.facts)
        outputs.append(JUDGEMENTS)
    with written_whole(folder / SUMMARY) as file:
        file.write(json.dumps({**facts, "examples": tally.examples}, indent=1, ensure_ascii=False).encode())
    return StageResult(tuple(outputs), facts)


def _refuse_failures(counts: Counts, journal: Journal, recipe: Recipe) -> None:
    if counts.total and counts.error / counts.total > recipe.screen.most_failed:
        words = "; ".join(f"{number:,} × {text}" for text, number in journal.common_errors())
        raise PotstillError(
            f"screen.most_failed: {counts.error:,} of {counts.total:,} requests failed, over the share of "
            f"{recipe.screen.most_failed:g} ({words}); what was answered is kept, a larger share goes on with it"
        )


def _asked(recipe: Recipe) -> Callable[[Row], str]:
    """The words of a request's user that are its own, without the worked examples that all have."""
    examples = {example.prompt for example in recipe.prompts.examples}

    def asked(row: Row) -> str:
        said = [one["content"] for one in row.request["body"]["messages"] if one["role"] == "user"]
        return "\n".join(text for text in said if isinstance(text, str) and text not in examples)

    return asked


def _look(recipe: Recipe, journal: Journal, asked: Callable[[Row], str], number: int, reporter: Reporter) -> _Found:
    """What every screen but the judge has against the answers."""
    screens, sets, duplicates = looks(recipe.screen), read_sets(recipe.screen.contamination), Duplicates(recipe.screen)
    found: _Found = {}
    passes = ("holdout", "train") if duplicates.across_splits else (None,)
    with reporter.meter("screening", number, "answers") as meter:
        for split in passes:
            for row in journal.answers():
                if row.reply is None or (split is not None and row.split != split):
                    continue
                reasons = list(own_reasons(row, recipe, screens))
                words, text = asked(row), row.reply.text
                if text.strip() and (row.split == "train" or duplicates.across_splits):
                    if row.split == "train":
                        known = (where for one in sets if (where := one.found_in(words) or one.found_in(text)))
                        reasons += [("contaminated", where) for where in known]
                    alike = list(duplicates.look(row, words, text, keep=not reasons))
                    reasons += alike if row.split == "train" else []
                if reasons:
                    found[row.key] = reasons
                meter.advance(1)
    return found


def _verdicts(
    recipe: Recipe, journal: Journal, found: _Found, judged: Judgements, tally: Tally, asked: Callable[[Row], str]
) -> Iterator[Screened]:
    """A row for each answer in the prompts' order, with its reasons in the order of REASONS."""
    order = list(REASONS)
    section = recipe.screen.judge
    for row in journal.answers():
        reasons = found.get(row.key, [])
        score = judged.scores.get(row.key)
        if section is not None and score is not None and score < section.minimum:
            reasons = [*reasons, ("judged_low", f"{score} of {section.scale}")]
        elif row.key in judged.unread:
            reasons = [*reasons, ("not_judged", judged.unread[row.key])]
        by_reason = dict(sorted(reasons, key=lambda one: order.index(one[0])))
        one = Screened(
            row.key,
            row.prompt_hash,
            row.sample,
            row.split,
            not by_reason,
            list(by_reason),
            list(by_reason.values()),
            score,
        )
        said = row.use not in recipe.collect.uses
        tally.count(one, asked(row), row.reply.text if row.reply is not None else "", said_by_reply=said)
        yield one
