"""Training towards a live teacher with another tokenizer: its distributions where groups of tokens begin."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path as FilePath
from typing import Any

import torch
from torch import Tensor

from potstill.aligned import AlignedAnswers, align_answers, sides
from potstill.answers import Answer, load_answers
from potstill.config import Recipe
from potstill.models.local import LocalModel
from potstill.models.prefix import hidden_states
from potstill.objectives.cross_tokenizer import Path, Vocabulary, class_log_probabilities, training_terms
from potstill.objectives.head import chunk_positions, differentiable
from potstill.objectives.transform import logit_transform
from potstill.progress import Reporter
from potstill.train.loop import make_batch
from potstill.train.targets import Batch, Target, Targets


def align_training(
    recipe: Recipe, folder: FilePath, teacher: LocalModel, student: LocalModel, answers: Sequence[Answer],
    reporter: Reporter,
) -> AlignedAnswers:  # fmt: skip
    """Align the training answers with the tokens in which the teacher gave them, and say what was left out."""
    theirs = load_answers(
        folder, "train", recipe.collect.uses, teacher.tokenizer, teacher.context_tokens, exact_tokens=True
    )
    aligned = align_answers(answers, theirs, student.tokenizer, teacher.tokenizer)
    for line in aligned.lines():
        reporter.say(f"cross-tokenizer: {line}")
    return aligned


def cross_tokenizer_targets(teacher: LocalModel, aligned: AlignedAnswers) -> Targets:
    """The objective of `training_terms` against a teacher that runs beside the student.

    Rows are independent, so it fits any chunk of the head. Of the teacher only the rows where groups begin go through
    its head, so many at once as fit the memory of a chunk of the larger vocabulary.
    """
    head = teacher.network.get_output_embeddings()
    shape = logit_transform(teacher.network.config)
    by_key = {one.student.key: one for one in aligned.answers}
    match, pad = aligned.match, teacher.tokenizer.pad_token_id or 0
    rows = chunk_positions(max(len(match.teacher_class), len(match.student_class)))

    @cache
    def vocabularies(device: Any) -> tuple[Vocabulary, Vocabulary]:
        pairs, theirs, ours = (
            torch.from_numpy(one).to(device) for one in (match.pairs, match.teacher_class, match.student_class)
        )
        return Vocabulary.of(pairs[:, 0], theirs), Vocabulary.of(pairs[:, 1], ours)

    def bind(batch: Batch) -> Target:
        device = batch.tokens.device
        theirs, ours = vocabularies(device)
        few = [by_key[answer.key] for answer in batch.answers]
        their_side, our_side = sides(few)
        path = Path.of(our_side.tokens, our_side.ranges, device)
        begins = torch.tensor([start for start, _ in their_side.ranges], dtype=torch.long, device=device)
        other = make_batch([one.teacher for one in few], pad, device)
        with torch.no_grad():
            (states,) = hidden_states(teacher.network.to(device), other.tokens, other.prefix)
            states = states[other.rows[begins], other.columns[begins]]

        def piece(logits: Tensor, start: int) -> Tensor:
            here, groups = path.rows(start, start + len(logits))
            with torch.no_grad():
                target = theirs.cut(shape(head(states[groups]).float()), "teacher")
                classes = class_log_probabilities(target, theirs)
            terms = training_terms(ours.cut(logits, "student"), here, ours, classes)
            return terms.divergence.sum() + terms.within.sum()

        def loss(logits: Tensor, start: int, stop: int) -> Tensor:
            starts = range(start, stop, rows)
            pieces = torch.split(logits, rows)
            return torch.stack([piece(few, at) for few, at in zip(pieces, starts, strict=True)]).sum()

        return Target(differentiable(loss))

    return bind
