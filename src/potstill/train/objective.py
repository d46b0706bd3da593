"""From the recipe's objective to the targets of the loop."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from potstill.answers import Answer
from potstill.config import FIRST, FullSignals, Recipe, SampledSignals, TopKSignals
from potstill.errors import PotstillError, RecipeError
from potstill.models.local import LocalModel
from potstill.objectives.gradients import Part
from potstill.store.signals import Binding, SignalStore, tokenizer_hash
from potstill.train.mixture import live_mixture_targets, sampled_mixture_targets, top_k_mixture_targets
from potstill.train.module import StateMatching
from potstill.train.precision import mixed_precision
from potstill.train.targets import (
    Targets,
    listed_targets,
    live_targets,
    narrow_linears,
    sampled_targets,
    scored_targets,
    summed_targets,
    token_targets,
    top_k_targets,
)

# Loads a local teacher by its name when it is called, which stored signals never do.
Load = Callable[[str], LocalModel]


def make_targets(recipe: Recipe, folder: Path, load: Load, answers: Sequence[Answer], student: LocalModel) -> Targets:
    """What the recipe's objective trains towards: a weighted sum of stored, live and token targets.

    Raises PotstillError for a store that belongs to something else, RecipeError for signals that the objective can't
    do with.
    """
    if recipe.scores_rollouts:
        server = recipe.train.on_policy.endpoint if recipe.train.on_policy is not None else None
        return partial(scored_targets, cap=server.importance_cap) if server is not None else scored_targets
    objective = recipe.objective
    weighted: list[tuple[float, Targets]] = []
    if objective.token_weight:
        weighted.append((objective.token_weight, token_targets))
    if objective.divergences or recipe.train.hidden_states is not None:
        towards = _divergences if len(recipe.teachers) == 1 else _mixture
        weighted.insert(0, (1.0, towards(recipe, folder, load, answers, student)))
    return summed_targets(weighted)


def _divergences(recipe: Recipe, folder: Path, load: Load, answers: Sequence[Answer], student: LocalModel) -> Targets:
    """The terms that compare with the teacher's distributions; with hidden states matched, none may be left."""
    terms = recipe.objective.divergences
    parts = _parts(recipe)
    match recipe.signals:
        case SampledSignals(draws=draws):
            sampled = sampled_targets(_store(folder / "signals", answers, student, recipe.signals), draws)
            return summed_targets([(term.weight, sampled) for term in terms])
        case TopKSignals() as signals:
            from_server = recipe.teacher.endpoint is not None
            store = _store(folder / "signals", answers, student, signals)
            return listed_targets(store, parts) if from_server else top_k_targets(store, parts)
        case FullSignals():
            teacher = _beside(recipe, load(FIRST))
            layers = [theirs for _, theirs in _pairs(recipe, student, teacher)] if recipe.train.hidden_states else []
            return live_targets(teacher, parts, recipe.objective.temperature, layers)
    raise RecipeError(f"train.objective: {terms[0].kind} needs collect.signals sampled or full")


def _mixture(recipe: Recipe, folder: Path, load: Load, answers: Sequence[Answer], student: LocalModel) -> Targets:
    """The same terms against the mixture of each answer's teachers."""

    def shares(answer: Answer) -> Mapping[str, float]:
        return recipe.shares(answer.tag)

    terms, theirs = recipe.objective.divergences, _answers_of(recipe, answers)

    def stores(signals: SampledSignals | TopKSignals) -> dict[str, SignalStore]:
        return {name: _store(folder / "signals" / name, few, student, signals) for name, few in theirs.items()}

    match recipe.signals:
        case SampledSignals(draws=draws) as signals:
            sampled = sampled_mixture_targets({name: (one, draws) for name, one in stores(signals).items()}, shares)
            return summed_targets([(term.weight, sampled) for term in terms])
        case TopKSignals() as signals:
            return top_k_mixture_targets(stores(signals), shares, _parts(recipe))
        case FullSignals():
            teachers = {name: _beside(recipe, load(name)) for name in theirs}
            width = student.network.get_output_embeddings().weight.shape[0]
            return live_mixture_targets(teachers, shares, _parts(recipe), recipe.objective.temperature, width)
    raise RecipeError(f"train.objective: {terms[0].kind} needs collect.signals sampled or full")


def _parts(recipe: Recipe) -> list[Part]:
    return [Part(term.kind, term.weight, term.options) for term in recipe.objective.divergences]


def _answers_of(recipe: Recipe, answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    """The answers that each teacher takes part in; none of a teacher that takes part in no answer."""
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        for name in recipe.shares(answer.tag):
            found.setdefault(name, []).append(answer)
    return {name: found[name] for name in recipe.teachers if name in found}


def _beside(recipe: Recipe, teacher: LocalModel) -> LocalModel:
    """A teacher that is to run beside the student, in the precision of the training."""
    if mixed_precision(recipe.train) == "bf16":
        narrow_linears(teacher.network, torch.bfloat16)
    return teacher


def _pairs(recipe: Recipe, student: LocalModel, teacher: LocalModel) -> list[tuple[int, int]]:
    """The layers whose hidden states are matched, student's and teacher's, counted from 1."""
    section = recipe.train.hidden_states
    last = [int(model.network.config.num_hidden_layers) for model in (student, teacher)]
    pairs = [(last[0], last[1])] if section is None or section.pairs is None else list(section.pairs)
    for role, number, layers in (("student", 0, last[0]), ("teacher", 1, last[1])):
        over = [pair[number] for pair in pairs if pair[number] > layers]
        if over:
            raise RecipeError(f"train.hidden_states.pairs: the {role} has {layers} layers, so none is {over[0]}")
    return pairs


def state_matching(recipe: Recipe, student: LocalModel, load: Load) -> StateMatching | None:
    """What the recipe says of hidden-state matching, None where nothing."""
    section = recipe.train.hidden_states
    if section is None:
        return None
    teacher = load(FIRST)
    layers = tuple(ours for ours, _ in _pairs(recipe, student, teacher))
    return StateMatching(section.weight, layers, int(teacher.network.config.hidden_size))


def _store(
    folder: Path, answers: Sequence[Answer], student: LocalModel, signals: SampledSignals | TopKSignals
) -> SignalStore:
    """A teacher's signals of these answers, every byte of them read once, so that damage is found before training."""
    tokenizer = student.tokenizer
    bound: dict[str, Any] = (
        {"draws": signals.draws}
        if isinstance(signals, SampledSignals)
        else {"kind": "top_k", "k": signals.k, "bits": signals.stored_bits}
    )
    expected = Binding(tokenizer_hash(tokenizer), _teacher_revision(folder), len(tokenizer), **bound)
    store = SignalStore(folder, expected, {answer.key: answer.tokens_hash for answer in answers})
    store.check()
    return store


def _teacher_revision(folder: Path) -> str:
    try:
        facts = json.loads((folder / "teacher.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PotstillError(f"{folder}: no signals of this teacher; run the collect stage again") from None
    return str(facts["revision"])
