"""Reading logs into a store: bad rows set aside, bounded memory, folders of mixed logs, and what the manifest says."""

import gzip
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guard.logs import CHAT, KEY, LITELLM, everything, jsonl, otlp, span, stored
from potstill.errors import PotstillError
from potstill.guard import FIELDS, IDENTIFIERS, SCHEMA, TEXTS, Intake, Pseudonyms, ingest, missing_evidence, open_events
from potstill.guard.columns import cleaned_columns
from potstill.guard.row import Cleaner
from potstill.guard.store import EventWriter

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def reasons(folder: Path) -> list[tuple[str, str]]:
    """Name of the file with the line, and reason, of every row in quarantine."""
    rows = [json.loads(line) for line in (folder / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(Path(row["place"]).name, row["reason"]) for row in rows]


def plain(number: int, **fields: Any) -> dict[str, Any]:
    """A row in the event's own fields."""
    return {"time": (DAY + timedelta(minutes=number)).isoformat(), "account": f"acct-{number % 3}", **fields}


def test_bad_rows_are_set_aside_with_their_reason_and_nothing_of_theirs(tmp_path: Path) -> None:
    secret = "anna@corp.example"
    rows = [
        plain(0), '{"account": "' + secret + '", ', "[1, 2]", {**plain(1), "time": secret}, "\x00\x01", plain(2),
        {"unknown": secret}, {**plain(3), "time": "1999-12-31T00:00:00Z", "account": secret}, "[" * 100_000,
    ]  # fmt: skip
    store = stored([jsonl(tmp_path / "log.jsonl", rows)], tmp_path / "out")
    assert store.manifest["events"] == 2
    found = reasons(tmp_path / "out")
    assert [place for place, _ in found] == [f"log.jsonl:{line}" for line in (2, 3, 4, 5, 7, 8, 9)]
    assert dict(found)["log.jsonl:4"] == dict(found)["log.jsonl:8"] == "its time cannot be read"
    assert dict(found)["log.jsonl:7"] == "nothing of an event in it"
    assert dict(found)["log.jsonl:9"] == "not JSON (nested too deeply)"
    assert sum(store.manifest["quarantined"].values()) == 7
    kept = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert secret.encode() not in kept


def test_no_identifier_and_no_key_is_stored(tmp_path: Path) -> None:
    row = plain(0, **{name: f"secret-{name}" for name in IDENTIFIERS if name != "account"}, prompt="a question")
    store = stored([jsonl(tmp_path / "log.jsonl", [row, LITELLM | {"user": "secret-user"}])], tmp_path / "out")
    (event, _) = sorted(everything(store), key=lambda one: one["prompt"] is None)
    assert all(len(event[name]) == 24 for name in IDENTIFIERS)
    pq_texts = json.dumps(everything(store), default=str) + json.dumps(store.manifest)
    assert "secret" not in pq_texts
    assert KEY.decode() not in pq_texts
    kept = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert KEY not in kept


def test_a_value_of_another_type_is_left_out_and_hides_no_request(tmp_path: Path) -> None:
    row = plain(
        0, temperature="hot", max_tokens=-5, n=2.5, status="fine", stream="maybe", prompt=["a"], model="m" * 999
    )
    store = stored([jsonl(tmp_path / "log.jsonl", [row, plain(1, max_tokens=10**30)])], tmp_path / "out")
    first, _ = everything(store)
    assert first["temperature"] is first["max_tokens"] is first["stream"] is first["prompt"] is None
    assert len(first["model"]) == 256
    assert store.manifest["unreadable_fields"] == {
        "temperature": 1, "max_tokens": 2, "n": 1, "status": 1, "stream": 1, "prompt": 1,
    }  # fmt: skip


def test_mixed_time_zones_and_clocks_that_run_backwards(tmp_path: Path) -> None:
    times = ["2026-03-01T13:00:00+01:00", "2026-03-01T11:59:00Z", "2026-03-01 13:01:00", 1_772_366_520]
    rows = [{"time": time, "account": "a"} for time in times]
    store = stored([jsonl(tmp_path / "log.jsonl", rows)], tmp_path / "out", zone=ZoneInfo("Europe/Berlin"))
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert [event["time"] - noon for event in everything(store)] == [timedelta(minutes=one) for one in (-1, 0, 1, 2)]
    assert store.manifest["backwards"] == 1
    assert store.manifest["naive_times"] == 1


def test_every_field_may_be_missing(tmp_path: Path) -> None:
    rows = [{name: value} for name, value in {**dict.fromkeys(FIELDS, 1), "time": "2026-03-01", "stream": True}.items()]
    rows = [row for row in rows if not row.keys() & {*TEXTS}] + [{name: "a text"} for name in TEXTS]
    rows = [row if "signup_time" not in row else {"signup_time": "2026-02-01"} for row in rows]
    store = stored([jsonl(tmp_path / "log.jsonl", rows)], tmp_path / "out", form="canonical")
    assert store.fields == dict.fromkeys(FIELDS, 1)
    assert all(sum(value is not None for value in event.values()) == 1 for event in everything(store))


def test_a_truncated_gzip_gives_the_rows_that_it_has(tmp_path: Path) -> None:
    lines = "".join(json.dumps(plain(number, prompt=f"{number * 7919}")) + "\n" for number in range(2000))
    packed = gzip.compress(lines.encode())
    (tmp_path / "log.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    broken = bytearray(packed)
    broken[len(packed) // 2 : len(packed) // 2 + 40] = b"\xff" * 40
    (tmp_path / "torn.jsonl.gz").write_bytes(bytes(broken))
    store = stored([tmp_path / "log.jsonl.gz", tmp_path / "torn.jsonl.gz"], tmp_path / "out")
    assert store.manifest["events"] > 1000
    ends = [(place, reason) for place, reason in reasons(tmp_path / "out") if "ends too early" in reason]
    assert {place for place, _ in ends} == {"log.jsonl.gz", "torn.jsonl.gz"}


@pytest.mark.parametrize("name", ["log.jsonl", "log.csv"])
def test_a_line_of_a_hundred_megabytes_is_never_in_memory(tmp_path: Path, name: str) -> None:
    head = "time,account,prompt" if name.endswith("csv") else ""
    good = "2026-03-01T12:00:00Z,a,b" if name.endswith("csv") else json.dumps(plain(0))
    with (tmp_path / name).open("wb") as file:
        file.write(f"{head}\n{good}\n".lstrip("\n").encode())
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(f"\n{good}\n".encode())
    tracemalloc.start()
    store = stored([tmp_path / name], tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert store.manifest["events"] == 2
    assert peak < 70_000_000
    assert any("line of more than" in reason or "too long" in reason for _, reason in reasons(tmp_path / "out"))


def test_an_array_in_one_long_line_is_read_value_by_value(tmp_path: Path) -> None:
    rows = [plain(number, prompt="x" * 100_000) for number in range(200)]
    (tmp_path / "log.json").write_text(json.dumps(rows), encoding="utf-8")
    store = stored([tmp_path / "log.json"], tmp_path / "out")
    assert store.manifest["events"] == 200
    assert reasons(tmp_path / "out") == []


def test_hostile_texts_come_back_as_they_were(tmp_path: Path) -> None:
    texts = [
        "<script>alert(1)</script>",
        "'; DROP VIEW events; --",
        "\u202ereversed\x00",
        "=cmd|' /C calc'!A0",
        "é" * 9,
    ]
    rows = [plain(number, prompt=text) for number, text in enumerate(texts)]
    rows.append(plain(9, prompt="half \ud800 a character", account="\udfff"))
    store = stored([jsonl(tmp_path / "log.jsonl", rows)], tmp_path / "out")
    assert [event["prompt"] for event in everything(store)] == [*texts, "half ? a character"]


def test_an_empty_log_is_no_event_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"")
    store = stored([tmp_path / "log.jsonl"], tmp_path / "out")
    assert store.manifest["events"] == 0
    assert everything(store) == []


def test_a_log_without_one_event_says_why(tmp_path: Path) -> None:
    with pytest.raises(PotstillError, match=r"quarantine.jsonl: no row of the logs is an event; 3 times: not JSON"):
        stored([jsonl(tmp_path / "log.jsonl", ["nothing"] * 3)], tmp_path / "out")
    assert len(reasons(tmp_path / "out")) == 3


@pytest.mark.parametrize("processes", [1, 2])
def test_a_folder_of_mixed_logs_is_one_store(tmp_path: Path, processes: int) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    jsonl(logs / "a.jsonl", [CHAT, CHAT])
    jsonl(logs / "b.json", [LITELLM])
    jsonl(logs / "c.jsonl", [otlp(span({"gen_ai.request.model": "m"}))])
    (logs / "d.csv").write_text("\ufefftime,account,max_tokens,stream\n2026-03-02,a,5,true\n2026-03-02,b\n", "utf-8")
    pq.write_table(
        pa.table({"account": ["x", "y"], "time": pa.array([DAY, None], pa.timestamp("ns", "UTC"))}), logs / "e.parquet"
    )
    store = stored([logs], tmp_path / "out", processes=processes)
    assert store.manifest["events"] == 7
    assert store.manifest["forms"] == {"chat_log": 1, "litellm": 1, "otel": 1, "csv": 1, "parquet": 1}
    assert reasons(tmp_path / "out") == [("d.csv:3", "another number of columns than the header has")]
    with store.connection() as connection:
        assert connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (False,)
        days = connection.execute("SELECT day, count(*) FROM events GROUP BY day ORDER BY day NULLS LAST").fetchall()
    assert [(str(day), count) for day, count in days] == [
        ("2025-01-24", 1), ("2026-03-01", 4), ("2026-03-02", 1), ("None", 1),
    ]  # fmt: skip


def test_columns_and_rows_read_a_table_alike(tmp_path: Path) -> None:
    rows = [
        plain(number, prompt=f"p{number}", client="" if number % 2 else "c", plan="x" * 300) for number in range(50)
    ]
    rows[7]["signup_time"] = "2026-02-28T23:00:00-05:00"
    by_rows = everything(stored([jsonl(tmp_path / "log.jsonl", rows)], tmp_path / "rows"))
    table = pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in (*rows[0], "signup_time")]))
    for name in ("time", "signup_time"):
        times = [None if text is None else datetime.fromisoformat(text) for text in table.column(name).to_pylist()]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(times, pa.timestamp("us", "UTC")))
    pq.write_table(table, tmp_path / "log.parquet")
    assert everything(stored([tmp_path / "log.parquet"], tmp_path / "columns")) == by_rows
    made = cleaned_columns(table.to_batches()[0], {}, Cleaner(Pseudonyms(KEY)))
    assert made is not None
    assert made.schema == SCHEMA


