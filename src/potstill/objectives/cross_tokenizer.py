"""Divergences between models that cut one text into different tokens, over what both vocabularies can tell apart.

P is the teacher, Q the student, everything in nats and reduced in fp32 or wider. Shapes: `n` rows of logits, one for a
token of the answer; `G` groups of tokens that write the same bytes; `V` the model's own vocabulary; `M` classes that
both vocabularies share, named by their matched pairs. docs/objectives.md, "Cross-tokenizer", derives what stands here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from potstill.errors import RecipeError
from potstill.objectives.dense import KINDS, forward_kl

# log 1e-8, a mass that both sides get where one of them may have none. It makes every divergence finite, and leaves it
# a divergence, because both get the same.
_FLOOR = -18.420680743952367
# A path leaves at least this share of its class; below it differences in fp32 are noise.
_LEFT = 1e-6


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How one model's V tokens fall into the M classes that both vocabularies share, and one more for the rest.

    `named` (M,): the token that stands for each class on this side. `class_of` (V,): every token's class, M for the
    rest. `joined` (E,): the unmatched tokens that count with a class, `columns` (K,) the classes that have any, and
    `place` (E,) where among them each one belongs. `rest` (R,): the tokens that count with none.
    """

    named: Tensor
    class_of: Tensor
    joined: Tensor
    columns: Tensor
    place: Tensor
    rest: Tensor

    @classmethod
    def of(cls, named: Tensor, class_of: Tensor) -> "Vocabulary":
        """From the named tokens and the classes of all; the others follow, on the same device."""
        unmatched = torch.ones_like(class_of, dtype=torch.bool)
        unmatched[named] = False
        joined = (unmatched & (class_of < len(named))).nonzero().flatten()
        columns, place = class_of[joined].unique(return_inverse=True)  # type: ignore[no-untyped-call]  # untyped in torch
        return cls(named, class_of, joined, columns, place, (class_of == len(named)).nonzero().flatten())

    def cut(self, logits: Tensor, role: str) -> Tensor:
        """Logits without the rows past the tokenizer's ids. Raises RecipeError where the model has fewer than that."""
        if logits.shape[-1] < len(self.class_of):
            raise RecipeError(
                f"the {role} has {logits.shape[-1]} output rows but its tokenizer {len(self.class_of)} tokens; they do "
                "not belong together"
            )
        return logits[..., : len(self.class_of)]

    @property
    def unmatched(self) -> Tensor:
        """(U,) the tokens without a partner in the other vocabulary."""
        return torch.cat([self.joined, self.rest])


@dataclass(frozen=True, slots=True)
class Path:
    """The tokens that one side took: `tokens` (n,), the one that each row of logits predicts.

    `group` (n,): the number of each row's group, -1 for a token that the other side has no part in.
    `first` (G,): the row of each group's first token.
    """

    tokens: Tensor
    group: Tensor
    first: Tensor

    @classmethod
    def of(cls, tokens: Sequence[int], ranges: Sequence[tuple[int, int]], device: Any = None) -> "Path":
        """From the tokens (n,) and the first and last row, the last not included, of each of G groups in order."""
        group = [-1] * len(tokens)
        for number, (start, stop) in enumerate(ranges):
            group[start:stop] = [number] * (stop - start)
        columns = (list(tokens), group, [start for start, _ in ranges])
        return cls(*(torch.tensor(one, dtype=torch.long, device=device) for one in columns))

    @property
    def lengths(self) -> Tensor:
        """(G,) how many tokens each group has on this side."""
        return self.group[self.group >= 0].bincount(minlength=len(self.first))

    def rows(self, start: int, stop: int) -> tuple["Path", slice]:
        """The part over some rows, and which groups begin there; a group may have begun before."""
        low, high = torch.searchsorted(self.first, self.first.new_tensor([start, stop])).tolist()
        return Path(self.tokens[start:stop], self.group[start:stop], self.first[low:high] - start), slice(low, high)


class Terms(NamedTuple):
    """What training adds up: `divergence` (G,) of the classes, `within` (n,) of -log Q of the path within its class."""

    divergence: Tensor
    within: Tensor


class Refined(NamedTuple):
    """One model at G groups: log-probabilities (G, M+2) of the classes, the rest and the path taken.

    `path` (G,) is the log-probability of the group's own tokens by the chain rule; `unmatched` (G, U) are the
    probabilities of the unmatched tokens where the group begins, without the path.
    """

    log_probabilities: Tensor
    path: Tensor
    unmatched: Tensor


class Parts(NamedTuple):
    """What evaluation reports of each of G groups, apart: a divergence in nats, and an L1 distance from 0 to 2."""

    matched: Tensor
    unmatched: Tensor


