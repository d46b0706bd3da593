"""Clusters of texts by their words: found again, named by them, the same every time."""

import numpy as np

from potstill.texts.clusters import cluster_texts

TOPICS = {
    "card": "lost card stolen replace card number", "loan": "loan rate interest mortgage bank",
    "trip": "flight hotel trip passport visa", "food": "recipe salt oven bread flour",
}  # fmt: skip


def texts(each: int = 40) -> tuple[list[str], list[int]]:
    draw, found, truth = np.random.default_rng(0), [], []
    for at, words in enumerate(TOPICS.values()):
        for _ in range(each):
            found.append("how do I " + " ".join(draw.choice(words.split(), 4)))
            truth.append(at)
    order = draw.permutation(len(found))
    return [found[at] for at in order], [truth[at] for at in order]


def test_topics_are_found_and_named() -> None:
    given, truth = texts()
    found = cluster_texts(given, 4)
    pairs = set(zip(found.of.tolist(), truth, strict=True))
    assert len(pairs) == 4  # each cluster is one topic
    for cluster, topic in pairs:
        own = set(list(TOPICS.values())[topic].split())
        assert set(found.names[cluster].split(", ")) <= own  # "how do I" tells none apart
    sizes = np.bincount(found.of)
    assert (np.diff(sizes) <= 0).all()


def test_equal_texts_give_equal_clusters() -> None:
    given, _ = texts()
    one, other = cluster_texts(given, 4, seed=3), cluster_texts(given, 4, seed=3)
    assert (one.of == other.of).all()
    assert one.names == other.names


def test_a_text_without_a_shared_word_is_in_none() -> None:
    given, _ = texts()
    found = cluster_texts([*given, "xyzzy", ""], 4)
    assert found.of[-2:].tolist() == [-1, -1]
    assert (found.of[:-2] >= 0).all()


def test_where_nothing_is_shared_there_are_no_clusters() -> None:
    for given in ([], ["one", "two", "three"], ["the same"] * 50, [""] * 9):
        found = cluster_texts(given, 3)
        assert found.names == ()
        assert (found.of == -1).all()


def test_more_texts_than_the_centres_are_found_on() -> None:
    given, truth = texts(1100)
    found = cluster_texts(given, 4)
    assert len(set(zip(found.of.tolist(), truth, strict=True))) == 4
