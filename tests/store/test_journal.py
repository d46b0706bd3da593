"""The journal: durable, idempotent, resumable, and honest about what is wrong with its file."""

import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from potstill.errors import PotstillError
from potstill.records import Message, Prompt, Reply, canonical_json, content_hash
from potstill.store.journal import Failure, Finish, Journal, Request, make_request
from potstill.store.migrations import VERSION


def request(
    text: str, *, sample: int = 0, split: str = "train", base_url: str = "http://a/v1", **body: object
) -> Request:
    messages = [{"role": "user", "content": text}]
    prompt = Prompt((Message("user", text),), split, "test", content_hash(messages))
    return make_request(prompt, sample, {"model": "m", "messages": messages, "temperature": 0.7, **body}, base_url)


def requests(number: int) -> list[Request]:
    return [request(f"question {at}") for at in range(number)]


def done(one: Request | str, text: str = "fine", **more: object) -> Finish:
    key = one if isinstance(one, str) else one.key
    return Finish(key, Reply(text, "stop", input_tokens=3, output_tokens=2), "ok", **more)


@pytest.fixture
def journal(tmp_path: Path):
    with Journal(tmp_path / "answers.sqlite") as opened:
        yield opened


def test_adding_is_idempotent_and_keeps_the_order(journal: Journal) -> None:
    asked = requests(2500)  # more than one page
    assert journal.add(asked) == 2500
    assert journal.add(asked) == 0
    assert [row.key for row in journal.pending()] == [one.key for one in asked]


def test_an_answer_comes_back_whole(journal: Journal) -> None:
    one = request("q")
    top = ({"token": "a", "logprob": -0.5, "top": [["a", -0.5], ["b", -1.0]]},)
    reply = Reply("日本 text\x00", "stop", "thought", 10, 4, 7, 5, "served", top)
    journal.add([one])
    journal.finish(Finish(one.key, reply, "ok", '{"raw": 1}', 0.25, 1.5, 2))
    row = next(journal.answers(with_logprobs=True))
    assert row.reply == reply
    assert (row.use, row.cost_usd, row.seconds, row.attempts, row.state) == ("ok", 0.25, 1.5, 2, "done")
    assert row.request["body"]["messages"][0]["content"] == "q"
    assert journal.raw(one.key) == '{"raw": 1}'
    assert next(journal.answers()).reply.top_logprobs == ()


@pytest.mark.parametrize(
    "other",
    [
        request("q", sample=1),
        request("q", base_url="http://b/v1"),
        request("q", model="n"),
        request("q", temperature=0.8),
        request("q", seed=1),
        request("q", tools=[{"type": "function"}]),
        request("q", messages=[{"role": "system", "content": "be brief"}, {"role": "user", "content": "q"}]),
    ],
)
def test_whatever_can_change_the_answer_changes_the_key(other: Request) -> None:
    assert other.key != request("q").key


def test_only_what_has_no_answer_is_pending(journal: Journal) -> None:
    a, b, c, d = requests(4)
    journal.add([a, b, c, d])
    journal.finish(done(a))
    journal.fail(b.key, "HTTP 400: too long")
    journal.fail(c.key, "HTTP 500: no", permanent=False, attempts=6)
    assert [row.key for row in journal.pending()] == [d.key]
    assert journal.retry_errors() == 1
    assert [row.key for row in journal.pending()] == [c.key, d.key]
    assert journal.retry_errors(permanent=True) == 1
    assert [row.key for row in journal.pending()] == [b.key, c.key, d.key]


def test_sent_without_an_answer_is_pending_again_at_the_next_start(tmp_path: Path) -> None:
    asked = requests(3)
    with Journal(tmp_path / "j") as journal:
        journal.add(asked)
        journal.mark_sent([asked[0].key, asked[1].key])
        journal.finish(done(asked[0]))
        assert (journal.counts().sent, journal.counts().pending) == (1, 1)
    with Journal(tmp_path / "j", read_only=True) as journal:
        assert journal.counts().sent == 1
    with Journal(tmp_path / "j") as journal:
        assert [row.key for row in journal.pending()] == [one.key for one in asked[1:]]


def test_rows_of_another_recipe_wait_unasked_and_serve_again(journal: Journal) -> None:
    cold, warm = [request("q", temperature=0.0)], [request("q", temperature=1.0)]
    journal.add(cold, "cold")
    journal.finish(done(cold[0], cost_usd=0.5))
    journal.add(warm, "warm")
    assert journal.holds("warm")
    assert not journal.holds("cold")
    assert [row.key for row in journal.rows()] == [warm[0].key]
    assert journal.counts().total == 1
    assert journal.spent_usd() == 0.5
    assert journal.add(cold, "cold") == 0
    assert [row.reply.text for row in journal.answers()] == ["fine"]


def test_a_half_added_plan_is_not_held(journal: Journal) -> None:
    journal.add(requests(1), "old")

    def breaking():
        yield from requests(1500)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        journal.add(breaking(), "new")
    assert not journal.holds("new")
    assert not journal.holds("old")
    assert journal.add(requests(1500), "new") == 500


