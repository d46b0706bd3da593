"""Which label a local model finds most likely as its whole answer: an exact best-first search over labels' tokens.

Text is told apart token by token, and what a beginning has lost in probability no label that begins so can regain. So
the most probable beginning is followed first, and the search is over once it is a whole label: a model that is sure
reads few tokens more than it would write, however many labels there are.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from potstill.evaluate.fidelity import answer_logits
from potstill.models.local import LocalModel
from potstill.models.prefix import left_pad, prefix_cache, right_pad, shared_prefix_length
from potstill.rendering import join, render_answer

_PROMPTS_AT_ONCE = 64


@torch.inference_mode()
def likeliest_labels(model: LocalModel, prompts: Sequence[tuple[int, ...]], labels: Sequence[str]) -> list[str]:
    """For each prompt, in the model's own tokens, the label with the greatest log P(label, end of turn | prompt).

    The end of turn counts, so that a label which another one begins with has no advantage. Of equally likely labels
    the first is taken. Raises RecipeError where prompt and label are longer than the model's context.
    """
    written = [tuple(render_answer(model.tokenizer, label)) for label in labels]
    longest = max(written, key=len)
    for prompt in prompts:
        join(prompt, longest, model.context_tokens, "evaluate.task.labels")
    tree = _tree(written, range(len(written)), 0)
    different = sorted(set(prompts), key=lambda prompt: (len(prompt), prompt))  # alike in length, so little padding
    known: dict[tuple[int, ...], str] = {}
    for start in range(0, len(different), _PROMPTS_AT_ONCE):
        few = different[start : start + _PROMPTS_AT_ONCE]
        known |= {prompt: labels[at] for prompt, at in zip(few, _search(model, few, tree), strict=True)}
    return [known[prompt] for prompt in prompts]


@dataclass(frozen=True, slots=True)
class _Node:
    """Tokens that some labels begin with, up to where these part, or to the end of one."""

    tokens: tuple[int, ...]  # from the label's beginning
    scored: int  # how many of them the way to this node has paid for
    first: int  # of the labels that begin so
    children: Mapping[int, "_Node"]  # by the token after these; none at the end of a label


def _tree(written: Sequence[tuple[int, ...]], members: Sequence[int], scored: int) -> _Node:
    """The labels with these numbers, which agree in their first `scored` tokens; none is the beginning of another."""
    first = written[members[0]]
    length = scored
    while length < len(first) and all(written[at][length] == first[length] for at in members):
        length += 1
    if length == len(first):
        return _Node(first, scored, members[0], {})
    parted: dict[int, list[int]] = {}
    for at in members:
        parted.setdefault(written[at][length], []).append(at)
    children = {token: _tree(written, few, length + 1) for token, few in parted.items()}
    return _Node(first[:length], scored, members[0], children)


_Entry = tuple[float, int, _Node, bool]  # minus log P so far, the first label, the node, whether all of it is scored


def _search(model: LocalModel, prompts: Sequence[tuple[int, ...]], tree: _Node) -> list[int]:
    """The number of each prompt's likeliest label."""
    read = _Prompts(model, prompts)
    heaps: list[list[_Entry]] = [[(0.0, tree.first, tree, False)] for _ in prompts]
    chosen: dict[int, int] = {}
    active = list(range(len(prompts)))
    while active:
        going: list[int] = []  # places among the active
        opened: list[_Entry] = []
        for place, row in enumerate(active):
            entry = heapq.heappop(heaps[row])
            if entry[3]:
                chosen[row] = entry[1]
            else:
                going.append(place)
                opened.append(entry)
        if len(going) < len(active):
            read.keep(going)
            active = [active[place] for place in going]
        if active:
            for row, entry, log_p in zip(active, opened, read.follow([one[2] for one in opened]), strict=True):
                for further in _further(entry, log_p):
                    heapq.heappush(heaps[row], further)
    return [chosen[row] for row in range(len(prompts))]


def _further(entry: _Entry, log_p: Tensor) -> list[_Entry]:
    """What an opened node leads to, given the log-probabilities (tokens, V) after each of its tokens' predecessors."""
    lost, first, node, _ = entry
    own = node.tokens[node.scored :]
    lost -= float(log_p[range(len(own)), list(own)].double().sum())
    if not node.children:
        return [(lost, first, node, True)]
    after = log_p[-1, list(node.children)].double().tolist()
    return [(lost - one, child.first, child, False) for one, child in zip(after, node.children.values(), strict=True)]


class _Prompts:
    """Keys and values of a batch of prompts, but for each one's last token, which is read anew with what follows."""

    def __init__(self, model: LocalModel, prompts: Sequence[tuple[int, ...]]) -> None:
        self._model, network = model, model.network
        beginnings = [prompt[:-1] for prompt in prompts]
        shared = shared_prefix_length(beginnings, [len(one) for one in beginnings])
        rest, mask = left_pad([one[shared:] for one in beginnings], 0)
        self._last = [prompt[-1] for prompt in prompts]
        self._lengths = torch.tensor([len(one) for one in beginnings])
        self._mask = torch.cat([mask.new_ones(len(prompts), shared), mask], 1)
        self._cache = prefix_cache(network, torch.tensor([beginnings[0][:shared]]), len(prompts))
        if rest.shape[1]:
            positions = (self._mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
            network.base_model(
                input_ids=rest, attention_mask=self._mask, position_ids=positions, cache=self._cache, use_cache=True
            )

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these of the prompts."""
        kept = torch.tensor(places, dtype=torch.long)
        self._cache.batch_select_indices(kept)
        self._mask, self._lengths = self._mask[kept], self._lengths[kept]
        self._last = [self._last[place] for place in places]

    def follow(self, nodes: Sequence[_Node]) -> list[Tensor]:
        """For each prompt the log-probabilities (tokens, V) that its node's own tokens and children are chosen by."""
        # The end of a label is only scored, never read.
        paths = [
            (last, *(node.tokens if node.children else node.tokens[:-1]))
            for last, node in zip(self._last, nodes, strict=True)
        ]
        tokens = right_pad(paths, 0)  # what stands behind a path is seen by none of its tokens
        states = self._model.network.base_model(
            input_ids=tokens,
            attention_mask=torch.cat([self._mask, self._mask.new_ones(tokens.shape)], 1),
            position_ids=self._lengths[:, None] + torch.arange(tokens.shape[1]),
            cache=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._cache.crop(-tokens.shape[1])
        wanted = [states[row, node.scored : len(paths[row])] for row, node in enumerate(nodes)]
        log_p = torch.log_softmax(answer_logits(self._model, torch.cat(wanted)), -1)
        return list(torch.split(log_p, [len(one) for one in wanted]))
