"""Has the recipe's judges compare teacher and student on the held-out prompts, and tells of it for evaluation.json."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from potstill.answers import Answer
from potstill.config import Judging, Recipe
from potstill.config.judging import SCORED
from potstill.evaluate.judging import figures as measure
from potstill.evaluate.judging.figures import Draws, Panel
from potstill.evaluate.judging.labels import Labels, blind, match_labels
from potstill.evaluate.judging.questions import Pair, Question, as_conversation, pair_questions, score_questions
from potstill.evaluate.judging.reading import Sheet, read_sheet
from potstill.progress import Reporter
from potstill.records import Figure, JudgeReplies, Prompt
from potstill.store.durable import written_whole
from potstill.store.prompts import StoredPrompts
from potstill.store.scores import JUDGING

PAIRS: Final = "judge_pairs.jsonl"  # in the run folder: the pairs, blind, for people to label
_STUDENT, _TEACHER = "student", "teacher"

AskJudge = Callable[..., JudgeReplies]  # (name, questions as prompts, *, calibration)


@dataclass(frozen=True, slots=True)
class Judged:
    """Figures of the judges, what evaluation.json says besides, and the files that were left in the run folder."""

    figures: dict[str, Figure]
    facts: dict[str, Any]
    files: tuple[str, ...]

    @property
    def unmeasured(self) -> dict[str, str]:
        """Why figures are not there, by metric: what the decision says where one is asked for."""
        silent = sum(one["replies"] for judge in self.facts["judges"] for one in judge["unusable"])
        replies = sum(judge["replies"] for judge in self.facts["judges"])
        why = f"{silent:,} of the judges' {replies:,} replies end without the verdict or score asked for"
        declined = self.facts.get("length", {}).get("declined")
        return {
            **(dict.fromkeys(("win_rate", "rubric_score"), why) if silent else {}),
            **({"length_controlled_win_rate": declined} if declined else {}),
        }


def judge_models(
    recipe: Recipe, folder: Path, held: Sequence[Answer], answered: Mapping[str, Sequence[str]],
    ask: AskJudge | None, reporter: Reporter,
) -> Judged:  # fmt: skip
    """Judge what each of `answered`, the student among them, wrote against the teacher's answers to the same prompts.

    Raises RecipeError for a calibration file that cannot be used, and PotstillError where asking ends early; the same
    call then goes on from there. Leaves judge_pairs.jsonl.
    """
    judging = recipe.evaluate.judge
    if judging is None or ask is None:
        raise ValueError("the recipe has no evaluate.judge, or nobody to ask it")
    prompts = [one for one in StoredPrompts(folder / "prompts.parquet") if one.split == "holdout"]
    names = [name for name in answered if name == _STUDENT or judging.baselines]
    pairs = {name: _pairs(held, prompts, answered[name]) for name in names}
    labels = None
    if judging.calibration is not None:
        labels = match_labels(judging.calibration, pairs[_STUDENT], prompts, recipe.prompts)
    write_pairs(pairs[_STUDENT], folder / PAIRS)
    questions = _questions(judging, pairs)
    outside = pair_questions("other", [pair for pair, _ in labels.others], judging.rubric) if labels else []
    sheets, outer = [], []
    for name in judging.named:
        reporter.say(f"judge {name}: {len(questions):,} questions about held-out answers")
        replies = ask(name, [one.prompt for one in questions])
        sheets.append(read_sheet(questions, replies, [*names, _TEACHER], len(held), judging.scale))
        if labels is not None:
            replies = ask(name, [one.prompt for one in outside], calibration=True)
            outer.append(read_sheet(outside, replies, ["other"], len(labels.others), judging.scale))
    draws = Draws(recipe.evaluate.resamples, recipe.evaluate.seed)
    figures, facts = _measured(judging, pairs, sheets, draws)
    if labels is not None:
        found, told = _calibrated(pairs[_STUDENT], sheets, labels, outer, draws)
        figures |= found
        facts["calibration"] = told
        for one, sheet in zip(facts["judges"], outer, strict=True):
            one |= _together(one, sheet.facts)
    journals = (f"{JUDGING}/{place}{name}.sqlite" for name in judging.named for place in ("", "calibration/"))
    return Judged(figures, facts, (PAIRS, *(one for one in journals if (folder / one).is_file())))


def write_pairs(pairs: Sequence[Pair], path: Path) -> None:
    """The pairs whose answers differ, one a line, in an order that does not tell whose answer is whose.

    Whoever fills in `preference` with a, b or tie can give the file back as `evaluate.judge.calibration`.
    """
    with written_whole(path) as file:
        for pair in pairs:
            if pair.identical:
                continue
            first, second, _ = blind(pair)
            row = {"pair": pair.id, "prompt": pair.prompt_hash, "conversation": pair.conversation,
                   "answer_a": first, "answer_b": second, "preference": None}  # fmt: skip
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


def _pairs(held: Sequence[Answer], prompts: Sequence[Prompt], texts: Sequence[str]) -> list[Pair]:
    said = {one.hash: as_conversation(one.messages) for one in prompts}
    return [Pair(one.prompt_hash, said[one.prompt_hash], one.text, text) for one, text in zip(held, texts, strict=True)]


def _questions(judging: Judging, pairs: Mapping[str, Sequence[Pair]]) -> list[Question]:
    found: list[Question] = []
    for name, own in pairs.items():
        if judging.pairwise:
            found += pair_questions(name, own, judging.rubric)
        if judging.rubric is not None:
            found += score_questions(name, own, [one.other for one in own], judging.rubric, judging.scale)
    if judging.rubric is not None:
        own = pairs[_STUDENT]
        found += score_questions(_TEACHER, own, [one.teacher for one in own], judging.rubric, judging.scale)
    return found


def _measured(
    judging: Judging, pairs: Mapping[str, Sequence[Pair]], sheets: Sequence[Sheet], draws: Draws
) -> tuple[dict[str, Figure], dict[str, Any]]:
    figures: dict[str, Figure] = {}
    facts: dict[str, Any] = {"judges": [], "rubric": judging.rubric, "scale": judging.scale}
    for model, own in pairs.items():
        prefix = "" if model == _STUDENT else f"{model}."
        panel = Panel.of(sheets, model, own)
        if judging.pairwise:
            found, told = _compared(panel, sheets, model, draws)
            figures |= {prefix + name: one for name, one in found.items()}
            if model == _STUDENT:
                facts |= told
                figures |= measure.agreement(panel, draws)
        about = [model, _TEACHER] if model == _STUDENT else [model]
        silent = measure.unusable(sheets, panel.prompts, about, draws)
        if silent is not None:
            figures[f"{prefix}judge.unusable"] = measure.as_share(silent)
        if judging.rubric is not None:
            scored = measure.rubric_scores(sheets, panel.prompts, model, judging.scale, draws)
            figures |= {prefix + name: one for name, one in scored.items() if model == _STUDENT or name == SCORED}
    facts["judges"] = [
        _told(name, judging, sheet, pairs[_STUDENT], draws)
        for name, sheet in zip(judging.named, sheets, strict=True)
    ]  # fmt: skip
    return figures, facts


def _compared(
    panel: Panel, sheets: Sequence[Sheet], model: str, draws: Draws
) -> tuple[dict[str, Figure], dict[str, Any]]:
    found: dict[str, Figure] = {}
    if (wins := measure.win_rate(panel, draws)) is not None:
        found["judge.win_rate"] = measure.as_wins(wins)
    controlled, told = measure.length_controlled(panel, draws)
    if controlled is not None:
        found["judge.length_controlled_win_rate"] = measure.as_wins(controlled)
    if (steady := measure.position_consistency(sheets, panel, model, draws)) is not None:
        found["judge.position_consistency"] = measure.as_share(steady)
    low, high = measure.bounds(panel)
    verdicts = panel.together[panel.judged]
    return found, {
        "pairs": len(panel.pairs), "identical": sum(pair.identical for pair in panel.pairs),
        "outcomes": {
            "student": int((verdicts > 0.5).sum()), "teacher": int((verdicts < 0.5).sum()),
            "tie": int((verdicts == 0.5).sum()), "no_verdict": int((~panel.judged).sum()),
        },
        "bounds": [low, high], "length": told,
    }  # fmt: skip


def _told(name: str, judging: Judging, sheet: Sheet, pairs: Sequence[Pair], draws: Draws) -> dict[str, Any]:
    """One judge's own figures and what asking it took."""
    judge = judging.named[name]
    alone = measure.win_rate(Panel.of([sheet], _STUDENT, pairs), draws) if judging.pairwise else None
    return {
        "name": name,
        "model": judge.model if judge.endpoint is None else judge.endpoint.model,
        "base_url": judge.endpoint.base_url if judge.endpoint is not None else None,
        "win_rate": asdict(measure.as_wins(alone)) if alone is not None else None,
        "orders": sheet.orders(_STUDENT) if judging.pairwise else None,
        "replies": int(sum(one.sum() for one in sheet.replies.values())),
        "unusable": [
            {"why": why, "replies": count, "example": sheet.examples.get(why)}
            for why, count in sheet.why.most_common()
        ],
        **sheet.facts,
    }  # fmt: skip


def _together(one: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """What asking took, the questions about other pairs included; an unknown cost stays unknown."""
    return {
        name: None if one.get(name) is None or value is None else one[name] + value for name, value in more.items()
    }  # fmt: skip


def _calibrated(
    pairs: Sequence[Pair], sheets: Sequence[Sheet], labels: Labels, outer: Sequence[Sheet], draws: Draws
) -> tuple[dict[str, Figure], dict[str, Any]]:
    others = [pair for pair, _ in labels.others]
    verdicts = Panel.of(outer, "other", others).together if others else np.zeros(0)
    return measure.corrected(Panel.of(sheets, _STUDENT, pairs), labels, verdicts, draws)
