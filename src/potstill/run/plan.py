"""What a run would do and take, said before anything is spent: no request is sent and nothing is fetched."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.config import FIRST, ModelStudent, PrunedStudent, Recipe, ScratchStudent
from potstill.models.fetch import cached
from potstill.models.folder import context_tokens
from potstill.progress import Reporter, Silent
from potstill.records import Prompt, canonical_json
from potstill.run.cost import Cost, Recorded, asking_prices, bounds, recorded
from potstill.run.folder import default_folder, read_recipe
from potstill.run.growing import describe_growth
from potstill.run.inputs import questions
from potstill.run.judging import describe_evaluation_judges, describe_judging
from potstill.run.lm_eval import check_lm_eval
from potstill.run.needs import Needs, Tokens, estimate_needs
from potstill.run.teachers import describe_teachers

if TYPE_CHECKING:
    from potstill.terms import Decision

_CHARACTERS_PER_TOKEN = 4  # a rule of thumb for English, used only where no tokenizer is at hand; the plan says so
_TOO_LONG_NAMED = 3  # so many prompts that are too long are named
_DEVIATIONS = 4  # so many standard deviations over the number of answers that the student is expected to write
_SLOWER = 3  # the quickstart took twice its arithmetic, on two cores with bf16


@dataclass(frozen=True, slots=True)
class Scoring:
    """What training asks a served teacher at most, were every answer of the student as long as may be."""

    requests: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `potstill plan` says. Counts of answer tokens and cost are upper bounds."""

    recipe: Recipe
    terms: "Decision"
    source: str  # how the prompts were read, in words
    growth: str  # what is to be added to them, in words; empty where nothing
    rows: int
    removed: int  # duplicates, exact and near, within and across the splits
    train_prompts: int
    holdout_prompts: int
    requests: int
    answered: int
    tokens: Tokens
    answer_tokens_at_most: int
    cost: Cost | None  # of the requests still to be sent; None for a local teacher and for unknown prices
    needs: Needs
    teachers: tuple[str, ...]  # in words, where there are several
    tokenizers: tuple[str, ...]
    scoring: "Scoring | None" = None  # of what the student writes, by a served teacher

    def lines(self) -> list[str]:
        """The plan in words."""
        tokens, asked = self.tokens, _asked_tokens(self.recipe, self.tokens)
        samples, held = self.recipe.samples("holdout"), tokens.prompt - tokens.prompt_train
        counted = "exact" if tokens.exact else f"estimated at {_CHARACTERS_PER_TOKEN} characters a token"
        split = f"{self.train_prompts:,} to train on, {self.holdout_prompts:,} held out"
        lines = [
            f"terms: {self.terms.message}",
            *(f"terms: warning: {warning}" for warning in self.terms.warnings),
            *self.teachers,
            f"source: {self.source}",
            f"prompts: {self.rows:,} rows, {self.removed:,} duplicates removed; {split}",
            *([f"growth: {self.growth}"] if self.growth else []),
            f"requests: {self.requests:,}, of which {self.answered:,} are answered already{self._again()}",
            f"tokens: prompts {asked:,} ({counted}), answers at most {self.answer_tokens_at_most:,}",
            *self._scoring(),
            *describe_judging(self.recipe, self.requests, asked),
            *describe_evaluation_judges(self.recipe, self.holdout_prompts * samples, held * samples),
            f"cost: {self._cost()}",
            *self._needs(),
            *self.tokenizers,
        ]
        if tokens.too_long:
            some = ", ".join(tokens.too_long[:_TOO_LONG_NAMED])
            lines.append(
                f"too long: {len(tokens.too_long):,} prompts leave no room for an answer in the context: {some}"
            )
        return lines

    def _again(self) -> str:
        if not self.recipe.asks_again:
            return ""
        return f"; {self.holdout_prompts:,} of them ask held-out prompts a second time (evaluate.self_agreement)"

    def _scoring(self) -> list[str]:
        found = self.scoring
        if found is None:
            return []
        return [f"scoring: at most {found.requests:,} requests of {found.tokens:,} tokens while training"]

    def _cost(self) -> str:
        endpoint = self.recipe.teacher.endpoint
        if endpoint is None:
            return "none (local teachers)" if self.recipe.more_teachers else "none (local teacher)"
        if self.cost is None:
            return "unknown (teacher.endpoint.price_per_million is not in the recipe)"
        budget = self.recipe.collect.budget_usd
        stop = f"; the budget stops new requests before ${budget:,.2f}" if budget is not None else ""
        return f"{self.cost.in_words(self.answered)}{stop}"

    def _needs(self) -> list[str]:
        needs = self.needs
        later = "unknown until the models are fetched, which the first run does"
        ratio = ""
        if needs.teacher_parameters and needs.student_parameters:
            whose = "the first teacher's" if self.recipe.more_teachers else "the teacher's"
            ratio = f", {needs.student_parameters / needs.teacher_parameters:.2f} of {whose}"
        student = f"{needs.student_parameters:,} parameters{ratio}" if needs.student_parameters else later
        disk = f"about {_size(needs.disk_bytes)} at most" if needs.disk_bytes else later
        warning = "; NOT ENOUGH" if needs.disk_bytes and needs.disk_bytes > needs.disk_free_bytes else ""
        memory = f"about {_size(needs.memory_bytes)}, without activations" if needs.memory_bytes else later
        time = (
            f"about {_duration(needs.time_s)} to {_duration(_SLOWER * needs.time_s)} on this machine's CPU, an "
            "estimate: the arithmetic of answering, training and evaluating, were every answer as long as may be, at "
            f"the speed of a matrix product measured just now, and {_SLOWER} times that, because answering token by "
            "token, loading and timing run below that speed"
            if needs.time_s
            else later
        )
        if needs.time_s and self.recipe.teacher.endpoint:
            time += "; waiting for the endpoint comes on top"
        return [
            f"student: {self.recipe.student.kind}, {student}",
            f"disk: {disk}; {_size(needs.disk_free_bytes)} free{warning}",
            f"memory: {memory}",
            f"time: {time}",
        ]


