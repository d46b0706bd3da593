"""What is measured on the held-out prompts: the recipe's `evaluate:` section."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from potstill.config.conditions import AGAIN, FIGURES, MARGIN
from potstill.config.judging import OF_BASELINES, SCORED, Judging
from potstill.config.lm_eval import LmEval
from potstill.config.sections import Section

Metric = Literal[
    "exact_match", "normalised_match", "token_f1", "rouge_l", "bleu", "reference_chrf", "numeric_match", "json_valid",
    "json_field_f1", "accuracy", "macro_f1",
]  # fmt: skip
METRICS: tuple[Metric, ...] = get_args(Metric)
CLASSIFYING = ("accuracy", "macro_f1")


class OwnMetric(Section):
    """A metric of the user's own: a Python function of (answer, reference) or (answer, reference, prompt)."""

    function: str = Field(pattern=r"^([^:]+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):[A-Za-z_]\w*$")  # module:f or file.py:f
    name: str | None = Field(default=None, pattern=r"^[A-Za-z_]\w{0,49}$")  # of its figures; None: the function's
    range: tuple[float, float] = (0.0, 1.0)  # the least and the most that it may give; more is better

    @property
    def called(self) -> str:
        """The name of its figures."""
        return self.name or self.function.rpartition(":")[2]

    @property
    def file(self) -> Path | None:
        """The file that the function stands in; None where it is named by its module."""
        place = self.function.rpartition(":")[0]
        return Path(place) if place.endswith(".py") else None

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range: {list(self.range)} is none; give the least value first, then a greater one")
        return self


class Task(Section):
    """Answers against references: where the references stand, and the metrics that compare."""

    references: Path | None = None  # JSONL, CSV or Parquet, plain or gzipped; None: the prompts' own source
    prompt_field: str | None = None  # that holds the prompt, as prompts.field does; None: the same name
    reference_field: str = Field(min_length=1)  # a text, a number, an object, or a list of several; may be dotted
    metrics: tuple[Metric, ...] = ()
    functions: tuple[OwnMetric, ...] = ()
    labels: tuple[str, ...] = ()  # of accuracy and macro_f1; none given: the different references of the file
    numeric_tolerance: float = Field(default=0.0, ge=0)  # of numeric_match, relative to the reference
    json_schema: Path | Mapping[str, Any] | None = None  # that json_valid asks for besides JSON
    json_arrays: Literal["ordered", "unordered"] = "ordered"  # whether json_field_f1 tells the order of arrays

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics in the recipe's order, own ones last."""
        return (*self.metrics, *(one.called for one in self.functions))

    @property
    def retained(self) -> tuple[str, ...]:
        """The metrics of which there is a retention: a ratio of what may be negative says nothing."""
        return (*self.metrics, *(one.called for one in self.functions if one.range[0] >= 0))

    @field_validator("labels")
    @classmethod
    def _different_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(labels) == 1 or len(set(labels)) < len(labels) or not all(label.strip() for label in labels):
            raise ValueError("labels must be at least two different texts")
        return labels

    @model_validator(mode="after")
    def _metrics_fit(self) -> Self:
        names = self.names
        if not names:
            raise ValueError(f"metrics: there is none; there are {', '.join(METRICS)}, and functions of your own")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"metrics: {twice[0]} stands there twice")
        for own in self.functions:
            if own.called in (*FIGURES, *AGAIN, *METRICS):
                raise ValueError(f"functions: {own.called} is a figure's name already; give the function another name")
        if self.labels and not set(CLASSIFYING) & set(names):
            raise ValueError("labels: only accuracy and macro_f1 use them; add one to metrics")
        if self.json_schema is not None and "json_valid" not in names:
            raise ValueError("json_schema: only json_valid uses it; add it to metrics")
        if self.numeric_tolerance and "numeric_match" not in names:
            raise ValueError("numeric_tolerance: only numeric_match uses it; add it to metrics")
        return self


class Probes(Section):
    """What is probed for besides what held-out answers show (docs/evaluation.md, "What vanishes first")."""

    file: Path | None = None  # JSONL of own probes: prompt, expect, and what that takes
    made_empty_fields: int = Field(default=0, ge=0)  # at most so many, made of held-out prompts with answers in JSON
    rare_format: float = Field(default=0.05, ge=0, le=1)  # share of training answers below which a form is rare


class Evaluate(Section):
    """What is measured on the held-out prompts."""

    judge: Judging | None = None
    task: Task | None = None
    lm_eval: LmEval | None = None
    baselines: tuple[Literal["initial_student", "fine_tuning"], ...] = ("initial_student",)
    resamples: int = Field(default=2000, ge=100)
    speed_prompts: int = Field(default=6, ge=1)  # timed pairs, teacher and student in turn
    speed_new_tokens: int = Field(default=24, ge=2)
    speed_batch: int = Field(default=8, ge=1)  # prompts answered at once in timings of a batch; 1: no such timings
    speed_batch_pairs: int = Field(default=3, ge=1)  # timed pairs of such batches
    probes: Probes = Probes()
    price_per_hour_usd: float | None = Field(default=None, gt=0)  # of the machine; None: no price a million tokens
    seed: int = 0
    # How well the teacher agrees with itself. auto: where that costs no request; true: ask an endpoint again as well.
    self_agreement: Literal["auto", True, False] = "auto"
    margin: float = Field(default=MARGIN, gt=0, lt=1)  # so much worse than the teacher still counts as equal

    @property
    def task_metrics(self) -> tuple[str, ...]:
        """The metrics against references; none without evaluate.task."""
        return self.task.names if self.task is not None else ()

    @property
    def judged(self) -> tuple[str, ...]:
        """The figures that judges give, those of baselines and of the teacher included; none without evaluate.judge."""
        if self.judge is None:
            return ()
        own = self.judge.figures
        scored = tuple(f"{of}.{SCORED}" for of in ("teacher", "retention")) if SCORED in own else ()
        compared = [name for name in own if name in OF_BASELINES] if self.judge.baselines else []
        return (*own, *scored, *(f"{of}.{name}" for of in self.baselines for name in compared))