def test_an_answer_is_never_overwritten_and_an_unknown_key_is_an_error(journal: Journal) -> None:
    one = request("q")
    journal.add([one])
    journal.finish(done(one, "first"))
    journal.finish(done(one, "second"))
    journal.fail(one.key, "late")
    assert [row.reply.text for row in journal.answers()] == ["first"]
    with pytest.raises(KeyError):
        journal.finish(done("nobody"))


def test_a_batch_is_kept_whole_or_not_at_all(journal: Journal) -> None:
    asked = requests(2)
    journal.add(asked)
    with pytest.raises(KeyError):
        journal.finish_many([done(asked[0]), done("nobody")])
    assert journal.counts().done == 0
    journal.settle([done(asked[0]), Failure(asked[1].key, "HTTP 400: no")])
    assert (journal.counts().done, journal.counts().error) == (1, 1)
    assert journal.common_errors() == [("HTTP 400: no", 1)]


def test_counts_by_use_and_by_cost(journal: Journal) -> None:
    asked = requests(3)
    journal.add(asked)
    cut = Finish(asked[1].key, Reply("half", "length"), "truncated", cost_usd=None)
    journal.finish_many([done(asked[0], cost_usd=0.1), cut])
    assert journal.counts().use == {"ok": 1, "truncated": 1}
    assert [row.key for row in journal.answers(["truncated"])] == [asked[1].key]
    assert [row.key for row in journal.unpriced()] == [asked[1].key]


def test_finished_rows_are_readable_by_others_while_it_is_open(journal: Journal) -> None:
    asked = requests(10)
    journal.add(asked)
    journal.finish_many(done(one) for one in asked[:5])
    other = sqlite3.connect(journal.path)
    assert other.execute("SELECT count(*) FROM requests WHERE state = 'done' AND text = 'fine'").fetchone() == (5,)
    other.close()


def test_it_may_be_used_from_several_threads(journal: Journal) -> None:
    asked = requests(200)
    journal.add(asked)
    parts = [asked[at::4] for at in range(4)]
    threads = [threading.Thread(target=lambda part=part: [journal.finish(done(o)) for o in part]) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.counts().done == 200


def test_closed_it_is_one_file_that_opening_again_does_not_change(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with Journal(path) as journal:
        journal.add(requests(50), "plan")
        journal.finish_many(done(one) for one in requests(50))
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert not list(tmp_path.glob("*-wal"))
    with Journal(path) as journal:
        assert journal.holds("plan")
        journal.retry_errors()
        assert journal.counts().done == 50
    with Journal(path, read_only=True) as journal:
        assert sum(1 for _ in journal.answers()) == 50
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_a_second_writer_is_refused_and_a_reader_is_not(journal: Journal) -> None:
    with pytest.raises(PotstillError, match="another process is collecting"):
        Journal(journal.path)
    with Journal(journal.path, read_only=True) as reader:
        assert reader.counts().total == 0


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    Journal(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(PotstillError, match=rf"newer Potstill \(journal version {VERSION + 1}.*update potstill"):
        Journal(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database at all, but rather long " * 40)
    with pytest.raises(PotstillError, match="damaged or not a journal"):
        Journal(tmp_path / "text")
    db = sqlite3.connect(tmp_path / "foreign")
    db.execute("CREATE TABLE t (a)")
    db.close()
    with pytest.raises(PotstillError, match="not a journal of Potstill"):
        Journal(tmp_path / "foreign")
    with pytest.raises(PotstillError, match="no such journal"):
        Journal(tmp_path / "missing", read_only=True)
    with pytest.raises(PotstillError, match="cannot be written"):
        Journal(tmp_path / "no" / "folder")


def test_a_full_disk_is_one_clear_line_and_loses_nothing(journal: Journal) -> None:
    asked = requests(20)
    journal.add(asked)
    journal.finish(done(asked[0]))
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(PotstillError, match=r"answers\.sqlite: no space left on the disk"):
        journal.finish_many(done(one, "long " * 10_000) for one in asked[1:])
    assert [row.key for row in journal.answers()] == [asked[0].key]


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_journal import done, requests
from potstill.store.journal import Journal
journal = Journal(Path({path!r}))
journal.add(requests(10))
journal.mark_sent(one.key for one in requests(8))
journal.finish_many(done(one) for one in requests(5))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_finish_returned_for_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    script = _KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with Journal(path) as journal:
        assert journal._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert journal.counts().done == 5
        assert len(list(journal.pending())) == 5


def test_what_is_sent_is_the_body_that_the_key_was_taken_of(journal: Journal) -> None:
    bodies = [
        {"temperature": 1e-07, "note": 'ä \u2028 \\ " 😀'},
        {"seed": 2**31 - 1, "deep": {"b": [1.50, None, True]}},
    ]
    for text, more in zip("ab", bodies, strict=True):
        journal.add([request(text, **more)])
        [row] = journal.turn([], 1)
        assert row.body == json.loads(row.spelled)
        assert row.spelled == canonical_json(row.body).encode()
        assert more.items() <= row.body.items()
