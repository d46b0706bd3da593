"""Batch mode against a real server: rows 4 and 12 of the collecting table, resumption from any kill, the budget."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from batch_server import BatchServer, Body, End, Work, all_answered, answered, expired, prompt, refused
from scripted_server import Step
from test_endpoint import Lines, collect, make_prompts, recipe, rows, table, wait_for

from potstill.collect.batch_lines import LineFault, custom_id, read_line
from potstill.errors import PotstillError
from potstill.models.batches import read_batch
from potstill.models.client import Retry
from potstill.records import Reply
from potstill.store.batches import BatchLog
from potstill.store.journal import Finish, Journal, make_request
from potstill.store.scores import JUDGEMENTS

PRICES = {"input": 1.0, "output": 2.0, "batch_discount": 0.5}


@pytest.fixture
def server():
    with BatchServer() as running:
        yield running


def batched(
    server: BatchServer, collect: dict[str, Any] | None = None, files: dict[str, Any] | None = None, **more: Any
):
    batch = {"poll_s": 20} | (files or {})
    return recipe(server.base_url, {"mode": "batch", "batch": batch} | (collect or {}), **more)


def test_row_12_answers_out_of_order_come_under_their_own_requests(server: BatchServer, tmp_path: Path) -> None:
    result = collect(batched(server, price_per_million=PRICES), make_prompts(25), tmp_path)
    assert (result.facts["answers"], result.facts["errors"]) == (25, 0)
    assert [row["answer"] for row in table(tmp_path)] == [f"re: question {at}" for at in range(25)]
    assert result.facts["cost_usd"] == pytest.approx(25 * (12 + 10) / 1e6 / 2)
    [work] = server.batches.values()
    assert work.data["completion_window"] == "24h"
    keys = {key for (key,) in rows(tmp_path, "SELECT key FROM requests")}
    assert {line["custom_id"] for line in work.lines} == {key[:32] for key in keys}
    assert all(line["method"] == "POST" and line["url"] == "/v1/chat/completions" for line in work.lines)
    before = len(server.operations)
    collect(batched(server), make_prompts(25), tmp_path)
    assert len(server.operations) == before


def test_row_12_foreign_repeated_unreadable_and_missing_lines(server: BatchServer, tmp_path: Path) -> None:
    def end(work: Work) -> End:
        if len(work.lines) < 5:
            return all_answered(work)
        _, second, *others = work.lines
        output = [
            answered({"custom_id": "0"}, "of another batch"),
            refused(second), answered(second, "after a failure"), answered(second, "again"),
            *(answered(line, f"re: {prompt(line)}") for line in others), {"no": "id"},
        ]  # fmt: skip
        return End(output=output)  # the first is missing

    server.end, reporter = end, Lines()
    collect(batched(server), make_prompts(5), tmp_path, reporter)
    answers = [row["answer"] for row in table(tmp_path)]
    assert answers == ["re: question 0", "after a failure", "re: question 2", "re: question 3", "re: question 4"]
    assert server.asked_prompts[5:] == ["question 0"]
    [words] = [line for line in reporter.said if "batch_0: completed" in line]
    assert "1 lines with an id that was not asked" in words
    assert "1 lines for a request that has its outcome" in words
    assert "1 lines that cannot be read" in words


def test_row_12_a_request_that_is_not_what_its_key_says_takes_no_answer(server: BatchServer, tmp_path: Path) -> None:
    def end(work: Work) -> End:
        db = sqlite3.connect(tmp_path / "answers.sqlite")
        with db:
            db.execute("UPDATE requests SET request = replace(request, 'question 1', 'question x')")
        db.close()
        return all_answered(work)

    server.end = end
    with pytest.raises(PotstillError, match="was changed in the journal"):
        collect(batched(server), make_prompts(2), tmp_path)
    assert rows(tmp_path, "SELECT count(*) FROM requests WHERE state = 'done'") == [(0,)]


def test_row_4_expired_keeps_seven_and_submits_three_again(server: BatchServer, tmp_path: Path) -> None:
    def end(work: Work) -> End:
        if len(work.lines) == 3:
            return all_answered(work)
        output = [answered(line, f"re: {prompt(line)}") for line in work.lines[:7]]
        return End("expired", output, [expired(line) for line in work.lines[7:]])

    server.end, reporter = end, Lines()
    result = collect(batched(server), make_prompts(10), tmp_path, reporter)
    assert result.facts["answers"] == 10
    assert [len(work.lines) for work in server.batches.values()] == [10, 3]
    assert server.asked_prompts[10:] == ["question 7", "question 8", "question 9"]
    assert any("expired, 7 answered, 3 requests not begun in time" in line for line in reporter.said)


def test_row_4_completed_without_output_tells_the_cause(server: BatchServer, tmp_path: Path) -> None:
    words = "Unsupported parameter: 'seed'"
    server.end = lambda work: End("completed", None, [refused(line, 400, words) for line in work.lines])
    reporter = Lines()
    with pytest.raises(PotstillError) as caught:
        collect(batched(server), make_prompts(9), tmp_path, reporter)
    assert f"answered none of 9 requests: 9 × HTTP 400: {words}" in str(caught.value)
    assert any(f"completed, 0 answered, 9 failed (9 × HTTP 400: {words})" in line for line in reporter.said)
    assert rows(tmp_path, "SELECT DISTINCT state, error FROM requests") == [("error", f"HTTP 400: {words}")]


def test_no_file_at_all_is_tried_so_often_and_then_an_error(server: BatchServer, tmp_path: Path) -> None:
    server.end = lambda work: End("completed", None, None)
    with pytest.raises(PotstillError, match="no error file says why"):
        collect(batched(server, max_attempts=2), make_prompts(3), tmp_path)
    assert len(server.batches) == 2
    assert rows(tmp_path, "SELECT DISTINCT state, permanent FROM requests") == [("error", 0)]


def test_what_failed_for_now_is_submitted_again(server: BatchServer, tmp_path: Path) -> None:
    def end(work: Work) -> End:
        if len(work.lines) == 2:
            return all_answered(work)
        return End(output=[answered(work.lines[0])], errors=[refused(line, 500, "oops") for line in work.lines[1:]])

    server.end = end
    assert collect(batched(server), make_prompts(3), tmp_path).facts["answers"] == 3
    assert len(server.batches) == 2


def test_a_batch_that_fails_validation_shows_the_lines(server: BatchServer, tmp_path: Path) -> None:
    problems = [{"code": "invalid", "message": f"bad line {at}", "param": None, "line": at} for at in (3, 4, 5, 6)]
    server.end = lambda work: End("failed", problems=problems)
    with pytest.raises(PotstillError) as caught:
        collect(batched(server), make_prompts(6), tmp_path)
    assert "line 3: bad line 3; line 4: bad line 4; line 5: bad line 5 (and 1 more)" in str(caught.value)
    server.end = all_answered
    assert collect(batched(server), make_prompts(6), tmp_path).facts["answers"] == 6


def test_a_batch_cancelled_at_the_provider_keeps_what_it_has(server: BatchServer, tmp_path: Path) -> None:
    server.end = lambda work: End("cancelled", [answered(work.lines[0])])
    with pytest.raises(PotstillError, match=r"cancelled, 1 answered.*the same command submits the rest again"):
        collect(batched(server), make_prompts(4), tmp_path)
    server.end = all_answered
    assert collect(batched(server), make_prompts(4), tmp_path).facts["answers"] == 4
    assert len(server.asked_prompts) == 4 + 3


def test_chunks_keep_to_the_limits_and_to_so_many_at_once(server: BatchServer, tmp_path: Path) -> None:
    most = 0

    def end(work: Work) -> End:
        nonlocal most
        most = max(most, sum(one.data["status"] != "completed" for one in server.batches.values()))
        return all_answered(work)

    server.end = end
    files = {"requests_per_file": 4, "at_once": 2}
    assert collect(batched(server, files=files), make_prompts(22), tmp_path).facts["answers"] == 22
    assert [len(work.lines) for work in server.batches.values()] == [4, 4, 4, 4, 4, 2]
    assert most == 2
    long = make_prompts(3, system="x" * 12_000)
    result = collect(batched(server, files={"bytes_per_file": 10_000}), [*make_prompts(22), *long], tmp_path)
    assert result.facts["errors"] == 3
    assert "over collect.batch.bytes_per_file" in result.facts["error_words"][0][0]


_CHILD = """
import sys
sys.path[:0] = [{here!r}, {servers!r}]
from pathlib import Path
from test_endpoint import collect, make_prompts, recipe
collect(recipe({url!r}, {{"mode": "batch", "batch": {{"poll_s": 20}}}}), make_prompts(12), Path({folder!r}))
"""


@pytest.mark.parametrize("operation", ["upload", "submit", "look", "download"])
def test_a_kill_at_any_moment_never_submits_twice(server: BatchServer, tmp_path: Path, operation: str) -> None:
    # The server does what it was asked, and the client is killed before it hears of it.
    server.fault = lambda one: Step(0, hold=True) if one == operation else None
    here = Path(__file__).parent
    script = _CHILD.format(
        here=str(here), servers=str(here.parent / "servers"), url=server.base_url, folder=str(tmp_path)
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    wait_for(lambda: operation in server.operations)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    server.fault = lambda one: None
    assert collect(batched(server), make_prompts(12), tmp_path).facts["answers"] == 12
    assert len(server.batches) == 1
    assert sorted(server.asked_prompts) == sorted(f"question {at}" for at in range(12))
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]


def test_an_answer_lost_on_the_way_is_looked_up_before_submitting_again(server: BatchServer, tmp_path: Path) -> None:
    lost = iter(["submit", "look", "upload"])
    pending = {next(lost), next(lost), next(lost)}

    def fault(operation: str) -> Step | None:
        if operation in pending:
            pending.discard(operation)
            return Step(0)  # done, but the connection breaks
        return None

    server.fault = fault
    assert collect(batched(server, files={"requests_per_file": 5}), make_prompts(10), tmp_path).facts["answers"] == 10
    assert not pending
    assert len(server.batches) == 2
    assert sorted(server.asked_prompts) == sorted(f"question {at}" for at in range(10))


def test_the_budget_is_kept_before_a_submission_and_a_larger_one_goes_on(server: BatchServer, tmp_path: Path) -> None:
    prices = {"input": 100.0, "output": 100.0, "batch_discount": 0.5}
    asked = batched(server, {"budget_usd": 0.01}, price_per_million=prices)
    with pytest.raises(PotstillError, match=r"collect\.budget_usd: .* a larger budget goes on from here"):
        collect(asked, make_prompts(30), tmp_path)
    done = rows(tmp_path, "SELECT count(*) FROM requests WHERE state = 'done'")[0][0]
    assert 0 < done < 30
    assert rows(tmp_path, "SELECT max(most_usd) <= 0.01 FROM batches") == [(1,)]
    assert rows(tmp_path, "SELECT total(cost_usd) <= 0.01 FROM requests") == [(1,)]
    larger = batched(server, {"budget_usd": 1.0}, price_per_million=prices)
    assert collect(larger, make_prompts(30), tmp_path).facts["answers"] == 30
    assert len(server.asked_prompts) == 30


def test_what_was_spent_on_judging_counts_against_the_budget(server: BatchServer, tmp_path: Path) -> None:
    with Journal(tmp_path / JUDGEMENTS) as journal:
        judged = make_request(make_prompts(1)[0], 0, {"model": "judge"}, "http://h")
        journal.add([judged])
        journal.finish(Finish(judged.key, Reply("8", "stop"), "ok", cost_usd=0.02))
    with pytest.raises(PotstillError, match=r"collect\.budget_usd: 0\.02 USD of 0\.02 are spent"):
        collect(batched(server, {"budget_usd": 0.02}, price_per_million=PRICES), make_prompts(3), tmp_path)
    assert server.operations == []


def test_a_server_without_batches_says_so(server: BatchServer, tmp_path: Path) -> None:
    server.fault = lambda operation: Step(404, '{"error": {"message": "not found"}}')
    with pytest.raises(PotstillError, match=r"collect\.mode: batch needs a server with /files and /batches") as caught:
        collect(batched(server), make_prompts(2), tmp_path)
    assert "\n" not in str(caught.value)


def test_asking_online_waits_for_batches_under_way(server: BatchServer, tmp_path: Path) -> None:
    server.fault = lambda operation: Step(401, "no") if operation == "look" else None
    with pytest.raises(PotstillError, match="refuses the key"):
        collect(batched(server), make_prompts(2), tmp_path)
    with BatchLog(tmp_path / "answers.sqlite", read_only=True) as log:
        assert [(one.state, one.requests) for one in log.under_way()] == [("submitted", 2)]
    with pytest.raises(PotstillError, match="1 batch is under way"):
        collect(recipe(server.base_url), make_prompts(2), tmp_path)
    server.fault = lambda operation: None
    assert collect(batched(server), make_prompts(2), tmp_path).facts["answers"] == 2
    assert len(server.batches) == 1


def test_a_journal_of_version_1_is_read_and_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with Journal(path):
        pass
    db = sqlite3.connect(path)
    db.executescript(
        "ALTER TABLE requests DROP COLUMN tool_calls; DROP TABLE batch_requests; DROP TABLE batches; "
        "INSERT INTO requests (key, prompt_hash, sample, split, position, state, use, text, finish_reason, request, "
        "created_s) VALUES ('k', 'p', 0, 'train', 0, 'done', 'ok', 'old', 'stop', '{}', 0); PRAGMA user_version = 1;"
    )
    db.close()
    with Journal(path, read_only=True) as journal, BatchLog(path, read_only=True) as log:
        assert [row.reply.text for row in journal.rows() if row.reply] == ["old"]
        assert log.under_way() == []
    with Journal(path) as journal:
        assert [row.reply.tool_calls for row in journal.rows() if row.reply] == [()]
    assert rows(tmp_path, "PRAGMA user_version") == [(2,)]


LINE: Body = {"custom_id": "a" * 32}
TEXT = json.dumps(answered(LINE)["response"]["body"])  # some servers give the body as text


@pytest.mark.parametrize(
    ("line", "outcome", "words"),
    [
        (answered(LINE), "answered", ""),
        (refused(LINE, 400, "too long"), "refused", "HTTP 400: too long"),
        (refused(LINE, 429, "slow"), "failed", "HTTP 429: slow"),
        (refused(LINE, 500, "oops"), "failed", "HTTP 500: oops"),
        (expired(LINE), "unfinished", "batch_expired: This request could not be executed"),
        ({**LINE, "error": {"message": "lost"}}, "failed", "lost"),
        ({**LINE, "response": {"status_code": 200, "body": "nonsense"}}, "failed", "no answer in the reply"),
        ({**LINE, "response": {"status_code": 200, "body": TEXT}}, "answered", ""),
        (LINE, "failed", ""),
    ],
)  # fmt: skip
def test_lines(line: Body, outcome: str, words: str) -> None:
    found = read_line(json.dumps(line))
    assert (found.outcome, found.custom_id) == (outcome, LINE["custom_id"])
    assert found.words.startswith(words)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"custom_id": 3}', "[" * 100_000])
def test_lines_that_are_none(text: str) -> None:
    with pytest.raises(LineFault):
        read_line(text)


KEYS = st.sampled_from(
    ["custom_id", "response", "error", "code", "status_code", "body", "choices", "message", "content"]
)
OTHER_KEYS = st.sampled_from(
    ["id", "status", "errors", "data", "line", "request_counts", "tool_calls", "finish_reason"]
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "x", "200", "\ud800"])
    | st.just(200),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS | OTHER_KEYS, one),
    max_leaves=12,
)


@given(anything, anything, anything)
def test_any_json_is_a_line_or_none(value: Any, response: Any, error: Any) -> None:
    for data in (value, {"custom_id": "a", "response": response, "error": error}):
        try:
            found = read_line(json.dumps(data))
        except LineFault:
            continue
        assert found.custom_id
        assert (found.reply is not None) == (found.outcome == "answered")


@given(anything, anything, anything)
def test_any_json_is_a_batch_or_worth_another_try(value: Any, errors: Any, counts: Any) -> None:
    for data in (value, {"id": "b", "status": "failed", "errors": errors, "request_counts": counts}):
        if not isinstance(data, dict):
            continue
        try:
            found = read_batch(data)
        except Retry:
            continue
        assert found.id
        assert found.status


def test_ids_are_the_beginning_of_the_key() -> None:
    key = "0123456789abcdef" * 4
    assert custom_id(key) == key[:32]
    assert key.startswith(custom_id(key))
