"""The whole recipe: the parts together, and what only holds between them."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from potstill.config import teachers as several
from potstill.config.conditions import Asked, read_accept
from potstill.config.evaluation import Evaluate
from potstill.config.lm_eval import check_figures
from potstill.config.requests import TOOL_CHOICES, tool_names
from potstill.config.screening import Screen
from potstill.config.sections import (
    Collect,
    Export,
    FullSignals,
    FurtherTeacher,
    NoSignals,
    Prices,
    Prompts,
    SampledSignals,
    Section,
    Student,
    Teacher,
    Terms,
    TopKSignals,
    Use,
)
from potstill.config.serving import Serving
from potstill.config.training import Objective, Train
from potstill.records import Split

_SERVERS_REPORT = 20  # the limit of top_logprobs in the OpenAI-compatible interface


class Recipe(Section):
    """The whole recipe. Paths in it are relative to the recipe's own folder; `load_recipe` makes them absolute."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    teacher: Teacher
    more_teachers: tuple[FurtherTeacher, ...] = ()  # mixed with the first for the prompts that they share
    use: Use = Use()
    terms: Terms = Terms()
    prompts: Prompts
    collect: Collect = Collect()
    screen: Screen = Screen()
    student: Student
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    accept: Mapping[str, str | Mapping[str, str]] | None = None  # None: see `asked`; {} asks nothing
    export: Export = Export()
    serving: Serving = Serving()

    @field_validator("accept")
    @classmethod
    def _conditions_parse(
        cls, accept: Mapping[str, str | Mapping[str, str]] | None, given: ValidationInfo
    ) -> Mapping[str, str | Mapping[str, str]] | None:
        evaluate = given.data.get("evaluate")
        if isinstance(evaluate, Evaluate):  # a wrong section has its own error
            read_accept(accept, evaluate.task_metrics, evaluate.judged)
            check_figures(accept or (), evaluate.lm_eval)
        return accept

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        several.check_teachers(self.teachers, 1 + len(self.more_teachers), self.prompts.tag)
        local = self.teacher.model is not None
        signals = self.collect.signals.kind if self.collect.signals else None
        if isinstance(self.signals, TopKSignals):
            self._top_k_fits(self.signals)
        if not local and signals in ("sampled", "full"):
            raise ValueError(f"collect.signals: {signals} needs a local teacher; an endpoint takes top_k or none")
        if not local and self.student.kind == "pruned":
            raise ValueError("student: pruned cuts layers from a local teacher; with an endpoint take model or scratch")
        if self.scores_rollouts:
            self._check_scored_rollouts()
        else:
            _check_objective(self.objective, self.signals.kind, local)
        if self.train.hidden_states is not None and self.signals.kind != "full":
            raise ValueError("train.hidden_states: needs the teacher beside the student; set collect.signals to full")
        if self.train.on_policy is not None and local and self.signals.kind != "full":
            raise ValueError("train.on_policy: needs the teacher beside the student; set collect.signals to full")
        if self.train.on_policy is not None and self.objective.token_weight:
            raise ValueError(
                "train.on_policy: cross_entropy on what the student wrote itself would teach it nothing; "
                "take a divergence"
            )
        self._check_judge()
        self._check_requests()
        several.check_mixture(self.teachers, self.train, self.objective, self.signals)
        if self.train.cross_tokenizer:
            self._check_cross_tokenizer()
        tuned = "fine_tuning" in self.evaluate.baselines and "initial_student" not in self.evaluate.baselines
        if not local and tuned and not self.objective.divergences:
            raise ValueError("evaluate.baselines: with an endpoint, training is fine-tuning already")
        return self

    def _check_requests(self) -> None:
        """Raises ValueError where a request cannot be made as it says, or not to this teacher."""
        collect, tools_field = self.collect, self.prompts.tools
        served_only = {
            "collect.tools": collect.tools, "collect.tool_choice": collect.tool_choice, "prompts.tools": tools_field,
            "collect.response_format": collect.response_format,
            "collect.mode: batch": collect.mode == "batch",
        }  # fmt: skip
        if self.teacher.endpoint is None:
            for name, value in served_only.items():
                if value:
                    raise ValueError(f"{name}: needs teacher.endpoint; local weights only write text")
        if collect.tool_choice is None:
            return
        if not collect.tools and tools_field is None:
            raise ValueError("collect.tool_choice: there are no tools to choose from; give collect.tools")
        names = tool_names(collect.tools or ())
        if collect.tool_choice not in (*TOOL_CHOICES, *names) and tools_field is None:
            raise ValueError(
                f"collect.tool_choice: {collect.tool_choice!r} is neither {', '.join(TOOL_CHOICES)} nor one of the "
                f"tools, which are {', '.join(names)}"
            )

    def _check_judge(self) -> None:
        judge = self.screen.judge
        if judge is not None and judge.minimum > judge.scale:
            raise ValueError(f"screen.judge.minimum: {judge.minimum} is over the scale of {judge.scale}")
        if judge is not None and self.collect.budget_usd is not None and judge.endpoint.price_per_million is None:
            raise ValueError(
                "collect.budget_usd: needs screen.judge.endpoint.price_per_million too, or what is spent is unknown"
            )

    def _top_k_fits(self, signals: TopKSignals) -> None:
        if self.teacher.model is None and signals.k > _SERVERS_REPORT:
            raise ValueError(
                f"collect.signals.k: {signals.k}, but servers report {_SERVERS_REPORT} tokens a position at most; only "
                "a local teacher gives more"
            )
        if self.teacher.model is None and signals.bits is not None:
            raise ValueError(
                "collect.signals.bits: a server's log-probabilities are kept as it words them; leave it out"
            )

    def _check_cross_tokenizer(self) -> None:
        """Raises ValueError where what is asked for across tokenizers cannot be had."""
        where, objective = "train.cross_tokenizer: true", self.objective
        if self.teacher.model is None:
            raise ValueError(f"{where} needs a local teacher's distributions; with an endpoint leave it out")
        if self.student.kind == "pruned" or (self.student.kind == "scratch" and self.student.tokenizer is None):
            raise ValueError(f"{where}, but this student has the teacher's tokenizer; leave it out")
        if self.train.on_policy is not None or self.train.hidden_states is not None:
            raise ValueError(f"{where} goes neither with train.on_policy nor with train.hidden_states; leave them out")
        if self.signals.kind != "full":
            raise ValueError(
                f"{where} needs collect.signals {{kind: full}}: stored samples are in the teacher's tokens, and "
                "the student's are scored beside a live teacher"
            )
        if objective.kind != "forward_kl" or objective.temperature != 1:
            raise ValueError(
                f"{where} takes train.objective {{kind: forward_kl, temperature: 1.0}} only: the probability of a text "
                "is a product over its tokens, and that needs the models' own probabilities"
            )

    def _check_scored_rollouts(self) -> None:
        """Raises ValueError where a served teacher's scores of the student's own answers are not enough."""
        objective, on_policy = self.objective, self.train.on_policy
        if objective.kind != "reverse_kl":
            raise ValueError(
                f"train.objective: {objective.kind} needs more than a server's scores of the student's own answers; "
                "with train.on_policy and an endpoint take {kind: reverse_kl}, or leave it out"
            )
        if objective.temperature != 1:
            raise ValueError(
                "train.objective.temperature: a server scores at temperature 1; with train.on_policy leave it out"
            )
        if on_policy is not None and on_policy.temperature != 1:
            raise ValueError(
                "train.on_policy.temperature: reverse KL from a server's scores is unbiased only for answers sampled "
                "at temperature 1; leave it out"
            )

        if self.student.lora is not None and self.student.lora.dropout:
            raise ValueError(
                "student.lora.dropout: with dropout the student that is trained is not the one that wrote the answers, "
                "and reverse KL from a server's scores needs the same; leave it out"
            )

    @property
    def asked(self) -> Asked:
        """What the student has to reach: the recipe's `accept:`, or the defaults where it has none."""
        task = self.evaluate.task
        retained = task.retained if task is not None else ()
        metrics, judged = self.evaluate.task_metrics, self.evaluate.judged
        return read_accept(self.accept, metrics, judged, margin=self.evaluate.margin, retained=retained)

    @property
    def asks_again(self) -> bool:
        """Whether an endpoint is asked a second time for every held-out prompt, to see how it agrees with itself."""
        again = self.evaluate.self_agreement is True and self.collect.answers_per_prompt == 1
        return again and self.teacher.endpoint is not None

    def samples(self, split: Split) -> int:
        """How many answers are collected to each prompt of a split."""
        return self.collect.answers_per_prompt + (split == "holdout" and self.asks_again)

    @property
    def judge_prices(self) -> Prices | None:
        """What the judge of the answers costs, where there is one and the recipe says."""
        return self.screen.judge.endpoint.price_per_million if self.screen.judge is not None else None

    @property
    def scores_rollouts(self) -> bool:
        """Whether training asks a served teacher to score what the student writes."""
        return self.teacher.endpoint is not None and self.train.on_policy is not None

    @property
    def trained_with(self) -> dict[str, Any]:
        """The train section as plain data, without what only says where a server stands and how it is asked."""
        data = self.train.model_dump(mode="json")
        if self.train.on_policy is not None:
            del data["on_policy"]["endpoint"]
            if (server := self.train.on_policy.endpoint) is not None:
                data["on_policy"] |= {"refresh_steps": server.refresh_steps, "importance_cap": server.importance_cap}
        return data

    @property
    def teachers(self) -> Mapping[str, Teacher]:
        """Every teacher by name, in the recipe's order; the first is called "teacher"."""
        return several.by_name(self.teacher, self.more_teachers)

    def shares(self, tag: str | None) -> Mapping[str, float]:
        """The teachers of a prompt with this tag and their weights, which sum to 1; see `teachers.shares`."""
        return several.shares(self.teachers, tag)

    def writer(self, tag: str | None) -> str:
        """Who writes the answers to prompts with this tag: the first teacher that takes part."""
        return several.writer(self.teachers, tag)

    @property
    def signals(self) -> SampledSignals | FullSignals | TopKSignals | NoSignals:
        """The signals asked for, with the default of the teacher's kind filled in."""
        if self.collect.signals is not None:
            return self.collect.signals
        return SampledSignals(kind="sampled") if self.teacher.model is not None else NoSignals(kind="none")

    @property
    def objective(self) -> Objective:
        """The objective, with the default of the teacher's kind filled in."""
        if self.train.objective is not None:
            return self.train.objective
        if self.scores_rollouts:
            return Objective(kind="reverse_kl")
        stored = self.signals.kind != "none"
        return Objective(kind="forward_kl" if stored else "cross_entropy")

    def name_begins_with(self, prefix: str) -> bool:
        """Whether the student's name begins so; a name holds no spaces, so hyphen and underscore stand for them."""
        alike = str.maketrans("-_", "  ")
        return self.name.translate(alike).startswith(prefix.translate(alike))


def _check_objective(objective: Objective, signals: str, local: bool) -> None:
    needs = [one.kind for one in objective.divergences]
    if not needs:
        return
    if not local and signals == "none":
        instead = "cross_entropy, or add train.on_policy" if needs == ["reverse_kl"] else "cross_entropy"
        raise ValueError(
            f"train.objective: {needs[0]} needs distributions; with an endpoint set collect.signals to "
            f"{{kind: top_k}}, or take {instead}"
        )
    if signals == "none":
        raise ValueError(f"train.objective: {needs[0]} needs distributions; set collect.signals to sampled or full")
    if signals == "sampled" and set(needs) != {"forward_kl"}:
        other = next(kind for kind in needs if kind != "forward_kl")
        raise ValueError(
            f"train.objective: {other} needs whole distributions, and samples give only forward_kl; "
            "set collect.signals to top_k or full"
        )
    if signals in ("sampled", "top_k") and objective.temperature != 1:
        raise ValueError(f"train.objective.temperature: {signals} signals hold for temperature 1; take signals full")
