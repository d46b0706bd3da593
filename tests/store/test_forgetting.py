"""That what is forgotten cannot be read from the files any more, and that its cost still counts."""

import json
import sqlite3
from pathlib import Path

import pytest

from potstill.config import Prices
from potstill.records import Message, Prompt, Reply
from potstill.store.batches import BatchLog
from potstill.store.entries import Finish, Request, make_request
from potstill.store.forgetting import foreign_rows, forget_rows, forget_scores
from potstill.store.journal import Journal
from potstill.store.scores import Score, Scores

PRICES = Prices(input=1.0, output=2.0)


def request(name: str) -> Request:
    prompt = Prompt((Message("user", f"question of {name}"),), "train", "a.jsonl:1", f"hash of {name}")
    body = {"model": "m", "messages": [one.plain for one in prompt.messages], "max_tokens": 10}
    return make_request(prompt, 0, body, "http://host/v1")


def filled(path: Path) -> list[Request]:
    requests = [request(name) for name in ("acme", "bolt", "crane")]
    with Journal(path) as journal:
        journal.add(requests, "plan")
        for one, cost in zip(requests, (0.5, None, 0.25), strict=True):
            name = one.prompt_hash.removeprefix("hash of ")
            answer = Reply(f"answer to {name} " * 400, "stop", reasoning=f"thoughts on {name}")
            journal.finish(Finish(one.key, answer, "ok", raw=json.dumps(f"raw of {name}"), cost_usd=cost))
        with BatchLog(path) as log:
            log.read(log.prepare("tag", [one.key for one in requests], "0", "http://host/v1", 1.0))
    return requests


def test_nothing_of_a_forgotten_prompt_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    acme, bolt, crane = filled(path)
    assert b"answer to acme" in path.read_bytes()
    assert foreign_rows(path, {crane.prompt_hash}) == 2
    forget_rows(path, {crane.prompt_hash}, PRICES)
    left = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    for gone in (acme, bolt):
        name = gone.prompt_hash.removeprefix("hash of ")
        for text in (f"question of {name}", f"answer to {name}", f"thoughts on {name}", f"raw of {name}", gone.key):
            assert text.encode() not in left, text
    with Journal(path) as journal:
        (row,) = journal.answers()
        assert row.key == crane.key
        assert not journal.holds("plan")
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM batch_requests").fetchone() == (1,)
    db.close()
    assert foreign_rows(path, {crane.prompt_hash}) == 0


def test_what_was_forgotten_still_counts_as_spent(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    acme, bolt, crane = filled(path)
    with Journal(path, read_only=True) as journal:
        assert journal.spent_usd() == 0.75
    forget_rows(path, {bolt.prompt_hash, crane.prompt_hash}, PRICES)
    with Journal(path, read_only=True) as journal:
        assert journal.spent_usd() == 0.75
    forget_rows(path, set(), PRICES)  # bolt's cost is not known: the most that it can have been counts
    with Journal(path, read_only=True) as journal:
        assert journal.spent_usd() == pytest.approx(0.75 + 2e-5, abs=2e-4)
        assert journal.spent_usd() > 0.75 + 2e-5
    assert acme.key


def test_no_journal_has_no_rows(tmp_path: Path) -> None:
    assert foreign_rows(tmp_path / "answers.sqlite", set()) == 0
    forget_scores(tmp_path / "scores.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_scores_keep_their_cost_alone(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    Scores(path).add([Score("key of acme", (-0.125, -2.5), 7, 2, 0.5), Score("key of bolt", (-1.0,), 3, 1, None)])
    before = Scores(path)
    forget_scores(path)
    after = Scores(path)
    assert (after.spending, after.spent_usd(PRICES)) == (before.spending, before.spent_usd(PRICES))
    assert after.get("key of acme") is None
    assert "acme" not in path.read_text()
    assert "-2.5" not in path.read_text()
