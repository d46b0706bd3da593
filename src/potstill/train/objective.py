"""From the recipe's objective to the targets of the loop."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from potstill.answers import Answer
from potstill.config import FullSignals, Recipe, SampledSignals, TopKSignals
from potstill.errors import RecipeError
from potstill.models.local import LocalModel
from potstill.objectives.gradients import Part
from potstill.store.signals import Binding, SignalStore, tokenizer_hash
from potstill.train.module import StateMatching
from potstill.train.precision import mixed_precision
from potstill.train.targets import (
    Targets,
    live_targets,
    narrow_linears,
    sampled_targets,
    scored_targets,
    summed_targets,
    token_targets,
    top_k_targets,
)


def make_targets(recipe: Recipe, folder: Path, teacher: Any, answers: Sequence[Answer], student: LocalModel) -> Targets:
    """What the recipe's objective trains towards: a weighted sum of stored, live and token targets.

    `teacher` loads the local teacher when it is called, which stored signals never do. Raises PotstillError for a
    store that belongs to something else, RecipeError for signals that the objective can't do with.
    """
    if recipe.scores_rollouts:
        server = recipe.train.on_policy.endpoint if recipe.train.on_policy is not None else None
        return partial(scored_targets, cap=server.importance_cap) if server is not None else scored_targets
    objective = recipe.objective
    weighted: list[tuple[float, Targets]] = []
    if objective.token_weight:
        weighted.append((objective.token_weight, token_targets))
    if objective.divergences or recipe.train.hidden_states is not None:
        weighted.insert(0, (1.0, _divergences(recipe, folder, teacher, answers, student)))
    return summed_targets(weighted)


def _divergences(recipe: Recipe, folder: Path, teacher: Any, answers: Sequence[Answer], student: LocalModel) -> Targets:
    """The terms that compare with the teacher's distributions; with hidden states matched, none may be left."""
    terms = recipe.objective.divergences
    parts = [Part(term.kind, term.weight, term.options) for term in terms]
    match recipe.signals:
        case SampledSignals(draws=draws):
            sampled = sampled_targets(_store(folder, answers, student, draws=draws), draws)
            return summed_targets([(term.weight, sampled) for term in terms])
        case TopKSignals(k=k) as signals:
            bound = {"kind": "top_k", "k": k, "bits": signals.stored_bits}
            return top_k_targets(_store(folder, answers, student, **bound), parts)
        case FullSignals():
            if mixed_precision(recipe.train) == "bf16":
                narrow_linears(teacher().network, torch.bfloat16)
            layers = [theirs for _, theirs in _pairs(recipe, student, teacher())] if recipe.train.hidden_states else []
            return live_targets(teacher(), parts, recipe.objective.temperature, layers)
    raise RecipeError(f"train.objective: {terms[0].kind} needs collect.signals sampled or full")


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


def state_matching(recipe: Recipe, student: LocalModel, teacher: Any) -> StateMatching | None:
    """What the recipe says of hidden-state matching, None where nothing."""
    section = recipe.train.hidden_states
    if section is None:
        return None
    layers = tuple(ours for ours, _ in _pairs(recipe, student, teacher()))
    return StateMatching(section.weight, layers, int(teacher().network.config.hidden_size))


def _store(folder: Path, answers: Sequence[Answer], student: LocalModel, **bound: Any) -> SignalStore:
    """The run's signals of these answers, every byte of them read once, so that damage is found before training."""
    tokenizer = student.tokenizer
    expected = Binding(tokenizer_hash(tokenizer), _teacher_revision(folder), len(tokenizer), **bound)
    store = SignalStore(folder / "signals", expected, {answer.key: answer.tokens_hash for answer in answers})
    store.check()
    return store


def _teacher_revision(folder: Path) -> str:
    facts = json.loads((folder / "signals" / "teacher.json").read_text(encoding="utf-8"))
    return str(facts["revision"])
