"""The report's section on judges; None in a run whose recipe has none."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from potstill.evaluate.decision import MIN_PROMPTS
from potstill.evaluate.meanings import JUDGE
from potstill.evaluate.reporting.wording import capital, cell, printed, role_title
from potstill.evaluate.summary import (
    figure_title,
    format_interval,
    format_value,
    mapping,
    mappings,
    number,
    plural,
)


def judge_section(evaluation: Mapping[str, Any], baselines: Sequence[str]) -> dict[str, Any] | None:
    """What the judges said in sum, whether they are independent, each judge by itself, and what said nothing."""
    judge, figures = mapping(evaluation.get("judge")), mapping(evaluation.get("figures"))
    if not judge:
        return None
    judges = mappings(judge.get("judges"))
    prompts = number(mapping(figures.get("judge.win_rate") or figures.get("judge.rubric_score")).get("n"))
    shown = [one for one in baselines if any(name.startswith(f"{one}.judge.") for name in figures)]
    return {
        "says": _compared(judge),
        "kin": [
            f"{printed(one.get('name'))} is not independent: {one['kinship']}. Models favour their own kind, so take "
            "its verdicts with care, and where it matters ask another judge or people."
            for one in mappings(mapping(evaluation.get("terms")).get("evaluation_judges"))
            if one.get("kinship")
        ],
        "thin": plural(int(prompts), "held-out prompt") if prompts is not None and prompts < MIN_PROMPTS else None,
        "models": [role_title(one) for one in ("student", *shown)],
        "rows": [_row(name, figures, shown) for name in JUDGE if name in figures],
        "notes": [note for note in (_bounds(judge), _length(judge), _scores(figures), _calibration(judge)) if note],
        "judges": [_judge(one) for one in judges],
        "unusable": [
            {
                "judge": printed(one.get("name")), "why": printed(silent.get("why")),
                "replies": printed(silent.get("replies")), "example": silent.get("example"),
            }
            for one in judges
            for silent in mappings(one.get("unusable"))
        ],
    }  # fmt: skip


def _row(name: str, figures: Mapping[str, Any], baselines: Sequence[str]) -> dict[str, Any]:
    return {
        "title": capital(figure_title(name)),
        "meaning": JUDGE[name].meaning,
        "cells": [cell(figures, one) for one in (name, *(f"{of}.{name}" for of in baselines))],
        "n": printed(mapping(figures.get(name)).get("n")),
    }


def _compared(judge: Mapping[str, Any]) -> str:
    if judge.get("pairs") is None:
        return "Each answer was given a score by the recipe's rubric; answers were not compared with each other."
    found = mapping(judge.get("outcomes"))
    return (
        f"The student's and the teacher's answers to the same prompts were shown to each judge side by side, twice, "
        f"with their places changed. Of {printed(judge.get('pairs'))} pairs the student's answer was better in "
        f"{printed(found.get('student'))}, the teacher's in {printed(found.get('teacher'))}, and "
        f"{printed(found.get('tie'))} were ties: the judge called them so, changed its mind with the order, or the two "
        f"answers were the same ({printed(judge.get('identical'))}, which nobody was asked about). "
        f"{printed(found.get('no_verdict'))} got no verdict."
    )


def _bounds(judge: Mapping[str, Any]) -> str:
    missing = number(mapping(judge.get("outcomes")).get("no_verdict"))
    ends = judge.get("bounds")
    if not missing or not isinstance(ends, list) or len(ends) != 2:
        return ""
    return (
        "Pairs without a verdict count in no win rate. Were all of them lost it would be "
        f"{format_value('judge.win_rate', ends[0])}, were all won {format_value('judge.win_rate', ends[1])}."
    )


def _length(judge: Mapping[str, Any]) -> str:
    length = mapping(judge.get("length"))
    if length.get("declined"):
        return f"There is no length-controlled win rate: {length['declined']}."
    apart, slope = number(length.get("mean_difference")), number(length.get("slope"))
    if apart is None or slope is None:
        return ""
    longer = f"{abs(apart):,.0f} characters {'longer' if apart > 0 else 'shorter'} on average than the teacher's"
    liking = "longer" if slope > 0 else "shorter"
    return (
        f"The student's answers are {longer}. The judges' verdicts go with the {liking} answer: its odds change by a "
        f"factor of {math.exp(abs(slope)):.2f} for a difference far beyond the usual."
    )


def _scores(figures: Mapping[str, Any]) -> str:
    theirs, kept = cell(figures, "teacher.judge.rubric_score"), cell(figures, "retention.judge.rubric_score")
    if "teacher.judge.rubric_score" not in figures:
        return ""
    return (
        f"The teacher's own score is {theirs['value']} ({theirs['interval'] or 'no interval'}); the student keeps "
        f"{kept['value']} of it ({kept['interval'] or 'no interval'})."
    )


def _calibration(judge: Mapping[str, Any]) -> str:
    found = mapping(judge.get("calibration"))
    if not found:
        return ""
    labelled = (
        f"People's preferences come from {printed(found.get('file'))}: {printed(found.get('own_pairs'))} of this run's "
        f"pairs and {printed(found.get('other_pairs'))} others with a verdict, {printed(found.get('without_verdict'))} "
        f"without one, {printed(found.get('unlabelled'))} rows not labelled, {printed(found.get('unmatched'))} of "
        "pairs that this run does not have."
    )
    same = number(found.get("same_verdict"))
    agreed = f" People and judges prefer the same in {100 * same:.0f} % of them." if same is not None else ""
    if found.get("declined"):
        return f"{labelled}{agreed} The win rate is not corrected: {found['declined']}."
    how = {
        "prediction-powered": "prediction-powered inference on this run's own labelled pairs",
        "Rogan-Gladen": "Rogan and Gladen's estimator; it supposes that the judges err on these pairs as on those that "
        "people labelled",
    }
    return f"{labelled}{agreed} Corrected by {how.get(str(found.get('method')), 'them')}."


def _judge(one: Mapping[str, Any]) -> dict[str, str]:
    orders, wins = mapping(one.get("orders")), mapping(one.get("win_rate"))
    cost = one.get("cost_usd")
    interval = format_interval("judge.win_rate", wins.get("low"), wins.get("high"))
    silent = sum(int(number(silent.get("replies")) or 0) for silent in mappings(one.get("unusable")))
    return {
        "name": printed(one.get("name")),
        "model": printed(one.get("model")),
        "win_rate": format_value("judge.win_rate", wins.get("value")) + (f" ({interval})" if interval else ""),
        "same": f"{printed(orders.get('same'))} of {printed(orders.get('both_usable'))}" if orders else "not asked",
        "first": printed(orders.get("first_place")) if orders else "not asked",
        "second": printed(orders.get("second_place")) if orders else "not asked",
        "silent": f"{silent:,} of {printed(one.get('replies'))}",
        "cost": "unknown" if cost is None else f"{cost:,.4f} USD",
    }
