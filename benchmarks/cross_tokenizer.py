"""Objectives across tokenizers against the exact KL divergence between texts, in a small world where it is known.

    make benchmark-cross-tokenizer

The world: texts of made-up words, each drawn from a distribution that depends on the word before. The teacher is that
distribution in the tokens of one BPE, exact to the last digit. The student has a logit for every token in every state
of another BPE, so that nothing but the objective and the number of answers limits it. Printed for every pair of
vocabularies, number of answers and objective: the exact KL between teacher's and student's texts after training, in
nats a word, mean and standard deviation over the seeds.
"""

import math
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from potstill.alignment import Spelling, VocabularyMatch, align, match_vocabularies
from potstill.objectives.cross_tokenizer import (
    Path,
    Vocabulary,
    class_log_probabilities,
    per_group,
    refine,
    sorted_l1,
    training_terms,
)

WORDS, END_SHARE, STEPS, BATCH, RATE = 60, 0.15, 400, 32, 0.1
PAIRS = ((340, 300), (340, 270), (300, 340), (340, 258))  # sizes of the two BPEs; 258 is a byte a token
ANSWERS = (100, 2000)
SEEDS = range(3)


@dataclass
class Side:
    """One tokenizer's view of the world: every word's tokens, and a number for every state."""

    spelling: Spelling
    words: list[tuple[int, ...]]  # the end of the text last
    states: dict[tuple[int, tuple[int, ...]], int]  # by the word before and the tokens since


@dataclass
class Batch:
    """Answers as rows of states on both sides."""

    teacher_states: Tensor
    student_states: Tensor
    teacher: Path
    student: Path
    split: Tensor


Loss = Callable[[Tensor, Tensor, Batch, Vocabulary, Vocabulary], Tensor]


def text_only(q: Tensor, p: Tensor, batch: Batch, ours: Vocabulary, theirs: Vocabulary) -> Tensor:  # noqa: ARG001 - every loss of the table is called alike
    return torch.nn.functional.cross_entropy(q, batch.student.tokens, reduction="sum")


def classes_and_path(weight: float) -> Loss:
    """What train.cross_tokenizer trains on, and sorted L1 of the unmatched tokens with a weight."""

    def loss(q: Tensor, p: Tensor, batch: Batch, ours: Vocabulary, theirs: Vocabulary) -> Tensor:
        first = p[batch.teacher.first]
        terms = training_terms(q, batch.student, ours, class_log_probabilities(first, theirs))
        total = terms.divergence.sum() + terms.within.sum()
        if weight:
            own = q[batch.student.first].softmax(-1)[:, ours.unmatched]
            total = total + weight * sorted_l1(own, first.softmax(-1)[:, theirs.unmatched]).sum()
        return total

    return loss


def refined(weight: float) -> Loss:
    """Forward KL over matched tokens, the path taken and the rest in one, and sorted L1 with a weight."""

    def loss(q: Tensor, p: Tensor, batch: Batch, ours: Vocabulary, theirs: Vocabulary) -> Tensor:
        parts = per_group(
            "forward_kl", refine(q, batch.student, ours, batch.split), refine(p, batch.teacher, theirs, batch.split)
        )
        return parts.matched.sum() + weight * parts.unmatched.sum()

    return loss


# The bucket: every unmatched token counts with the rest instead of with the token that the other side begins with.
OBJECTIVES: dict[str, tuple[Loss, bool]] = {
    "text only": (text_only, False),
    "bucket": (refined(0.0), True),
    "bucket + L1": (refined(1.0), True),
    "classes, path as an event": (refined(0.0), False),
    "classes and path": (classes_and_path(0.0), False),
    "the same + 0.1 L1": (classes_and_path(0.1), False),
    "the same + L1": (classes_and_path(1.0), False),
}


class World:
    """Words, the chance of each after each, and both tokenizers."""

    def __init__(self, seed: int, sizes: tuple[int, int]) -> None:
        draw = np.random.default_rng(seed)
        syllables = ["ba", "be", "ka", "ko", "ti", "tu", "ra", "so", "le", "mi"]
        words: set[str] = set()
        while len(words) < WORDS:
            words.add(" " + "".join(draw.choice(syllables) for _ in range(draw.integers(1, 4))))
        self.words = sorted(words)
        chance = draw.dirichlet(np.full(WORDS + 1, 0.15), WORDS + 1)  # row WORDS: the start; column WORDS: the end
        chance[:, WORDS] = END_SHARE
        chance[WORDS, WORDS] = 0
        self.chance = chance / chance.sum(1, keepdims=True)
        sample = ["".join(self.words[word] for word in one[:-1]) for one in self.answers(300, seed + 1000)]
        self.teacher = self._side(bpe(sizes[0], sample))
        self.student = self._side(bpe(sizes[1], sample[:60]))
        self.match = match_vocabularies(self.teacher.spelling, self.student.spelling)
        self.teacher_logits = self._exact(self.teacher)

    def answers(self, count: int, seed: int) -> list[list[int]]:
        draw, found = np.random.default_rng(seed), []
        for _ in range(count):
            text = [WORDS]
            while len(text) == 1 or text[-1] != WORDS:
                text.append(int(draw.choice(WORDS + 1, p=self.chance[text[-1]])))
            found.append(text[1:])
        return found

    def _side(self, tokenizer: PreTrainedTokenizerFast) -> Side:
        words = [tuple(tokenizer(word, add_special_tokens=False)["input_ids"]) for word in self.words]
        words.append((tokenizer.eos_token_id,))
        states: dict[tuple[int, tuple[int, ...]], int] = {}
        for before in range(WORDS + 1):
            for tokens in words:
                for at in range(len(tokens)):
                    states.setdefault((before, tokens[:at]), len(states))
        return Side(Spelling(tokenizer), words, states)

    def _exact(self, side: Side) -> Tensor:
        """log of the exact distribution over the next token in every state."""
        mass = np.full((len(side.states), side.spelling.size), 1e-12)
        for before in range(WORDS + 1):
            for word, tokens in enumerate(side.words):
                for at, token in enumerate(tokens):
                    mass[side.states[before, tokens[:at]], token] += self.chance[before, word]
        return torch.tensor(mass).log().float()

    def distance(self, logits: Tensor) -> float:
        """The exact KL between texts, in nats a word."""
        log_q = logits.double().log_softmax(-1).numpy()
        side, table = self.student, np.zeros((WORDS + 1, WORDS + 1))
        for before in range(WORDS + 1):
            for word, tokens in enumerate(side.words):
                table[before, word] = sum(
                    log_q[side.states[before, tokens[:at]], token] for at, token in enumerate(tokens)
                )
        visits, at = np.zeros(WORDS + 1), np.eye(WORDS + 1)[WORDS]
        for _ in range(200):
            visits += at
            at = at @ self.chance
            at[WORDS] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(self.chance > 0, self.chance * (np.log(self.chance) - table), 0.0)
        return float(visits / visits.sum() @ terms.sum(1))


