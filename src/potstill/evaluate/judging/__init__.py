"""Judges of the student's answers: pairwise against the teacher's in both orders, scores by a rubric, calibration."""

from potstill.evaluate.judging.panel import PAIRS, AskJudge, Judged, judge_models

__all__ = ["PAIRS", "AskJudge", "Judged", "judge_models"]
