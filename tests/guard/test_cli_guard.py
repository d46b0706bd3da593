"""`potstill guard events` and `scan`: what they print, and its errors in one line."""

from pathlib import Path

import pytest

from guard import planted
from guard.logs import CHAT, KEY, LITELLM, jsonl
from potstill import cli
from potstill.guard.pseudonyms import KEY_VARIABLE


def told(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0, verb: str = "events"
) -> tuple[list[str], str]:
    """Lines on standard output, and the text on standard error, of a command that ends with this code."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["guard", verb, *map(str, arguments)])
    shown = capsys.readouterr()
    assert ended.value.code == code, shown.err
    assert "Traceback" not in shown.err
    return shown.out.splitlines(), shown.err.strip()


def test_what_was_read_and_what_cannot_be_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_bytes(KEY)
    log = jsonl(tmp_path / "log.jsonl", [LITELLM, LITELLM, "no JSON", {**LITELLM, "call_type": "aembedding"}])
    out, _ = told(capsys, log, "--out", tmp_path / "out", "--key", tmp_path / "key")
    assert out[0] == "2 events from 1 file (1 litellm)"
    assert out[1] == "2 rows are no events; quarantine.jsonl has the place of each"
    assert "  1  a call that generates no text" in out
    assert "2 times name no zone and were taken in that of --time-zone" in out
    assert "cannot be seen: accounts that fill the same templates (templates: no event has prompt)" in out
    assert not any("around the clock" in line for line in out)


def test_metadata_only_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY.decode())
    log = jsonl(tmp_path / "log.jsonl", [CHAT])
    out, _ = told(capsys, log, "--out", tmp_path / "out", "--metadata-only", "--map", "organization=account")
    assert "metadata only: no prompt, system prompt or answer was stored" in out
    assert not any("(key: " in line and "organization" in line for line in out)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "identifiers need a key"),
        (("--key", "key", "--map", "who=x"), "wanted is FIELD=COLUMN"),
        (("--key", "key", "--format", "syslog"), "syslog: no form of logs"),
        (("--key", "key", "--time-zone", "Mars"), "no such zone"),
        (("--key", "none"), "none: the key cannot be read"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    Path("key").write_bytes(KEY)
    jsonl(Path("log.jsonl"), [CHAT])
    _, error = told(capsys, "log.jsonl", "--out", "out", *options, code=1)
    assert words in error
    assert "\n" not in error
    assert not Path("out").exists()


def test_a_scan_ends_with_three_where_a_case_has_evidence_and_with_nought_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_bytes(KEY)
    log = jsonl(tmp_path / "log.jsonl", planted.rows())
    options = ("--key", tmp_path / "key", "--permutations", "999")
    out, _ = told(capsys, log, "--out", tmp_path / "out", *options, code=3, verb="scan")
    assert out[0].startswith("3,780 events of 46 accounts, 46 customers, from 2026-02-02T")
    assert any("evidence: 6 accounts, payment+signup+content+timing" in line for line in out)
    again, _ = told(capsys, log, "--out", tmp_path / "out", *options, code=3, verb="scan")
    assert again == out
    quiet = jsonl(tmp_path / "quiet.jsonl", [row for row in planted.rows() if row["account"].startswith("cust")])
    out, _ = told(capsys, quiet, "--out", tmp_path / "quiet", *options, verb="scan")
    assert any(line.startswith("cases: 0 evidence") for line in out)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    _, error = told(capsys, log, "--out", tmp_path / "taken", *options, code=1, verb="scan")
    assert error.endswith("name a new folder for the scan")
