"""Screening: each reason, what applies to which split, the judge, and that nothing is lost or asked twice."""

import csv
import gzip
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_server import Call, ScriptedServer, Step, answer, failure

from potstill.collect.screening import screen
from potstill.collect.screening.evaluation_sets import read_sets
from potstill.config import Endpoint, EvaluationSet, Recipe, recipe_from
from potstill.errors import PotstillError, RecipeError, TermsStopped
from potstill.models.http import Sampling, request_body
from potstill.progress import Silent
from potstill.records import Clearance, Message, Prompt, Reply, StageResult, content_hash
from potstill.store.journal import Finish, Journal, make_request
from potstill.store.screening import Screened, left_out, read_screening
from potstill.texts.verdicts import parse_score

BIG = Endpoint(base_url="http://localhost/v1", model="big")
CLEARANCE = Clearance("allowed", "weights.apache-2.0", "document", "1", "2025", "judge")
GOOD = "The parcel leaves our warehouse on Thursday and reaches your neighbour before noon on Friday."
FRENCH = "Le colis sera remis à votre voisin jeudi matin, sauf si vous nous indiquez le contraire avant mercredi."
PASSAGE = "Natalia sold clips to forty eight of her friends in April and then half as many clips in May"


def recipe(screening: dict[str, Any] | None = None, **sections: Any) -> Recipe:
    data = {
        "name": "t",
        "teacher": {"endpoint": {"base_url": "http://localhost/v1", "model": "big"}},
        "prompts": {"source": "unused.jsonl"},
        "collect": {"max_new_tokens": 16},
        "student": {"kind": "scratch", "config": {"model_type": "llama"}},
        "screen": screening or {},
    }
    return recipe_from(data | sections, Path("/"), "test")


Given = tuple[str, str, str]  # prompt, split, answer