def plan(recipe: Recipe, folder: Path | None = None, reporter: Reporter | None = None) -> Plan:
    """Plan a recipe; `folder` is the run folder whose answers already count, by default runs/NAME.

    Raises RecipeError for prompts that cannot be read. Terms that stop the run are in the plan, not raised.
    """
    from potstill.prompts import load_prompts, with_tools
    from potstill.terms import decide

    reporter = reporter or Silent()
    folder = folder or default_folder(recipe)
    decision = decide(recipe)
    check_lm_eval(recipe)
    found = load_prompts(recipe.prompts)
    for tag in dict.fromkeys(prompt.tag for prompt in found.prompts):
        recipe.shares(tag)
    teachers = {name: cached(one.model) if one.model else None for name, one in recipe.teachers.items()}
    teacher = teachers[FIRST]
    asked = with_tools(found.prompts, recipe.collect.tools or ())
    tokens = _count_tokens(recipe, asked, teachers, reporter)
    requests = sum(recipe.samples(prompt.split) for prompt in found.prompts)
    so_far = _so_far(recipe, found.prompts, folder)
    answered = min(so_far.answers, requests)
    holdout = sum(prompt.split == "holdout" for prompt in found.prompts)
    scoring = _scoring(recipe, tokens, len(found.prompts) - holdout)
    return Plan(
        recipe=recipe,
        terms=decision,
        source=found.source_line(),
        growth=describe_growth(recipe, len(found.prompts)),
        rows=found.rows,
        removed=found.rows - len(found.prompts),
        train_prompts=len(found.prompts) - holdout,
        holdout_prompts=holdout,
        requests=requests,
        answered=answered,
        tokens=tokens,
        answer_tokens_at_most=requests * recipe.collect.max_new_tokens,
        cost=_cost(recipe, _asked_tokens(recipe, tokens), requests, so_far, scoring),
        scoring=scoring,
        needs=estimate_needs(recipe, found.prompts, tokens, teachers, folder),
        teachers=describe_teachers(recipe, found.prompts, teachers),
        tokenizers=_tokenizers(recipe, teacher),
    )


def _count_tokens(
    recipe: Recipe, prompts: Sequence[Prompt], teachers: Mapping[str, Path | None], reporter: Reporter
) -> Tokens:
    """All teachers get the prompts as the first one's tokenizer writes them, so that is what counts."""
    first = teachers[FIRST]
    if first is None:
        lengths = [
            (sum(len(message.content) for message in prompt.messages) + _extra_characters(recipe, prompt))
            // _CHARACTERS_PER_TOKEN
            for prompt in prompts
        ]
    else:
        from potstill.students.compatibility import prompt_lengths

        reporter.say("counting tokens")
        lengths = prompt_lengths(first, [prompt.messages for prompt in prompts])
    limits = {name: context_tokens(folder) if folder else None for name, folder in teachers.items()}
    train = sum(length for prompt, length in zip(prompts, lengths, strict=True) if prompt.split == "train")
    too_long = [
        prompt.source
        for prompt, length in zip(prompts, lengths, strict=True)
        if first is not None
        and any(
            length + recipe.collect.max_new_tokens > limit
            for name in recipe.shares(prompt.tag)
            if (limit := limits[name]) is not None
        )
    ]
    return Tokens(sum(lengths), train, first is not None, _own_share(prompts), tuple(too_long))