def test_a_table_with_odd_values_is_read_row_by_row(tmp_path: Path) -> None:
    table = pa.table({"who": [1, 2, 3], "at": ["2026-03-01", "noon", "2026-03-02"], "max_tokens": ["5", "many", "-1"]})
    pq.write_table(table, tmp_path / "log.parquet")
    columns = {"account": "who", "time": "at"}
    store = stored([tmp_path / "log.parquet"], tmp_path / "out", columns=columns)
    assert [event["max_tokens"] for event in everything(store)] == [5, None]
    assert reasons(tmp_path / "out") == [("log.parquet:2", "its time cannot be read")]
    assert store.manifest["unreadable_fields"] == {"max_tokens": 1}  # the second row has no time that can be read


def test_the_writer_holds_little_and_files_grow(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path, "part")
    for _ in range(5):
        times = pa.array([DAY + timedelta(days=number % 2) for number in range(60_000)], SCHEMA.field("time").type)
        writer.add(
            pa.RecordBatch.from_arrays(
                [times, *(pa.nulls(60_000, one.type) for one in list(SCHEMA)[1:])], schema=SCHEMA
            )
        )
    writer.close()
    files = sorted((tmp_path / "events").rglob("*.parquet"))
    assert [pq.read_metadata(file).num_rows for file in files] == [150_000, 150_000]


