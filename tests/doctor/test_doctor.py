"""The doctor on logs with planted faults: every one is found, and no other; what it writes can be used."""

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import Log, clean_log, faulty_log, tool

from potstill.config import Prompts
from potstill.doctor import Examination, examine, export, lines
from potstill.doctor.findings import ASK_AGAIN, LEFT_OUT, REASONS, VERDICTS, reasons_of
from potstill.doctor.templates import group_beginnings, group_system_prompts
from potstill.errors import PotstillError
from potstill.prompts import load_prompts


@pytest.fixture(scope="module")
def log() -> Log:
    return faulty_log()


@pytest.fixture(scope="module")
def examined(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Examination:
    return examine([log.write(tmp_path_factory.mktemp("log") / "log.jsonl")])


def found_on(examined: Examination) -> dict[str, set[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for row, flags in enumerate(examined.flags.tolist()):
        for reason in reasons_of(flags):
            found[reason].add(examined.columns.line[row])
    return dict(found)


def test_every_planted_fault_is_found_on_its_line_and_no_other(log: Log, examined: Examination) -> None:
    planted = {fault: lines for fault, lines in log.planted.items() if fault in REASONS}
    assert set(planted) == set(REASONS)
    assert found_on(examined) == planted


def test_a_clean_log_has_nothing_found(tmp_path: Path) -> None:
    examined = examine([clean_log().write(tmp_path / "log.jsonl")])
    (job,) = examined.diagnosis.jobs
    assert found_on(examined) == {}
    assert (job.mixed, job.varied, job.parts[0].tools, job.personal, job.contacts) == (False, False, (), {}, {})
    assert examined.diagnosis.total("usable") == 150


def test_the_other_job_under_a_key_is_told_apart(log: Log, examined: Examination) -> None:
    support = next(job for job in examined.diagnosis.jobs if job.key == "support")
    assert [part.beginning.split()[0] for part in support.parts] == ["You", "Extract"]
    assert support.parts[1].exchanges == len(log.planted["another_job"]) == 40
    assert support.parts[1].place.endswith(f":{min(log.planted['another_job'])}")
    assert not any(job.mixed for job in examined.diagnosis.jobs if job.key != "support")


def test_changed_and_renamed_tools_are_told_with_when_and_how_many(log: Log, examined: Examination) -> None:
    parts = next(job for job in examined.diagnosis.jobs if job.key == "parts")
    changes = {one.name: one for one in parts.parts[0].tools}
    first_new = max(log.planted["old_tools"]) + 1
    changed, renamed = changes["find_part"], changes["price_of"]
    assert set(changes) == {"find_part", "price_of"}
    assert (changed.kind, changed.before, changed.after) == ("changed", 40, 42)
    assert (renamed.kind, renamed.to, renamed.before, renamed.after) == ("renamed", "get_price", 40, 42)
    assert changed.place.endswith(f":{first_new}")
    assert changed.time_s == log.rows[first_new - 1]["time"]


def test_personal_data_is_counted_and_never_shown(examined: Examination) -> None:
    support = next(job for job in examined.diagnosis.jobs if job.key == "support")
    assert {kind: found.count for kind, found in support.personal.items()} == dict.fromkeys(
        ("email", "phone", "card", "iban", "ip_address", "us_ssn"), 1
    )
    assert {kind: found.count for kind, found in support.contacts.items()} == {"email": 25}
    text = "\n".join(lines(examined.diagnosis)) + repr(examined.diagnosis)
    for value in ("anna.berg", "901820", "4242", "3704", "8.8.8.8", "078-05", "garden@"):
        assert value not in text
    assert "a***@***.dev" in text


def test_languages_are_counted(tmp_path: Path) -> None:
    log = Log()
    for _ in range(8):
        log.add()
    for _ in range(2):
        log.add(question="Wie kann ich den alten Rasenmäher am besten über den Winter bringen?")
    (job,) = examine([log.write(tmp_path / "log.jsonl")]).diagnosis.jobs
    assert dict(job.asked_in) == {"en": 8, "de": 2}
    assert dict(job.answered_in) == {"en": 10}


def test_the_report_is_json(examined: Examination) -> None:
    data = json.loads(json.dumps(asdict(examined.diagnosis)))
    part = data["jobs"][0]["parts"][0]
    assert data["exchanges"] == len(examined.columns)
    assert sum(part["because"]["ask_again"].values()) >= part["verdicts"]["ask_again"] > 0


def test_verdicts_add_up_and_their_reasons_are_of_their_kind(log: Log, examined: Examination) -> None:
    totals = {verdict: examined.diagnosis.total(verdict) for verdict in VERDICTS}
    assert sum(totals.values()) == len(log.rows)
    for job in examined.diagnosis.jobs:
        for part in job.parts:
            assert sum(part.verdicts.values()) == part.exchanges
            assert set(part.because["ask_again"]) <= set(ASK_AGAIN)
            assert set(part.because["left_out"]) <= set(LEFT_OUT)


def test_the_report_names_every_finding(examined: Examination) -> None:
    text = "\n".join(lines(examined.diagnosis))
    assert text.startswith("log.jsonl: read as chat_log, ")
    expected = (
        "mixed: 2 jobs share this key", "find_part takes other arguments from log.jsonl:", "is called get_price",
        "the answer is cut off (log.jsonl:", "the model declined", "in all: train on as it is",
    )  # fmt: skip
    for words in expected:
        assert words in text


def test_what_is_exported_can_be_used(log: Log, examined: Examination, tmp_path: Path) -> None:
    source = Path(examined.diagnosis.files[0])
    counts = export(examined, [source], tmp_path / "out")
    assert counts == {verdict: examined.diagnosis.total(verdict) for verdict in VERDICTS}
    rows = {
        one: [json.loads(line) for line in (tmp_path / "out" / f"{one}.jsonl").read_text().splitlines()]
        for one in VERDICTS
    }
    assert {one: len(found) for one, found in rows.items()} == counts
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows["usable"])
    assert all(row["messages"][-1]["role"] == "user" for row in rows["ask_again"])
    assert all("tools" not in row for row in rows["ask_again"] if "old_tools" in row["metadata"]["reasons"])
    jobs = {row["metadata"]["job"] for row in rows["usable"]}
    assert jobs == {"support [1]", "support [2]", "parts", "labels"}
    lines_of = {row["metadata"]["source"].rpartition(":")[2] for found in rows.values() for row in found}
    assert lines_of == {str(line) for line in range(1, len(log.rows) + 1)}
    # What is usable has nothing against it when it is examined again, but for tools, which it keeps as they were.
    again = examine([tmp_path / "out" / "usable.jsonl"])
    assert found_on(again) == {}
    asked = load_prompts(Prompts(source=tmp_path / "out" / "ask_again.jsonl"))
    assert (asked.format, asked.rows + asked.refused) == ("fine_tuning", counts["ask_again"])


def test_personal_data_may_be_kept(log: Log, tmp_path: Path) -> None:
    examined = examine([log.write(tmp_path / "log.jsonl")], keep_personal=True)
    assert "personal_data" not in found_on(examined)
    assert next(job for job in examined.diagnosis.jobs if job.key == "support").personal["card"].count == 1


def test_old_tools_need_an_order_and_more_than_chance(tmp_path: Path) -> None:
    log = Log()
    one, two = tool("find", "a"), tool("find", "a", "b")
    for number in range(30):  # two versions in turns, and a tool that is there now and then
        log.add(tools=[one if number % 2 else two, *([tool("rare", "x")] if number in (3, 9) else [])])
    (job,) = examine([log.write(tmp_path / "log.jsonl")]).diagnosis.jobs
    (change,) = job.parts[0].tools
    assert (change.kind, change.before, change.after) == ("side_by_side", 15, 15)
    log = Log()
    for number in range(60):
        log.add(tools=[tool("find", "a"), *([tool("extra", "x")] if number < 30 else [])])
    for row in log.rows:
        row["time"] = 2_000_000_000 - row["time"]  # the file runs backwards: time decides
    (job,) = examine([log.write(tmp_path / "log.jsonl")]).diagnosis.jobs
    assert [(change.name, change.kind, change.before, change.after) for change in job.parts[0].tools] == [
        ("extra", "added", 30, 30)
    ]


def test_descriptions_are_no_drift(tmp_path: Path) -> None:
    log = Log()
    for number in range(20):
        described = tool("find", "a", "description")
        described["function"]["parameters"]["properties"]["a"]["description"] = f"the word {number}"
        log.add(tools=[described])
    (job,) = examine([log.write(tmp_path / "log.jsonl")]).diagnosis.jobs
    assert job.parts[0].tools == ()


def test_system_prompts_with_fillings_are_one_template() -> None:
    base = "You are the assistant of a library and know its catalogue. Today is {}. The reader is called {}. {}"
    filled = [base.format(f"day {at}", f"reader {at * 7}", f"Passage {at}: " + f"{at * at} shelves " * 3)
              for at in range(60)]  # fmt: skip
    others = ["Translate the given sentence into Portuguese and add nothing to it, please."] * 1
    found = group_system_prompts([*filled, *others], [1] * 60 + [30])
    assert found.of == (*[0] * 60, 1)
    assert not found.varied
    different = [" ".join(str(hash((at, word)) % 10**8) for word in range(20)) for at in range(40)]
    assert group_system_prompts(different, [1] * 40).varied
    lonely = group_system_prompts([base, "Count the vowels of this word."], [99, 1])
    assert lonely.of == (0, -1)


def test_ways_to_begin_are_templates_only_where_they_are_few_and_differ() -> None:
    spelled = {1: "Translate this into German:", 2: "Summarise the following text", 3: "translate THIS into Dutch:"}
    few = np.array([1] * 45 + [2] * 35 + [3] * 15 + [4] * 5, np.uint64)
    assert group_beginnings(few, spelled) == {1: 0, 2: 1, 3: 0}
    assert group_beginnings(np.array([1] * 50 + list(range(2, 52)), np.uint64), spelled) == {}
    assert group_beginnings(np.array([1] * 50 + [3] * 50, np.uint64), spelled) == {}


def test_mixed_beginnings_under_one_system_prompt(tmp_path: Path) -> None:
    log = Log()
    for _ in range(20):
        log.add(question=f"Translate this into German: {log.question()}", system=None)
        log.add(question=f"Summarise the following in ten words: {log.question()}", system=None)
    (job,) = examine([log.write(tmp_path / "log.jsonl")]).diagnosis.jobs
    assert sorted(part.beginning for part in job.parts) == ["Summarise the following in", "Translate this into German:"]


def test_a_log_without_an_exchange_and_one_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"messages": []}\n')
    with pytest.raises(PotstillError, match=r"no exchange in it; .*log\.jsonl:1: no messages"):
        examine([path])
    examined = examine([clean_log(20).write(path)])
    Log().write(path)
    path.write_text("\n" + clean_log(20).write(tmp_path / "other.jsonl").read_text())
    with pytest.raises(PotstillError, match="the log changed while it was read"):
        export(examined, [path], tmp_path / "out")
    assert not (tmp_path / "out" / "usable.jsonl").exists()


def test_bad_rows_are_counted_with_their_places(tmp_path: Path) -> None:
    path = clean_log(20).write(tmp_path / "log.jsonl")
    path.write_text(path.read_text() + "{\n{\n{}\n")
    unreadable: dict[str, Any] = dict(examine([path]).diagnosis.unreadable)
    assert sum(found.count for found in unreadable.values()) == 3
    assert any(found.places == (f"{path}:23",) for found in unreadable.values())
