import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill import ledger
from potstill.errors import PotstillError
from potstill.records import canonical_json


def fill(path: Path, lines: int = 4) -> list[str]:
    return [ledger.append(path, "stage", {"name": f"stage {number}", "seconds": number}) for number in range(lines)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def test_lines_chain_and_read_back(path: Path) -> None:
    hashes = fill(path, 3)
    raw = path.read_bytes().splitlines()
    assert [hashlib.sha256(line).hexdigest() for line in raw] == hashes
    entries = ledger.read(path)
    assert [entry.previous for entry in entries] == [ledger.NO_PREVIOUS, *hashes[:2]]
    assert [entry.hash for entry in entries] == hashes
    assert entries[2].facts == {"name": "stage 2", "seconds": 2}
    assert entries[2].line == 3
    assert set(json.loads(raw[0])) == {"previous", "time", "kind", "facts"}
    assert ledger.verify(path) == []


def test_text_with_line_ends_stays_on_one_line(path: Path) -> None:
    facts = {"text": "a\nb\r\u2028c\x00", "nested": {"ä": [1, None, 0.5]}}
    ledger.append(path, "odd", facts)
    ledger.append(path, "odd", {})
    assert ledger.read(path)[0].facts == facts
    assert ledger.verify(path) == []


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        for name in ("ledger.jsonl", "ledger.head"):
            shutil.copyfile(_filled() / name, Path(folder) / name)
        raw = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(raw)
        assert ledger.verify(path) != []


_FILLED: list[tempfile.TemporaryDirectory[str]] = []


def _filled() -> Path:
    if not _FILLED:
        _FILLED.append(tempfile.TemporaryDirectory())
        fill(Path(_FILLED[0].name) / "ledger.jsonl")
    return Path(_FILLED[0].name)


def _rewrite(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def test_an_edited_line_is_named(path: Path) -> None:
    fill(path)
    raw = path.read_bytes().splitlines()
    raw[1] = raw[1].replace(b'"seconds":1', b'"seconds":9')
    _rewrite(path, raw)
    (problem,) = ledger.verify(path)
    assert problem.startswith("ledger.jsonl:3: does not follow line 2")


def test_an_edited_last_line_is_named(path: Path) -> None:
    fill(path)
    path.write_bytes(path.read_bytes().replace(b'"seconds":3', b'"seconds":9'))
    (problem,) = ledger.verify(path)
    assert problem.startswith("ledger.jsonl:4: edited, or ledger.head was")


def test_a_line_in_another_spelling_is_named(path: Path) -> None:
    fill(path)
    raw = path.read_bytes().splitlines()
    raw[1] = json.dumps(json.loads(raw[1])).encode()
    _rewrite(path, raw)
    assert ledger.verify(path)[0].startswith("ledger.jsonl:2: edited")
    with pytest.raises(PotstillError, match=r"ledger\.jsonl:2"):
        ledger.read(path)


def test_removed_lines_are_found(path: Path) -> None:
    fill(path)
    raw = path.read_bytes().splitlines()
    _rewrite(path, raw[:1] + raw[2:])
    assert ledger.verify(path)[0].startswith("ledger.jsonl:2: does not follow line 1")
    _rewrite(path, raw[1:])
    assert ledger.verify(path)[0].startswith("ledger.jsonl:1: is not the first line")
    for left in (3, 2, 1):
        _rewrite(path, raw[:left])
        assert "removed" in ledger.verify(path)[-1]
    _rewrite(path, [])
    assert ledger.verify(path) == ["ledger.jsonl: is empty: its lines were removed"]
    path.unlink()
    assert ledger.verify(path) == ["ledger.jsonl: there is no ledger"]
    with pytest.raises(PotstillError, match="cannot be read"):
        ledger.read(path)


def test_reordered_lines_are_named(path: Path) -> None:
    fill(path)
    raw = path.read_bytes().splitlines()
    _rewrite(path, [raw[0], raw[2], raw[1], raw[3]])
    problems = ledger.verify(path)
    assert any("reordered" in problem and problem.startswith("ledger.jsonl:2") for problem in problems)
    _rewrite(path, [*raw, raw[0]])
    assert any("stands after line 4" in problem for problem in ledger.verify(path))


def test_a_changed_or_missing_head_is_found(path: Path) -> None:
    fill(path)
    head = path.with_suffix(".head")
    text = head.read_text()
    head.write_text(text.replace('"start"', '"begin"'))
    assert "ledger.head" in ledger.verify(path)[0]
    with pytest.raises(PotstillError, match=r"ledger\.head"):
        ledger.append(path, "more", {})
    head.unlink()
    assert ledger.verify(path) == ["ledger.head: is missing, so the last line cannot be checked"]


def test_append_does_not_build_on_a_changed_last_line(path: Path) -> None:
    fill(path)
    path.write_bytes(path.read_bytes().replace(b'"seconds":3', b'"seconds":9'))
    before = path.read_bytes()
    with pytest.raises(PotstillError, match="verify"):
        ledger.append(path, "more", {})
    assert path.read_bytes() == before


def test_append_does_not_build_on_foreign_lines(path: Path) -> None:
    fill(path)
    with path.open("ab") as file:
        file.write(b'{"facts":{},"kind":"x","previous":"00","time":"now"}\n')
    with pytest.raises(PotstillError, match="something else"):
        ledger.append(path, "more", {})


@pytest.mark.parametrize("lines", [0, 3])
@pytest.mark.parametrize("torn", [b"{", b'{"facts":{"na', b"\x00\x00\x00", b'{"facts":{}}'])
def test_a_torn_line_is_removed_and_said(path: Path, lines: int, torn: bytes) -> None:
    fill(path, lines)
    with path.open("ab") as file:
        file.write(torn)
    assert len(ledger.read(path)) == lines
    assert f"ledger.jsonl:{lines + 1}: the last line is torn" in ledger.verify(path)[0]
    ledger.append(path, "stage", {"after": True})
    entries = ledger.read(path)
    assert [entry.kind for entry in entries[lines:]] == ["repair", "stage"]
    assert entries[lines].facts == {"removed_bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
    assert ledger.verify(path) == []


@pytest.mark.parametrize("lines", [1, 3])
@pytest.mark.parametrize("newline", [True, False])
def test_a_whole_line_that_the_crash_left_is_kept(path: Path, lines: int, newline: bool) -> None:
    """The crash fell after the line (with or without its newline) and before the head file."""
    fill(path, lines - 1)
    head = path.with_suffix(".head")
    before = head.read_bytes() if head.exists() else None
    ledger.append(path, "stage", {"name": "the last"})
    if before is None:
        head.unlink()
    else:
        head.write_bytes(before)
    if newline:
        assert ledger.verify(path) == []
    else:
        path.write_bytes(path.read_bytes()[:-1])
        assert "torn" in ledger.verify(path)[0]
    ledger.append(path, "stage", {"name": "after"})
    assert [entry.facts["name"] for entry in ledger.read(path)[lines - 1 :]] == ["the last", "after"]
    assert ledger.verify(path) == []


@given(cut=st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_a_crash_at_any_byte_of_a_line_is_mended(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        fill(path, 2)
        head = path.with_suffix(".head").read_bytes()
        start = path.stat().st_size
        ledger.append(path, "stage", {"name": "x" * 100})
        path.with_suffix(".head").write_bytes(head)
        os.truncate(path, min(start + cut, path.stat().st_size))
        ledger.append(path, "stage", {"name": "after"})
        assert ledger.verify(path) == []
        assert [entry.facts.get("name") for entry in ledger.read(path)][:2] == ["stage 0", "stage 1"]


def test_a_full_disk_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 2)
    before = path.read_bytes()
    write = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if offset > len(before):
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:7], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(PotstillError, match="No space left"):
        ledger.append(path, "stage", {})
    monkeypatch.undo()
    assert path.read_bytes() == before
    ledger.append(path, "stage", {})
    assert ledger.verify(path) == []


@pytest.mark.parametrize("facts", [{"x": float("nan")}, {"x": object()}])
def test_facts_that_are_no_json_leave_the_file_alone(path: Path, facts: dict[str, Any]) -> None:
    fill(path, 1)
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        ledger.append(path, "stage", facts)
    assert path.read_bytes() == before


def _append_many(path: Path, who: int) -> None:
    for number in range(10):
        ledger.append(path, "stage", {"who": who, "number": number})


def test_writers_wait_for_each_other(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(path, who)) for who in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert ledger.verify(path) == []
    assert len(ledger.read(path)) == 20


def test_the_line_is_canonical(path: Path) -> None:
    fill(path, 1)
    line = path.read_text().removesuffix("\n")
    assert canonical_json(json.loads(line)) == line


def test_file_and_tree_hashes(tmp_path: Path) -> None:
    (tmp_path / "student" / "deep").mkdir(parents=True)
    (tmp_path / "student" / "model").write_bytes(b"a" * 3_000_000)
    (tmp_path / "student" / "deep" / "config").write_bytes(b"b")
    (tmp_path / "prompts.parquet").write_bytes(b"c")
    (tmp_path / "other").write_bytes(b"d")
    expected = {
        "prompts.parquet": hashlib.sha256(b"c").hexdigest(),
        "student/deep/config": hashlib.sha256(b"b").hexdigest(),
        "student/model": hashlib.sha256(b"a" * 3_000_000).hexdigest(),
    }
    assert ledger.file_hash(tmp_path / "student" / "model") == expected["student/model"]
    assert ledger.tree_hashes(tmp_path, ["student/", "prompts.parquet", "missing", "student/model"]) == expected
    assert ledger.tree_hashes(tmp_path, ["*.parquet", "student/**/*"]) == expected
