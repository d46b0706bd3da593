"""Tasks of the Language Model Evaluation Harness: the recipe's `evaluate.lm_eval:` section."""

import re
from collections.abc import Collection
from pathlib import Path

from pydantic import Field, field_validator

from potstill.config.sections import Section

_FIGURE = re.compile(r"(?:retention\.|teacher\.)?lm_eval\.(?P<task>.+)\.[^.]+")


class LmEval(Section):
    """Which tasks of lm-eval teacher and student are put to, and how. lm-eval runs as a program of its own."""

    tasks: tuple[str, ...] = Field(min_length=1)  # as `lm_eval ls tasks` names them; groups too
    include_path: Path | None = None  # a folder of task files of your own
    limit: int | None = Field(default=None, ge=1)  # so many documents a task; None: all
    num_fewshot: int | None = Field(default=None, ge=0)  # None: as the task says
    batch_size: int = Field(default=8, ge=1)
    apply_chat_template: bool = False  # put each question in the model's chat template
    python: Path | None = None  # the interpreter that has lm-eval; None: the one that runs Potstill

    @field_validator("tasks")
    @classmethod
    def _names(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for task in tasks:
            if not re.fullmatch(r"[^\s,]+", task):
                raise ValueError(f"tasks: {task!r} is no name of a task")
        if len(set(tasks)) < len(tasks):
            raise ValueError("tasks: one stands there twice")
        return tasks

    def placed(self, base: Path) -> "LmEval":
        """With paths that start from `base`."""
        included = base / self.include_path if self.include_path is not None else None
        python = base / self.python if self.python is not None else None
        return self.model_copy(update={"include_path": included, "python": python})


def is_lm_eval_figure(name: str) -> bool:
    """Whether a figure's name is one of lm-eval's: `lm_eval.TASK.METRIC`, of teacher or retention too."""
    return _FIGURE.fullmatch(name) is not None


def check_figures(names: Collection[str], section: LmEval | None) -> None:
    """Raises ValueError for a condition on an lm-eval figure where the recipe has no lm-eval tasks."""
    for name in names:
        if section is None and is_lm_eval_figure(name):
            raise ValueError(f"accept: {name} is a figure of lm-eval, and the recipe has no evaluate.lm_eval")
