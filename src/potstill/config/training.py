"""The sections of a recipe that say what training minimises and how."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from potstill.config.sections import RolloutServer, Section

ObjectiveKind = Literal[
    "forward_kl", "reverse_kl", "jsd", "skew_forward_kl", "skew_reverse_kl", "total_variation", "cross_entropy"
]


class _Shape(Section):
    """The parameter of the objectives that have one."""

    beta: float | None = Field(default=None, gt=0, lt=1)  # of jsd; 0.5 if nothing is said
    alpha: float | None = Field(default=None, ge=0, lt=1)  # of the skewed divergences; 0.1 if nothing is said

    def _check_shape(self, kind: str) -> None:
        takes = {"jsd": "beta", "skew_forward_kl": "alpha", "skew_reverse_kl": "alpha"}.get(kind)
        for name in ("beta", "alpha"):
            if getattr(self, name) is not None and takes != name:
                raise ValueError(f"{kind} takes no {name}")

    @property
    def options(self) -> dict[str, float]:
        """What was given of beta and alpha."""
        return {name: value for name in ("beta", "alpha") if (value := getattr(self, name)) is not None}


class Term(_Shape):
    """One objective of a weighted sum."""

    kind: ObjectiveKind
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._check_shape(self.kind)
        return self


class Objective(_Shape):
    """What training minimises. `temperature` divides both models' logits; the loss is multiplied by its square.

    cross_entropy is that of the answers' own tokens; all others compare with the teacher's distributions. Kind sum
    adds its `terms` with their weights.
    """

    kind: ObjectiveKind | Literal["sum"] = "forward_kl"
    temperature: float = Field(default=1.0, gt=0)
    terms: tuple[Term, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._check_shape(self.kind)
        if (self.kind == "sum") != bool(self.terms):
            raise ValueError("terms: kind sum needs them, and no other kind takes them")
        return self

    @property
    def parts(self) -> tuple[Term, ...]:
        """The objective as a weighted sum, of one term where it is none."""
        return self.terms or (Term.model_validate({"kind": self.kind, **self.options}),)

    @property
    def divergences(self) -> tuple[Term, ...]:
        """The terms that need the teacher's distributions."""
        return tuple(one for one in self.parts if one.kind != "cross_entropy")

    @property
    def token_weight(self) -> float:
        """The weight of cross-entropy on the answers' own tokens."""
        return sum(one.weight for one in self.parts if one.kind == "cross_entropy")


class HiddenStates(Section):
    """Hidden-state matching beside the objective, through a learned projection where the widths differ."""

    weight: float = Field(default=1.0, gt=0)
    pairs: tuple[tuple[int, int], ...] | None = None  # student's and teacher's layer, from 1; None: the last of each

    @field_validator("pairs")
    @classmethod
    def _from_one(cls, pairs: tuple[tuple[int, int], ...] | None) -> tuple[tuple[int, int], ...] | None:
        if pairs is not None and (not pairs or min(min(one) for one in pairs) < 1):
            raise ValueError("give at least one pair of layers, counted from 1")
        return pairs


class OnPolicy(Section):
    """On-policy distillation: the student writes some of the answers that it is trained on.

    A local teacher runs beside the student; a served one scores the tokens, which takes a server such as vLLM's.
    """

    fraction: float = Field(default=0.5, gt=0, le=1)  # of each step's answers
    max_new_tokens: int | None = Field(default=None, ge=1)  # None: those of collect
    temperature: float = Field(default=1.0, gt=0)  # that the student is sampled with; 1 with a served teacher
    endpoint: RolloutServer | None = None  # who samples instead of this process


class Train(Section):
    """The training loop."""

    objective: Objective | None = None  # None: forward_kl where there are distributions, else cross_entropy
    hidden_states: HiddenStates | None = None  # needs collect.signals full: the teacher runs beside the student
    # Of a local teacher it needs collect.signals full: nothing is stored for what is written in training.
    on_policy: OnPolicy | None = None
    # Learn from a teacher with another tokenizer, by aligning both models' tokens byte by byte.
    cross_tokenizer: bool = False
    tokens_per_batch: int = Field(default=4096, ge=1)  # prompt and answer tokens of one optimizer step
    tokens_per_micro_batch: int | None = Field(default=None, ge=1)  # less memory; the result does not depend on it
    gradient_checkpointing: bool = False  # much less memory for one more forward pass of the student
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    max_grad_norm: float = Field(default=1.0, gt=0)
    precision: Literal["auto", "bf16", "fp32"] = "auto"  # auto: bf16 autocast where the hardware computes in it
    seed: int = 0
    checkpoint_every_s: float = Field(default=60, ge=0)  # seconds between checkpoints; 0 is one each step