def class_log_probabilities(logits: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Log-probabilities (G, M+1) of the classes, the rest last, from logits (G, V) where the groups begin."""
    return _classes(torch.log_softmax(_wide(logits), -1), vocabulary)


def training_terms(logits: Tensor, path: Path, vocabulary: Vocabulary, teacher_classes: Tensor) -> Terms:
    """The training loss of rows of student logits (n, V), to be summed; a row needs no other row, so any chunk will do.

    Forward KL of the classes at the beginning of every group (`teacher_classes` (G, M+1)), and the cross-entropy of
    the path within its class: -Σ log q of the group's tokens, with log Q of the first one's class given back. In
    expectation over the teacher's own answers its gradient is that of the KL divergence between texts. Never negative;
    the dense forward KL where the vocabularies are one.
    """
    wide = _wide(logits)
    log_q = wide - wide.logsumexp(-1, keepdim=True)
    taken = log_q.gather(-1, path.tokens[:, None]).squeeze(-1)
    classes = _classes(log_q[path.first], vocabulary)
    own = classes.gather(-1, vocabulary.class_of[path.tokens[path.first]][:, None]).squeeze(-1)
    within = torch.where(path.group >= 0, -taken, torch.zeros_like(taken)).index_add(0, path.first, own)
    return Terms(forward_kl(classes, teacher_classes), within)


def refine(logits: Tensor, path: Path, vocabulary: Vocabulary, split: Tensor) -> Refined:
    """Reduce a model's logits (n, V) at its own tokens to what both sides can tell apart at G groups.

    `split` (G,): where the path taken is an event of its own, taken out of the class of its first token. That is
    everywhere but in groups of one token on each side, the two in one class.
    """
    wide = _wide(logits)
    normaliser = wide.logsumexp(-1)
    taken = wide.gather(-1, path.tokens[:, None]).squeeze(-1) - normaliser
    inside = path.group >= 0
    paths = taken.new_zeros(len(path.first)).index_add(0, path.group[inside], taken[inside])
    first = wide[path.first] - normaliser[path.first, None]
    heads = path.tokens[path.first]
    classes = _classes(first, vocabulary)
    groups = split.nonzero().flatten()
    columns = vocabulary.class_of[heads[groups]]
    left = _take_out(classes[groups, columns], paths[groups])
    floor = torch.full_like(paths, _FLOOR)
    refined = torch.cat([classes.index_put((groups, columns), left), torch.where(split, paths, floor)[:, None]], -1)
    return Refined(refined, paths, _unmatched(first, heads, paths, vocabulary, split))


def per_group(kind: str, student: Refined, teacher: Refined, **options: Any) -> Parts:
    """The objective `kind` (any of `KINDS`) of every group, in two parts.

    Matched: the divergence between the two refined distributions. Never negative, a lower bound of that between the
    texts, and the dense objective where the vocabularies are one. Unmatched: `sorted_l1` of the unmatched tokens.
    Raises ValueError for an unknown kind or an option out of its range.
    """
    if kind not in KINDS:
        raise ValueError(f"no objective is called {kind!r}; there are {', '.join(KINDS)}")
    matched = KINDS[kind](student.log_probabilities, teacher.log_probabilities, **options)
    return Parts(matched, sorted_l1(student.unmatched, teacher.unmatched))


def sorted_l1(student: Tensor, teacher: Tensor) -> Tensor:
    """Σ_k |p_(k) - q_(k)| (G,) of probabilities (G, A) and (G, B), each sorted, the shorter filled up with zeros.

    The closed form of the Wasserstein distance of Boizard et al. 2024 (ULD). It compares the shapes of distributions
    whose entries nothing relates, so it is 0 for any permutation; from 0 to 2.
    """
    if student.shape[-1] > teacher.shape[-1]:
        student, teacher = teacher, student
    fewer, total = student.shape[-1], teacher.sum(-1)
    if fewer == 0:
        return total + student.sum(-1)
    # Behind the shorter side's last place there are only zeros to compare with: the sum is needed there, not the order.
    top = teacher.topk(fewer, -1).values
    return (student.sort(-1, descending=True).values - top).abs().sum(-1) + (total - top.sum(-1)).clamp(min=0)


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _classes(first: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Log-probabilities (G, M+1) of the classes and of the rest, from those of the tokens (G, V)."""
    named = first.index_select(1, vocabulary.named)
    if len(vocabulary.joined):
        columns, joined = vocabulary.columns, first.index_select(1, vocabulary.joined).exp()
        sums = first.new_zeros(len(first), len(columns)).index_add(1, vocabulary.place, joined)
        # Each class keeps its named token in log space, so that none can underflow to nothing.
        smallest = torch.finfo(sums.dtype).tiny
        both = torch.logaddexp(named.index_select(1, columns), sums.clamp(min=smallest).log())
        named = named.index_copy(1, columns, both)
    floor = first.new_full((len(first), 1), _FLOOR)
    rest = torch.cat([floor, first.index_select(1, vocabulary.rest)], -1).logsumexp(-1, keepdim=True)
    return torch.cat([named, rest], -1)


def _take_out(whole: Tensor, part: Tensor) -> Tensor:
    """log(e^whole - e^part), with at least a share `_LEFT` of the whole left."""
    return whole + torch.log(-torch.expm1((part - whole).clamp(max=-_LEFT)))


def _unmatched(first: Tensor, heads: Tensor, paths: Tensor, vocabulary: Vocabulary, split: Tensor) -> Tensor:
    """Probabilities (G, U) of the unmatched tokens, the path taken out of its first one."""
    tokens = vocabulary.unmatched
    probabilities = first.index_select(1, tokens).exp()
    place = torch.full_like(vocabulary.class_of, -1)
    place[tokens] = torch.arange(len(tokens), device=tokens.device)
    groups = (split & (place[heads] >= 0)).nonzero().flatten()
    columns = place[heads[groups]]
    left = (probabilities[groups, columns] - paths[groups].exp()).clamp(min=0)
    return probabilities.index_put((groups, columns), left)