def journal_of(folder: Path, given: list[Given], failed: int = 0, finish: str = "stop", use: Any = "ok") -> Path:
    """A run folder with these answers; equal prompts are further samples of one prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    samples: dict[str, int] = {}
    with Journal(folder / "answers.sqlite") as journal:
        requests, outcomes = [], []
        for asked, split, text in given:
            messages = (Message("user", asked),)
            prompt = Prompt(messages, split, "test:1", content_hash(asked))
            sample = samples[asked] = samples.get(asked, -1) + 1
            body = request_body(BIG, messages, Sampling(0.7, 1.0, 16, 0))
            requests.append(make_request(prompt, sample, body, "http://localhost/v1"))
            outcomes.append(Finish(requests[-1].key, Reply(text, finish, input_tokens=9, output_tokens=5), use))
        errors = [
            make_request(Prompt((), "train", "", f"e{at}"), 0, {"messages": [], "seed": at}) for at in range(failed)
        ]
        journal.add([*requests, *errors])
        journal.finish_many(outcomes)
        for one in errors:
            journal.fail(one.key, "HTTP 400: too long")
    return folder


def screened(folder: Path, asked: Recipe, clearance: Clearance | None = None) -> tuple[list[Screened], StageResult]:
    result = screen(asked, clearance, folder, Silent())
    return list(read_screening(folder / "screening.parquet")), result


def reasons(folder: Path, asked: Recipe) -> list[list[str]]:
    return [list(one.reasons) for one in screened(folder, asked)[0]]


SCHEMA = {"type": "object", "required": ["city"]}


@pytest.mark.parametrize(
    ("screening", "text", "expected"),
    [
        ({"refusals": True}, "I'm sorry, but I can't assist with that request.", ["refused"]),
        ({"refusals": True}, GOOD, []),
        ({}, "I'm sorry, but I can't assist with that request.", []),
        ({"languages": ["en"]}, FRENCH, ["wrong_language"]),
        ({"languages": ["en", "fr"]}, FRENCH, []),
        ({"languages": ["en"]}, GOOD, []),
        ({"repeated_ngrams": {}}, "we go on and on and so " * 9, ["repeated_ngrams"]),
        ({"repeated_ngrams": {"words": 5, "share": 0.95}}, "we go on and on and so " * 9, []),
        ({"json_schema": SCHEMA}, '{"city": "Oslo"}', []),
        ({"json_schema": SCHEMA}, '{"town": "Oslo"}', ["json_schema"]),
        ({"json_schema": SCHEMA, "languages": ["en"], "refusals": True}, FRENCH, ["wrong_language", "json_schema"]),
    ],
)
@pytest.mark.parametrize("split", ["train", "holdout"])
def test_what_a_text_shows_counts_in_both_splits(
    screening: dict[str, Any], text: str, expected: list[str], split: str, tmp_path: Path
) -> None:
    folder = journal_of(tmp_path, [("Where is it?", split, text)])
    rows, result = screened(folder, recipe(screening))
    assert list(rows[0].reasons) == expected
    assert rows[0].used == (not expected)
    assert all(rows[0].details)
    assert len(rows[0].details) == len(expected)
    assert result.facts["reasons"] == {one: {"train": 0, "holdout": 0} | {split: 1} for one in expected}


@pytest.mark.parametrize(
    ("finish", "use", "text", "expected"),
    [
        ("length", "truncated", '{"a":', ["truncated", "json_schema"]),
        ("stop", "empty", "", ["empty"]),
        ("refusal", "refused", "I can't help with that.", ["refused", "json_schema"]),
        ("content_filter", "filtered", "", ["filtered"]),
        ("length", "reasoning_only", "", ["reasoning_only"]),
    ],
)
def test_what_the_reply_says_stays_first(finish: str, use: str, text: str, expected: list[str], tmp_path: Path) -> None:
    folder = journal_of(tmp_path, [("a", "train", text)], finish=finish, use=use)
    rows, result = screened(folder, recipe({"json_schema": SCHEMA, "refusals": True}))
    assert list(rows[0].reasons) == expected
    assert result.facts["left_out_sha256"] == ""  # screening itself changed nothing about what is used
    # What the recipe wants to train on is no reason.
    kept = recipe({}, collect={"max_new_tokens": 16, "train_on_truncated": True})
    assert reasons(folder, kept) == ([[]] if use == "truncated" else [expected[:1]])


def test_row_10_a_hundred_identical_answers(tmp_path: Path) -> None:
    """1 kept and 99 counted; other prompts may have that answer too."""
    same = [("a", "train", GOOD if at % 2 else f" {GOOD}\n") for at in range(100)]
    folder = journal_of(tmp_path, [*same, ("b", "train", GOOD)])
    rows, result = screened(folder, recipe())
    assert [one.used for one in rows] == [True] + [False] * 99 + [True]
    assert result.facts["reasons"] == {"exact_duplicate": {"train": 99, "holdout": 0}}
    assert result.facts["used"] == {"train": 2, "holdout": 0}
    assert left_out(folder) == {one.request_key for one in rows[1:100]}
    assert reasons(folder, recipe({"exact_duplicates": False})) == [[]] * 101


def test_row_10_twenty_one_errors_in_512_go_on(tmp_path: Path) -> None:
    folder = journal_of(tmp_path / "a", [(f"q{at}", "train", f"{GOOD} {at}") for at in range(491)], failed=21)
    _, result = screened(folder, recipe({"most_failed": 0.5}))
    assert result.facts["errors"] == 21
    assert result.facts["used"] == {"train": 491, "holdout": 0}
    with pytest.raises(PotstillError, match=r"screen.most_failed: 21 of 512 requests failed, .*21 × HTTP 400"):
        screened(folder, recipe({"most_failed": 0.04}))
    half = journal_of(tmp_path / "b", [("a", "train", GOOD)], failed=1)
    assert screened(half, recipe())[1].facts["errors"] == 1  # half is not over a half
    most = journal_of(tmp_path / "c", [("a", "train", GOOD)], failed=2)
    with pytest.raises(PotstillError, match="2 of 3 requests failed"):
        screened(most, recipe())


def test_row_10_a_chunk_without_a_usable_row_goes_on_with_a_count(tmp_path: Path) -> None:
    bad = [(f"bad {at}", "train", "I'm sorry, but I can't assist with that request.") for at in range(2000)]
    folder = journal_of(tmp_path, [*bad, ("good", "train", GOOD)])
    rows, result = screened(folder, recipe({"refusals": True}))
    assert [one.used for one in rows] == [False] * 2000 + [True]
    assert result.facts["reasons"] == {"refused": {"train": 2000, "holdout": 0}}
    nothing = journal_of(tmp_path / "all", bad[:3])
    assert screened(nothing, recipe({"refusals": True}))[1].facts["used"] == {"train": 0, "holdout": 0}


def test_the_kept_one_of_equals_is_one_that_passes(tmp_path: Path) -> None:
    """A refusal is not what its copies are measured by: all of them are refusals, none a duplicate."""
    folder = journal_of(tmp_path, [("a", "train", "I cannot provide that.")] * 3 + [("a", "train", GOOD)] * 2)
    found = reasons(folder, recipe({"refusals": True}))
    assert found == [["refused"]] * 3 + [[], ["exact_duplicate"]]


def test_near_duplicates_of_a_prompt_and_among_all(tmp_path: Path) -> None:
    long = f"{GOOD} Your neighbour has agreed to sign for it, and will bring it over when you are back home."
    given = [
        ("Where is my parcel?", "holdout", long),
        ("a", "train", long),
        ("a", "train", long + " Sincerely"),
        ("Where is my parcel??", "train", long),
        ("Where is my parcel, please?", "train", long),
        ("Something else entirely, about the weather in the north", "train", FRENCH),
    ]
    folder = journal_of(tmp_path, given)
    near = {"near_duplicates": {"similarity": 0.8, "among": "prompt"}}
    assert reasons(folder, recipe(near)) == [[], [], ["near_duplicate"], [], [], []]
    among = {"near_duplicates": {"similarity": 0.8, "among": "all"}}
    rows, _ = screened(folder, recipe(among))
    assert [bool(one.reasons) for one in rows] == [False, True, True, True, True, False]
    assert rows[3].details[0].endswith("holdout")


def test_held_out_answers_are_not_left_out_as_duplicates_or_contaminated(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text(json.dumps({"question": PASSAGE}) + "\n", encoding="utf-8")
    given = [("a", "holdout", PASSAGE), ("a", "holdout", PASSAGE), ("b", "train", PASSAGE), ("b", "train", GOOD)]
    folder = journal_of(tmp_path / "run", given)
    contaminated = {"contamination": [{"source": str(tmp_path / "set.jsonl"), "field": "question"}]}
    rows, _ = screened(folder, recipe(contaminated))
    assert [list(one.reasons) for one in rows] == [[], [], ["contaminated"], []]
    assert rows[2].details == ["set.jsonl, row 1"]


def _jsonl(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"q": one}) + "\n" for one in texts), encoding="utf-8")


def _gzipped(path: Path, texts: list[str]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"q": [{"role": "user", "content": one}]}) + "\n" for one in texts)


def _csv(path: Path, texts: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["n", "q"])
        writer.writeheader()
        writer.writerows({"n": 1, "q": one} for one in texts)


def _parquet(path: Path, texts: list[str]) -> None:
    pq.write_table(pa.table({"q": texts}), path)


@pytest.mark.parametrize(
    ("name", "write"), [("a.jsonl", _jsonl), ("a.jsonl.gz", _gzipped), ("a.csv", _csv), ("a.parquet", _parquet)]
)
def test_evaluation_sets_in_every_form(name: str, write: Callable[..., None], tmp_path: Path) -> None:
    write(tmp_path / name, ["What is photosynthesis?", PASSAGE])
    given = [("What is photosynthesis", "train", GOOD), ("a", "train", f"Well: {PASSAGE}."), ("c", "train", GOOD)]
    folder = journal_of(tmp_path / "run", given)
    asked = recipe({"contamination": [{"source": str(tmp_path / name), "field": "q"}]})
    rows, _ = screened(folder, asked)
    assert [list(one.details) for one in rows] == [[f"{name}, row 1"], [f"{name}, row 2"], []]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", "holds no text in the field 'q'"),
        ("a.jsonl", b'{"x": 1}\n', "a.jsonl:1: no field 'q'; there is 'x'"),
        ("a.jsonl", b'{"q": 3}\n', "a.jsonl:1: q: neither a text nor a list"),
        ("a.jsonl", b"nonsense\n", "not a table of rows"),
        ("a.jsonl", b"\xff\xfe\n", "not a table of rows"),
        ("a.jsonl.gz", b"nonsense\n", "Not a gzipped file"),
        ("a.parquet", b"nonsense\n", "not a table of rows"),
        ("a.txt", b"text", "must be .jsonl, .csv or .parquet"),
        ("missing/a.csv", None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_bad_evaluation_set_is_one_line(name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    folder = journal_of(tmp_path / "run", [("a", "train", GOOD)])
    with pytest.raises(RecipeError) as caught:
        screened(folder, recipe({"contamination": [{"source": str(tmp_path / name), "field": "q"}]}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: json.dumps({"q": text}).encode()))
def test_any_file_is_an_evaluation_set_or_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    for name in ("a.jsonl", "a.csv", "a.parquet", "a.jsonl.gz"):
        (tmp_path / name).write_bytes(content)
        try:
            words = [f"screen.contamination: {one.name} was read" for one in read_sets([section(tmp_path / name)])]
        except RecipeError as error:
            words = str(error).splitlines()
        assert len(words) == 1
        assert words[0].startswith("screen.contamination: ")


def section(path: Path) -> EvaluationSet:
    return EvaluationSet(source=path, field="q")


@pytest.mark.parametrize(
    ("screening", "words"),
    [
        ({"languages": ["xx"]}, "screen.languages: xx is no language"),
        ({"json_schema": {"type": "strin"}}, "screen.json_schema: not a JSON Schema"),
        ({"json_schema": {"$ref": "other.json"}}, "which is not in it"),
        ({"json_schema": "/nowhere.json"}, "screen.json_schema: /nowhere.json: cannot be read"),
    ],
)
def test_a_bad_screen_is_one_line(screening: dict[str, Any], words: str, tmp_path: Path) -> None:
    folder = journal_of(tmp_path / "run", [("a", "train", "{}")])
    with pytest.raises(RecipeError) as caught:
        screened(folder, recipe(screening))
    assert words in str(caught.value)


def test_a_schema_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    folder = journal_of(tmp_path / "run", [("a", "train", '{"city": "Oslo"}'), ("b", "train", "[]")])
    asked = recipe({"json_schema": str(tmp_path / "schema.json")})
    assert reasons(folder, asked) == [[], ["json_schema"]]
    (tmp_path / "schema.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RecipeError, match="it must be an object"):
        screened(folder, asked)


def test_counts_and_examples_for_people(tmp_path: Path) -> None:
    folder = journal_of(tmp_path, [(f"q{at}", "train", FRENCH * 10) for at in range(9)])
    screened(folder, recipe({"languages": ["en"]}))
    told = json.loads((folder / "screening.json").read_text(encoding="utf-8"))
    assert told["reasons"] == {"wrong_language": {"train": 9, "holdout": 0}}
    examples = told["examples"]["wrong_language"]
    assert [one["prompt"] for one in examples] == ["q0", "q1", "q2"]
    assert examples[0]["detail"].startswith("fr, ")
    assert len(examples[0]["answer"]) == 600


# ---- The judge, on a real server.


def judged(base_url: str, **more: Any) -> dict[str, Any]:
    endpoint = {"base_url": base_url, "model": "judge", "timeout_s": 10} | more.pop("endpoint", {})
    return {"judge": {"endpoint": endpoint, "rubric": "Is it true?", "minimum": 7, "scale": 10} | more}


def by_words(call: Call) -> Step:
    """A judge that likes what is called good, and forgets the form where it is told to."""
    text = call.prompt.split("<answer>")[1]
    return answer("fine work" if "formless" in text else f"It is what it is.\nScore: {9 if 'good' in text else 3}/10")


MIXED = [("a", "train", "good one"), ("b", "train", "bad one"), ("c", "holdout", "formless"), ("d", "holdout", "good")]


def test_the_judge_scores_what_nothing_else_speaks_against(tmp_path: Path) -> None:
    folder = journal_of(tmp_path, [*MIXED, ("e", "train", "I cannot provide that."), ("f", "train", "good one")])
    with ScriptedServer(by_words) as server:
        prices = {"endpoint": {"price_per_million": {"input": 1.0, "output": 2.0}}}
        asked = recipe({"refusals": True} | judged(server.base_url, **prices))
        rows, result = screened(folder, asked, CLEARANCE)
        assert [list(one.reasons) for one in rows] == [[], ["judged_low"], ["not_judged"], [], ["refused"], []]
        assert [one.judge_score for one in rows] == [9, 3, None, 9, None, 9]
        assert rows[1].details == ["3 of 10"]
        assert "fine work" in rows[2].details[0]
        assert len(server.calls) == 5  # the refusal is not paid for
        assert server.calls[0].body["temperature"] == 0
        assert "Is it true?" in server.calls[0].body["messages"][0]["content"]
        facts = result.facts["judge"]
        assert (facts["answers"], facts["scored"], facts["requests"]) == (5, 4, 5)
        assert facts["cost_usd"] == pytest.approx(5 * (12 * 1.0 + 5 * 2.0) / 1e6)
        assert facts["terms"]["rule"] == "weights.apache-2.0"
        # A stricter minimum asks nobody again; another rubric asks about everything.
        stricter = recipe({"refusals": True} | judged(server.base_url, minimum=10, **prices))
        assert [one.used for one in screened(folder, stricter, CLEARANCE)[0]] == [False] * 6
        assert len(server.calls) == 5
        screened(folder, recipe(judged(server.base_url, rubric="Is it short?", **prices)), CLEARANCE)
        assert len(server.calls) == 11


def test_the_judge_gets_what_its_server_asks_for(tmp_path: Path) -> None:
    folder = journal_of(tmp_path, MIXED[:1])
    with ScriptedServer(by_words) as server:
        own = {"token_limit_field": "max_completion_tokens", "extra_body": {"effort": "low", "temperature": None}}
        screened(folder, recipe(judged(server.base_url, endpoint=own)), CLEARANCE)
    body = server.calls[0].body
    assert (body["max_completion_tokens"], body["effort"]) == (512, "low")
    assert not {"max_tokens", "temperature"} & body.keys()


def test_the_judge_is_not_asked_without_a_clearance(tmp_path: Path) -> None:
    folder = journal_of(tmp_path, MIXED)
    with ScriptedServer(by_words) as server:
        with pytest.raises(TermsStopped, match="the judge is not asked"):
            screened(folder, recipe(judged(server.base_url)), None)
        assert server.calls == []


def test_a_judge_that_fails_is_never_a_pass(tmp_path: Path) -> None:
    def script(call: Call) -> Step:
        return failure(400, "too long") if "bad" in call.prompt else by_words(call)

    folder = journal_of(tmp_path, MIXED)
    with ScriptedServer(script) as server:
        rows, result = screened(folder, recipe(judged(server.base_url)), CLEARANCE)
    assert list(rows[1].reasons) == ["not_judged"]
    assert "too long" in rows[1].details[0]
    assert result.facts["judge"]["cost_usd"] is None  # no prices: unknown, never 0


def test_the_judge_spends_from_the_same_budget(tmp_path: Path) -> None:
    folder = journal_of(tmp_path, [(f"q{at}", "train", f"good {at}") for at in range(40)])
    dear = {"input": 1000.0, "output": 2000.0}

    def asked(budget_usd: float, base_url: str) -> Recipe:
        section = judged(base_url, max_new_tokens=10, endpoint={"price_per_million": dear, "concurrency": 1})
        teacher = {"endpoint": {"base_url": base_url, "model": "big", "price_per_million": dear}}
        return recipe(section, teacher=teacher, collect={"max_new_tokens": 16, "budget_usd": budget_usd})

    with ScriptedServer(by_words) as server:
        with pytest.raises(PotstillError, match=r"collect.budget_usd: .* a larger budget goes on from here"):
            screened(folder, asked(2.0, server.base_url), CLEARANCE)
        some = len(server.calls)
        # The teacher's 40 answers have no cost in the journal: they count with the most that they can have cost.
        assert some < 40
        screened(folder, asked(1000.0, server.base_url), CLEARANCE)
        assert len(server.calls) == 40


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Score: 7", 7),
        ("It is fine.\n\n**Score: 10/10**\n", 10),
        ("score 1", 1),
        ("Score: 0", None),
        ("Score: 11", None),
        ("Score: 7/100", None),
        ("Score: 7.5", None),
        ("Score: 7 or 8", None),
        ("Score: 7\nOr perhaps less.", None),
        ("7", None),
        ("Underscore: 7", None),
        ("", None),
    ],
)
def test_scores_are_read_strictly(text: str, score: int | None) -> None:
    assert parse_score(text, 10) == score


@given(st.text(), st.integers(1, 10))
def test_any_reply_gives_a_score_in_range_or_none(text: str, score: int) -> None:
    found = parse_score(text, 10)
    assert found is None or 1 <= found <= 10
    assert parse_score(f"{text}\nScore: {score}", 10) == score


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_screening import CLEARANCE, judged, recipe, screen
from potstill.progress import Silent
screen(recipe(judged({url!r}, endpoint={{"concurrency": 4}})), CLEARANCE, Path({folder!r}), Silent())
"""


def test_killed_while_judging_it_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = journal_of(tmp_path, [(f"q{at}", "train", f"good {at}") for at in range(60)])
    reached = threading.Event()

    def slow(call: Call) -> Step:
        if call.number == 30:
            reached.set()
        time.sleep(0.01)
        return by_words(call)

    with ScriptedServer(slow) as server:
        code = SCRIPT.format(tests=str(Path(__file__).parent), url=server.base_url, folder=str(folder))
        servers = str(Path(__file__).parents[1] / "servers")
        process = subprocess.Popen([sys.executable, "-c", f"import sys; sys.path.insert(0, {servers!r})\n{code}"])
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "screening.parquet").exists()
        rows, _ = screened(folder, recipe(judged(server.base_url, endpoint={"concurrency": 4})), CLEARANCE)
        assert [one.judge_score for one in rows] == [9] * 60
        assert 60 <= len(server.calls) <= 60 + 2 * 4 + 4  # at most what was in flight is asked twice
