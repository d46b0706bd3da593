"""Options of the simulator: campaigns as they are ordered, texts and traces of one's own, errors in one line."""

import contextlib
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill import cli
from potstill.errors import PotstillError
from potstill.guard.simulate import Campaign, Options, parse_campaign, simulate
from potstill.guard.simulate.arrivals import read_arrivals
from potstill.guard.simulate.families import FAMILIES
from potstill.guard.simulate.kinds import What, When
from potstill.guard.simulate.prompts import Forms
from potstill.guard.simulate.requests import Stream
from potstill.guard.simulate.run import _PART_ROWS, _parts
from potstill.guard.simulate.texts import read_texts

NAMES = st.sampled_from([family.name for family in FAMILIES])


@given(NAMES, st.floats(0, 0.999), st.integers(1, 10**6), st.integers(1, 10**9))
def test_an_order_is_read_back(family: str, cover: float, accounts: int, exchanges: int) -> None:
    text = f"{family}:exchanges={exchanges},cover={cover!r},accounts={accounts}"
    assert parse_campaign(text) == Campaign(family, cover, accounts, exchanges)
    assert parse_campaign(family) == Campaign(family)


@given(st.one_of(st.text(), st.builds("{}:{}={}".format, NAMES, st.text(max_size=9), st.text(max_size=9))))
def test_any_order_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(PotstillError):
        accounts, exchanges = parse_campaign(text).size(0.01)
        assert accounts >= 1
        assert exchanges >= 1


@given(st.integers(0, 2**63 - 1), st.integers(1, 366), st.integers(1, 10**6), st.floats(1e-6, 1))
def test_options_within_their_ranges_pass(seed: int, days: int, benign: int, scale: float) -> None:
    Options(seed, days, benign, scale=scale).check()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--campaign", "army"], "army: no family of campaigns; there are fleet, "),
        (["--campaign", "fleet:cover=1"], "cover is a number from 0 to 0.999, not '1'"),
        (["--campaign", "fleet:cover=nan"], "cover is a number from 0"),
        (["--campaign", "fleet:accounts=0"], "accounts is a number from 1 to 1,000,000"),
        (["--campaign", "fleet:speed=9"], "'speed=9' is not understood"),
        (["--campaign", "fleet:cover=0.1,cover=0.2"], "'cover=0.2' is not understood"),
        (["--benign", "0"], "nothing to simulate"),
        (["--benign", "-1"], "--benign -1: wanted is a number from 0"),
        (["--days", "0"], "--days 0: wanted is a number from 1"),
        (["--scale", "2"], "--scale 2.0: wanted is a number over 0"),
        (["--prompts", "nowhere"], "nowhere: no such file"),
        (["--arrivals", "empty"], "empty: no trace here"),
        (["--prompts", "empty"], "empty: no texts for prompts here"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(SystemExit) as ended:
        cli.main(["guard", "simulate", "--out", "out", *arguments])
    error = capsys.readouterr().err.strip()
    assert ended.value.code == 1
    assert words in error
    assert "\n" not in error


def test_the_command_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([
            "guard", "simulate", "--out", str(tmp_path / "out"), "--days", "1", "--benign", "24", "--campaign",
            "fleet:accounts=4,exchanges=40",
        ])  # fmt: skip
    assert ended.value.code == 0
    first, second = capsys.readouterr().out.splitlines()
    events = sum(pq.read_metadata(one).num_rows for one in (tmp_path / "out" / "logs").iterdir())
    assert first == f"{events:,} events of 28 accounts, 4 of them in campaigns"
    assert str(tmp_path / "out" / "truth.parquet") in second


def test_prompts_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    with gzip.open(folder / "one.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"question": "Where does the yellow river end?"}) + "\n" + "no JSON\n")
    rows = [
        {"turns": [{"content": "Tell me of a snail"}]},
        {"messages": [{"role": "user", "content": "Sing of the moon"}]},
    ]
    (folder / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "three.csv").write_text("label,text\n1,Where is my parcel?\n2,x\n", encoding="utf-8")
    (folder / "four.txt").write_text("A line of some length\nshort\n", encoding="utf-8")
    texts = read_texts(folder, 0)
    assert set(texts.texts.to_pylist()) == {
        "Where does the yellow river end?", "Tell me of a snail", "Sing of the moon", "Where is my parcel?",
        "A line of some length",
    }  # fmt: skip
    assert (texts.topics, texts.count.sum()) == (4, 5)
    made = simulate(Options(days=1, benign=24, prompts=folder), tmp_path / "out")
    prompts = pa.concat_tables(pq.read_table(one, columns=["prompt"]) for one in made.logs.iterdir())["prompt"]
    told = prompts.to_pylist()
    assert sum(any(text in prompt for text in texts.texts.to_pylist()) for prompt in told) > 0.8 * len(told)


def test_a_trace_gives_tokens_and_moments(tmp_path: Path) -> None:
    trace = tmp_path / "some_code.csv"
    trace.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:36.0000000,99000,7\n2023-11-16 18:15:36,98000,8\n",
        encoding="utf-8",
    )
    read = read_arrivals(trace).traces["code"]
    assert np.allclose(read.within_h, 936 / 3600)
    assert read.tokens.tolist() == [[99000, 7], [98000, 8]]
    made = simulate(Options(days=2, benign=100, arrivals=tmp_path), tmp_path / "out")
    log = pa.concat_tables(pq.read_table(one) for one in made.logs.iterdir())
    kinds = {row["account"]: row["kind"] for row in pq.read_table(made.folder / "truth.parquet").to_pylist()}
    coding = [row for row in log.to_pylist() if kinds[row["account"]] == "coding_assistant" and row["status"] == 200]
    assert len(coding) > 20
    assert {(row["input_tokens"], row["output_tokens"]) for row in coding} <= {
        (tokens, out) for tokens in (99000, 98000) for out in (7, 8)
    }


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2\n"])
def test_a_trace_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    with pytest.raises(PotstillError, match="trace"):
        read_arrivals(tmp_path / "trace.csv")


@given(st.lists(st.floats(0, 120_000), min_size=1, max_size=40))
def test_parts_are_small_and_cover_all(expected: list[float]) -> None:
    accounts, none = np.arange(len(expected)), Forms(pa.array([]), pa.array([]), np.array([]), np.array([]), None)
    stream = Stream("s", accounts, np.array(expected)[:, None], When(), What(), none, "s", False)
    parts = list(_parts(stream, 0))
    if sum(expected):
        assert [at for part in parts for at in range(part.start, part.stop)] == accounts.tolist()
    for part in parts:
        assert part.stop - part.start == 1 or sum(expected[part]) <= 2 * max(_PART_ROWS, *expected[part])