def _extra_characters(recipe: Recipe, prompt: Prompt) -> int:
    """What tools and the form of the answer add to a prompt, as servers count them."""
    form = recipe.collect.response_format
    parts = [*prompt.tools, *(call for one in prompt.messages for call in one.tool_calls), *([form] if form else [])]
    return sum(len(canonical_json(part)) for part in parts)


def _own_share(prompts: Sequence[Prompt]) -> float:
    """The share of the prompts' characters in messages that not all of them begin with."""
    first = prompts[0].messages
    common = 0
    while common < len(first) and all(prompt.messages[: common + 1] == first[: common + 1] for prompt in prompts):
        common += 1
    shared = sum(len(message.content) for message in first[:common]) * len(prompts)
    total = sum(len(message.content) for prompt in prompts for message in prompt.messages)
    return 1 - shared / total if total else 1.0


def _so_far(recipe: Recipe, prompts: tuple[Prompt, ...], folder: Path) -> Recorded:
    """Answers of an earlier start that this recipe will not ask for again."""
    if not (folder / "answers.sqlite").is_file() or not (folder / "recipe.yaml").is_file():
        return Recorded()
    if questions(read_recipe(folder)) != questions(recipe):
        return Recorded()
    return recorded(folder / "answers.sqlite", {prompt.hash for prompt in prompts}, asking_prices(recipe))


def _scoring(recipe: Recipe, tokens: Tokens, train_prompts: int) -> Scoring | None:
    on_policy = recipe.train.on_policy
    if on_policy is None or not recipe.scores_rollouts:
        return None
    answers = train_prompts * recipe.collect.answers_per_prompt * recipe.train.epochs
    spread = math.sqrt(answers * on_policy.fraction * (1 - on_policy.fraction))
    requests = min(answers, math.ceil(answers * on_policy.fraction + _DEVIATIONS * spread))
    longest = on_policy.max_new_tokens or recipe.collect.max_new_tokens
    return Scoring(requests, math.ceil(requests * (tokens.prompt_train / max(train_prompts, 1) + longest)))


def _asked_tokens(recipe: Recipe, tokens: Tokens) -> int:
    """Tokens of the prompts of all requests together."""
    holdout = tokens.prompt - tokens.prompt_train
    return tokens.prompt_train * recipe.samples("train") + holdout * recipe.samples("holdout")


def _cost(recipe: Recipe, asked_tokens: int, requests: int, so_far: Recorded, scoring: Scoring | None) -> Cost | None:
    endpoint, prices = recipe.teacher.endpoint, asking_prices(recipe)
    if endpoint is None or endpoint.price_per_million is None or prices is None or not requests:
        return None
    left = requests - min(so_far.answers, requests)
    least, most = bounds(prices, asked_tokens * left / requests, left, recipe.collect.max_new_tokens)
    online = endpoint.price_per_million  # scores are asked for while training waits
    scored = (scoring.tokens * online.input + scoring.requests * online.output) / 1e6 if scoring is not None else 0.0
    return Cost(least, most + scored, so_far.more_usd(left))


def _tokenizers(recipe: Recipe, teacher: Path | None) -> tuple[str, ...]:
    """Vocabulary and chat template of the student against the teacher's, in words."""
    match recipe.student:
        case PrunedStudent():
            return ("vocabulary, chat template: the teacher's own (the student is cut from the teacher)",)
        case ScratchStudent(tokenizer=None):
            return ("vocabulary, chat template: the teacher's own (the student takes the teacher's tokenizer)",)
        case ModelStudent(model=reference) | ScratchStudent(tokenizer=str(reference)):
            student = cached(reference)
    if recipe.scores_rollouts:
        return ("vocabulary: the endpoint's must be the student's; compared when the first answer is scored",)
    if recipe.teacher.endpoint is not None and recipe.objective.divergences:
        return ("vocabulary: the endpoint's must be the student's; compared by its token lists before training",)
    if recipe.teacher.endpoint is not None:
        return ("vocabulary, chat template: the endpoint's are not known; the student learns from text in its own",)
    if teacher is None or student is None:
        return ("vocabulary, chat template: compared once teacher and student are fetched, which the first run does",)
    from potstill.students.compatibility import compare

    return tuple(compare(teacher, student).lines())


def _size(count: Any) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