def test_metadata_only_drops_texts_and_says_what_is_missing(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [CHAT])
    store = stored([log], tmp_path / "out", metadata_only=True)
    (event,) = everything(store)
    assert [event[name] for name in TEXTS] == [None, None, None]
    assert b"sky blue" not in b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet"))
    gaps = {gap.kind: gap.missing for gap in missing_evidence(store.fields)}
    assert {"templates", "near_duplicates", "phrasing", "one_shot"} <= gaps.keys()
    assert gaps["templates"] == ("prompt",)
    assert not {"hours", "lengths", "logprobs", "address"} & gaps.keys()
    whole = stored([log], tmp_path / "whole")
    assert "templates" not in {gap.kind for gap in missing_evidence(whole.fields)}
    assert gaps == {gap.kind: gap.missing for gap in missing_evidence(whole.fields, metadata_only=True)}


def test_a_finished_folder_stays_and_an_unfinished_one_begins_again(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [plain(0)])
    how = Intake(KEY)
    (tmp_path / "out" / "events" / "day=2026-01-01").mkdir(parents=True)
    (tmp_path / "out" / "events" / "day=2026-01-01" / "part-00000-00000.parquet").write_bytes(b"cut short")
    with pytest.raises(PotstillError, match="not written to the end"):
        open_events(tmp_path / "out")
    ingest([log], tmp_path / "out", how)
    assert len(everything(open_events(tmp_path / "out"))) == 1
    with pytest.raises(PotstillError, match="holds events already"):
        ingest([log], tmp_path / "out", how)
    with pytest.raises(PotstillError, match="holds other files"):
        ingest([log], tmp_path, how)


def test_an_unknown_log_is_refused_unless_its_columns_are_named(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [{"who": {"id": "a"}, "when": 1_772_366_400}])
    with pytest.raises(PotstillError, match="not a log that is known"):
        stored([log], tmp_path / "out")
    store = stored([log], tmp_path / "out", columns={"account": "who.id", "time": "when"})
    assert [event["account"] for event in everything(store)] == [Pseudonyms(KEY).of("account", "a")]
