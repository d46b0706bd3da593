"""Baselines of tasks with labels: the classifier against scipy's minimum, and what the two learn from in a run."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from potstill.config import Recipe, recipe_from
from potstill.evaluate.closed_set import LabelClassifier, closed_set_answers, most_frequent
from potstill.records import Message, Prompt, Reply, content_hash
from potstill.store.journal import Finish, Journal, Use, make_request
from potstill.store.prompts import write_prompts
from potstill.texts.tf_idf import TfIdf

TEXTS = ("lost my card", "card is lost", "where is my money", "money not arrived", "top up failed", "failed top up now")
LABELS = ("lost card", "lost card", "transfer", "transfer", "top up", "top up")


def test_the_classifier_is_the_minimum_of_its_objective() -> None:
    rows = TfIdf(TEXTS).rows(TEXTS)
    x = np.zeros(rows.shape)
    x[rows.rows, rows.columns] = rows.values
    names = sorted(set(LABELS))
    y = np.array([names.index(one) for one in LABELS])
    shape = (x.shape[1] + 1, len(names))

    def objective(flat: np.ndarray) -> float:
        table = flat.reshape(shape)
        log_p = log_softmax(x @ table[:-1] + table[-1], axis=1)
        return float(-log_p[np.arange(len(y)), y].sum() + (table[:-1] ** 2).sum() / 20)

    best = minimize(objective, np.zeros(shape).ravel(), options={"gtol": 1e-7})
    made = LabelClassifier(TEXTS, LABELS)
    ours = np.vstack([made._weight.numpy(), made._bias.numpy()[None]])
    assert objective(ours.ravel()) == pytest.approx(best.fun, abs=1e-4)
    assert made.predict(TEXTS) == list(LABELS)
    assert made.predict(["i lost a card", "no money arrived"]) == ["lost card", "transfer"]


def test_one_label_and_none() -> None:
    assert LabelClassifier(["a", "b"], ["x", "x"]).predict(["c", ""]) == ["x", "x"]
    with pytest.raises(ValueError, match="nothing to learn from"):
        LabelClassifier([], [])
    assert most_frequent(["b", "a", "b", "a", "c"]) == "a"


def recipe() -> Recipe:
    data = {
        "name": "t", "teacher": {"endpoint": {"base_url": "http://localhost/v1", "model": "big"}},
        "prompts": {"source": "unused.jsonl"}, "student": {"kind": "model", "model": "path:./s"},
    }  # fmt: skip
    return recipe_from(data, Path("/"), "test")


def fill(folder: Path, given: list[tuple[str, str, str, Use]]) -> None:
    """A run folder as far as the baselines read it: text, answer, split and use of each prompt."""
    prompts = [
        Prompt((Message("user", text),), "holdout" if split == "holdout" else "train", f"t:{at}", content_hash(text))
        for at, (text, _, split, _) in enumerate(given)
    ]
    write_prompts(prompts, folder / "prompts.parquet")
    requests = [make_request(one, 0, {"model": "m"}, f"http://h/{at}") for at, one in enumerate(prompts)]
    with Journal(folder / "answers.sqlite") as journal:
        journal.add(requests)
        journal.finish_many(
            Finish(request.key, Reply(answer, "stop"), use)
            for request, (_, answer, _, use) in zip(requests, given, strict=True)
        )


def test_they_learn_from_the_usable_training_answers_that_name_a_label(tmp_path: Path) -> None:
    train: list[tuple[str, str, str, Use]] = [
        (text, f"It is {label}.", "train", "ok") for text, label in zip(TEXTS, LABELS, strict=True)
    ]
    odd: list[tuple[str, str, str, Use]] = [
        ("no idea at all", "I can't say", "train", "ok"), ("cut off", "transfer", "train", "truncated"),
        ("money money", "lost card", "holdout", "ok"), ("one more card", "lost card", "train", "ok"),
    ]  # fmt: skip
    fill(tmp_path, train + odd)
    labels = ("lost card", "transfer", "top up")
    found, facts = closed_set_answers(recipe(), tmp_path, labels, ["my money", "a card"])
    assert facts == {"answers": 8, "named": 7}
    assert found == {"majority": ["lost card", "lost card"], "tfidf": ["transfer", "lost card"]}
    none, facts = closed_set_answers(recipe(), tmp_path, ("unheard", "of"), ["my money"])
    assert (none, facts) == ({}, {"answers": 8, "named": 0})