def bpe(size: int, texts: list[str]) -> PreTrainedTokenizerFast:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="</s>")


@dataclass
class Piece:
    """One answer on both sides, teacher first: tokens, states, and the range of every group."""

    tokens: tuple[list[int], list[int]]
    states: tuple[list[int], list[int]]
    ranges: tuple[list[tuple[int, int]], list[tuple[int, int]]]


def piece_of(world: World, answer: list[int]) -> Piece:
    tokens, states, spans = [], [], []
    for side in (world.teacher, world.student):
        pairs = [
            (token, side.states[before, side.words[word][:at]])
            for before, word in zip([WORDS, *answer], answer, strict=False)
            for at, token in enumerate(side.words[word])
        ]
        tokens.append([token for token, _ in pairs])
        states.append([state for _, state in pairs])
        spans.append(side.spelling.spans(tokens[-1], "".join(world.words[word] for word in answer[:-1])))
    groups = align(*spans)
    ranges = (
        [(one.teacher_start, one.teacher_stop) for one in groups],
        [(one.student_start, one.student_stop) for one in groups],
    )
    return Piece((tokens[0], tokens[1]), (states[0], states[1]), ranges)


def batch_of(world: World, pieces: list[Piece]) -> Batch:
    paths, states = [], []
    for side in (0, 1):
        tokens: list[int] = []
        ranges: list[tuple[int, int]] = []
        for one in pieces:
            ranges.extend((start + len(tokens), stop + len(tokens)) for start, stop in one.ranges[side])
            tokens.extend(one.tokens[side])
        paths.append(Path.of(tokens, ranges))
        states.append(torch.tensor([state for one in pieces for state in one.states[side]]))
    classes = (world.match.teacher_class, world.match.student_class)
    heads = [torch.from_numpy(one)[path.tokens[path.first]] for one, path in zip(classes, paths, strict=True)]
    split = (paths[0].lengths != 1) | (paths[1].lengths != 1) | (heads[0] != heads[1])
    return Batch(states[0], states[1], paths[0], paths[1], split)


def vocabularies(match: VocabularyMatch, bucket: bool) -> tuple[Vocabulary, Vocabulary]:
    found = []
    for column, classes in enumerate((match.teacher_class, match.student_class)):
        named, all_of = torch.from_numpy(match.pairs[:, column]), torch.from_numpy(classes)
        if bucket:
            all_of = torch.full_like(all_of, len(named)).scatter(0, named, torch.arange(len(named)))
        found.append(Vocabulary.of(named, all_of))
    return found[0], found[1]


def train(world: World, pieces: list[Piece], loss: Loss, bucket: bool) -> float:
    theirs, ours = vocabularies(world.match, bucket)
    logits = torch.zeros(len(world.student.states), world.student.spelling.size, requires_grad=True)
    optimizer, draw = torch.optim.Adam([logits], lr=RATE), random.Random(0)
    for step in range(STEPS):
        batch = batch_of(world, draw.sample(pieces, min(BATCH, len(pieces))))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (0.01 + 0.5 * (1 + math.cos(math.pi * step / STEPS)))
        total = loss(logits[batch.student_states], world.teacher_logits[batch.teacher_states], batch, ours, theirs)
        optimizer.zero_grad()
        (total / len(batch.student_states)).backward()
        optimizer.step()
    return world.distance(logits.detach())


def main(seeds: range) -> None:
    torch.set_num_threads(1)
    for sizes in PAIRS:
        for count in ANSWERS:
            found: dict[str, list[float]] = {name: [] for name in OBJECTIVES}
            for seed in seeds:
                world = World(seed, sizes)
                pieces = [piece_of(world, answer) for answer in world.answers(count, seed + 5)]
                for name, (loss, bucket) in OBJECTIVES.items():
                    found[name].append(train(world, pieces, loss, bucket))
            print(f"teacher {sizes[0]} tokens, student {sizes[1]}, {count} answers: KL between texts, nats a word")
            for name, values in found.items():
                print(f"  {name:>26}: {np.mean(values):6.3f} ± {np.std(values):.3f}", flush=True)


if __name__ == "__main__":
    main(range(int(sys.argv[1])) if len(sys.argv) > 1 else SEEDS)
