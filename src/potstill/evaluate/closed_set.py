"""What a task with labels comes to without a language model: its most frequent label, and TF-IDF with a classifier."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from potstill.answers import answer_texts
from potstill.config import Recipe
from potstill.evaluate.metrics.labels import named_label
from potstill.texts.tf_idf import SparseRows, TfIdf

_INVERSE_PENALTY = 10.0  # C of scikit-learn's LogisticRegression; its default of 1 is much for vectors of length 1
_STEPS = 200
_TOLERANCE = 1e-5  # of the largest gradient of the mean loss


class LabelClassifier:
    """Multinomial logistic regression on TF-IDF vectors of prompts.

    It is the minimum of Σ −log softmax(x·W + b)[y] + ‖W‖² / 2C over the given texts (Hastie, Tibshirani & Friedman
    2009, section 4.4, with a ridge), C = 10, found by L-BFGS in float64: no random numbers.
    """

    def __init__(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        if not texts:
            raise ValueError("there is nothing to learn from")
        self._labels = sorted(set(labels))
        self._vectors = TfIdf(texts)
        place = {label: at for at, label in enumerate(self._labels)}
        x = as_tensor(self._vectors.rows(texts))
        y = torch.tensor([place[label] for label in labels])
        self._weight, self._bias = _fit(x, y, len(self._labels))

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The likeliest label of each text."""
        scores = torch.sparse.mm(as_tensor(self._vectors.rows(texts)), self._weight) + self._bias
        return [self._labels[at] for at in scores.argmax(-1).tolist()]


def as_tensor(found: SparseRows) -> Tensor:
    """The matrix as a sparse tensor (texts, terms)."""
    places = torch.from_numpy(np.stack([found.rows, found.columns]))
    values = torch.from_numpy(found.values)
    return torch.sparse_coo_tensor(places, values, found.shape, check_invariants=True).coalesce()


def _fit(x: Tensor, y: Tensor, labels: int) -> tuple[Tensor, Tensor]:
    """W (terms, labels) and b (labels,)."""
    n = len(y)
    weight, bias = torch.zeros(x.shape[1], labels, dtype=x.dtype), torch.zeros(labels, dtype=x.dtype)
    turned, rows = x.t().coalesce(), torch.arange(n)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, tolerance_grad=_TOLERANCE, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        log_p = torch.log_softmax(torch.sparse.mm(x, weight) + bias, -1)
        slope = log_p.exp()
        slope[rows, y] -= 1
        weight.grad = (torch.sparse.mm(turned, slope) + weight / _INVERSE_PENALTY) / n
        bias.grad = slope.sum(0) / n
        return (weight.square().sum() / (2 * _INVERSE_PENALTY) - log_p[rows, y].sum()) / n

    if labels > 1:
        solver.step(loss)  # type: ignore[no-untyped-call]  # untyped in torch
    return weight, bias


def most_frequent(labels: Sequence[str]) -> str:
    """The label that stands there most often; of equally frequent ones the first in the alphabet."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def closed_set_answers(
    recipe: Recipe, folder: Path, labels: tuple[str, ...], prompts: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """The labels that the two baselines, `majority` and `tfidf`, give to these prompts, and facts about them.

    Both learn from the teacher's answers to the training prompts, as the student does: from those that name one label.
    None where no answer names any.
    """
    texts, named, answers = [], [], 0
    for prompt, answer in answer_texts(folder, "train", recipe.collect.uses):
        answers += 1
        label = named_label(answer, labels)
        if label is not None:
            texts.append(prompt)
            named.append(label)
    facts = {"answers": answers, "named": len(named)}
    if not named:
        return {}, facts
    found = {"majority": [most_frequent(named)] * len(prompts), "tfidf": LabelClassifier(texts, named).predict(prompts)}
    return found, facts
