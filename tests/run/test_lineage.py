"""Rows followed through a served run, with grown prompts and every reason not to be used; and withdrawn from it."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from rooms import WORDS, Killed
from scripted_server import Call, ScriptedServer, Step, answer, failure

from potstill import ledger
from potstill.cli import main
from potstill.config import load_recipe
from potstill.errors import RecipeError
from potstill.prompts import load_prompts
from potstill.records import Prompt, content_hash
from potstill.run import run, verify
from potstill.run.following import PromptTrace
from potstill.run.lineage import lineage, lines
from potstill.run.markers import Marker, hash_outputs, marker_path, marker_text, write_durably
from potstill.run.record import note
from potstill.store.journal import Journal
from potstill.store.prompts import read_prompts

SUBJECTS = ("glacier", "parliament", "enzyme", "tariff", "volcano", "mortgage", "lichen", "sonnet", "turbine", "yeast")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes the recipe of a server that cuts one training answer, refuses one, fails one, and writes prompts."""
    (tmp_path / "seeds.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Explain a {one} to a child."}) + "\n" for one in WORDS), encoding="utf-8"
    )

    def script(call: Call) -> Step:
        if "new prompts" in call.prompt:
            start = 2 * call.number
            items = [f"What does a {SUBJECTS[(start + at) % len(SUBJECTS)]} do all day?" for at in range(2)]
            return answer("\n".join(f"{at}. {one}" for at, one in enumerate(items, start=1)))
        for word, step in _odd(tmp_path).items():
            if word in call.prompt:
                return step
        return answer(f"Said of: {call.prompt}")

    with ScriptedServer(script) as server:

        def make(**prompts: Any) -> Path:
            endpoint = {
                "base_url": server.base_url, "model": "big", "max_attempts": 1,
                "price_per_million": {"input": 1.0, "output": 2.0},
            }  # fmt: skip
            data = {
                "name": "served", "teacher": {"endpoint": endpoint, "license": "apache-2.0"},
                "prompts": {"source": "seeds.jsonl", "holdout": 0.2} | prompts,
                "use": {"competes_with_teacher_provider": False, "distributed": False},
                "collect": {"max_new_tokens": 16}, "screen": {"refusals": True},
                "student": {"kind": "scratch", "config": {"model_type": "llama"}, "tokenizer": "path:./none"},
            }  # fmt: skip
            (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
            return tmp_path / "recipe.yaml"

        yield make


GROW = {"to": 14, "wanted": 2, "shown": 2}


def _odd(folder: Path) -> dict[str, Step]:
    words = [_word(one) for one in load_prompts(load_recipe(folder / "recipe.yaml").prompts).prompts
             if one.split == "train"]  # fmt: skip
    steps = (answer("It is a", finish_reason="length"), answer("I'm sorry, but I can't help with that."), failure(400))
    return dict(zip(words, steps, strict=False))


def _word(prompt: Prompt) -> str:
    return prompt.messages[-1].content.split()[2]


def traced(folder: Path) -> dict[str, PromptTrace]:
    """Every prompt of the source by its word."""
    (found,) = lineage(folder, "source", "seeds.jsonl")
    by_hash = {one.hash: _word(one) for one in read_prompts(folder / "prompts.parquet") if one.grown is None}
    return {by_hash[one.hash]: one for one in found.prompts if one.hash in by_hash}


def test_every_reason_not_to_be_used_is_told(served: Callable[..., Path], tmp_path: Path) -> None:
    folder = run(served(), tmp_path / "run", until="screen")
    found = traced(folder)
    cut, refused, failed = _odd(tmp_path)
    told = {word: [(one.used, one.why) for one in prompt.answers] for word, prompt in found.items()}
    assert told.pop(cut) == [("not used", "cut off at the token limit")]
    assert told.pop(refused) == [("not used", "refused")]
    ((used, why),) = told.pop(failed)
    assert (used, why.partition(":")[0]) == ("not used", "no answer")
    for word, answers in told.items():
        assert answers == [("trained on" if found[word].split == "train" else "held out", "")]
    (whole,) = lineage(folder, "prompt", found[cut].hash[:9])
    assert (whole.models, whole.problems) == ((), ())  # training has not finished
    assert whole.ledger_head == ledger.read(folder / "ledger.jsonl")[-1].hash
    key = found[cut].answers[0].request
    assert [one.hash for one in lineage(folder, "request", key[:10])[0].prompts] == [found[cut].hash]


def test_a_table_that_leaves_the_run_with_the_answer_is_named(served: Callable[..., Path], tmp_path: Path) -> None:
    folder = run(served(), tmp_path / "run", until="screen")
    (folder / "export").mkdir()
    for name, columns in (("answers", None), ("other", ["prompt_hash"])):
        pq.write_table(
            pq.read_table(folder / "answers.parquet", columns=columns), folder / "export" / f"{name}.parquet"
        )
    outputs = hash_outputs(folder, ["export"])
    marker = Marker("export", "", {}, outputs, content_hash(outputs), 0.0, "2026-01-01", {}, {})
    text = marker_text(marker)
    note(folder, "stage_finished", {**asdict(marker), "marker_sha256": sha256(text.encode()).hexdigest()})
    write_durably(marker_path(folder, "export"), text)
    assert verify(folder) == []
    answers = [one for prompt in traced(folder).values() for one in prompt.answers]
    told = {one.exported for one in answers if not one.why.startswith("no answer")}
    assert told == {("export/answers.parquet",)}


def test_a_grown_prompt_is_followed_both_ways(served: Callable[..., Path], tmp_path: Path) -> None:
    folder = run(served(grow=GROW), tmp_path / "run", until="screen")
    grown = [one for one in read_prompts(folder / "prompts.parquet") if one.grown is not None]
    assert grown
    child = grown[0]
    assert child.grown is not None
    parent = child.grown.parents[0]
    (up,) = lineage(folder, "prompt", child.hash)
    assert up.prompts[0].parents == child.grown.parents
    (down,) = lineage(folder, "prompt", parent)
    assert child.hash in down.prompts[0].grown
    assert {one.hash for one in down.prompts} >= {parent, child.hash}
    (written,) = lineage(folder, "request", child.grown.request)
    assert child.hash in {one.hash for one in written.prompts}
    assert any("grown from it" in line for line in lines(down))


def _everything(folder: Path) -> str:
    """All that can be read in a run folder, with tables unpacked; what `.lock` files hold apart."""
    texts = []
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            texts.append(str(pq.read_table(path).to_pylist()))
        elif path.is_file():
            texts.append(path.read_bytes().decode("utf-8", errors="replace"))
    return "\n".join(texts)


def _withdrawn(folder: Path, word: str) -> str:
    (identity,) = (
        one.hash for one in read_prompts(folder / "prompts.parquet") if f" {word} " in one.messages[-1].content
    )
    (folder.parent / "withdrawn.txt").write_text(f"# asked for deletion\n{identity}\n", encoding="utf-8")
    return str(identity)


def test_a_withdrawn_row_is_gone_from_every_file_and_the_ledger_proves_it(
    served: Callable[..., Path], tmp_path: Path
) -> None:
    folder = run(served(grow=GROW), tmp_path / "run", until="screen")
    word = _word(next(one for one in read_prompts(folder / "prompts.parquet") if one.split == "train" and not one.grown
                      and _word(one) not in _odd(tmp_path)))  # fmt: skip
    assert f"Said of: Explain a {word}" in _everything(folder)
    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        spent = journal.spent_usd()
    identity = _withdrawn(folder, word)
    run(served(grow=GROW, withdrawn="withdrawn.txt"), folder, until="screen")
    assert word not in _everything(folder)
    assert verify(folder) == []
    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        assert journal.spent_usd() >= spent
    facts = [one.facts for one in ledger.read(folder / "ledger.jsonl") if one.kind == "withdrawal"]
    assert facts[0]["rows"]["answers.sqlite"] >= 1
    assert facts[0]["rows"]["grown/answers.sqlite"] >= 1
    (found,) = lineage(folder, "prompt", identity[:10])
    (prompt,) = found.prompts
    assert (prompt.split, prompt.answers) == (None, ())
    recorded = ledger.read(folder / "ledger.jsonl")[(prompt.withdrawn_line or 0) - 1].facts["facts"]["withdrawn"]
    assert recorded["hashes"] == [identity]
    assert (recorded["rows"], recorded["unmatched"]) == (1, [])
    assert (found.affected, found.problems) == ((), ())


def test_a_new_run_keeps_what_it_has_where_nothing_is_withdrawn_from_it(
    served: Callable[..., Path], tmp_path: Path
) -> None:
    """A list that is there from the start deletes nothing, and a run without one keeps its hashes."""
    (tmp_path / "withdrawn.txt").write_text("seeds.jsonl:1\n", encoding="utf-8")
    folder = run(served(withdrawn="withdrawn.txt"), tmp_path / "run", until="collect")
    assert "withdrawal" not in {one.kind for one in ledger.read(folder / "ledger.jsonl")}
    asked = read_prompts(folder / "prompts.parquet")
    assert len(asked) == len(WORDS) - 1
    (tmp_path / "withdrawn.txt").write_text("seeds.jsonl:1\n# another line\n", encoding="utf-8")
    run(served(withdrawn="withdrawn.txt"), folder, until="collect")
    assert read_prompts(folder / "prompts.parquet") == asked


@pytest.mark.parametrize("dies_after", range(0, 36, 5))
def test_killed_while_it_deletes(
    served: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    folder = run(served(), tmp_path / "run", until="screen")
    word = _word(next(one for one in read_prompts(folder / "prompts.parquet") if one.split == "train"
                      and _word(one) not in _odd(tmp_path)))  # fmt: skip
    _withdrawn(folder, word)
    recipe, left = served(withdrawn="withdrawn.txt"), [dies_after]

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return function(*given, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        try:
            run(recipe, folder, until="prompts")
        except Killed:
            assert verify(folder) == []
    run(recipe, folder, until="screen")
    assert word not in _everything(folder)
    assert verify(folder) == []


def test_names_that_mean_nothing_or_too_much(served: Callable[..., Path], tmp_path: Path) -> None:
    folder = run(served(), tmp_path / "run", until="prompts")
    with pytest.raises(RecipeError, match=r"--prompt : 10 prompts begin so .* give more digits"):
        lineage(folder, "prompt", "")
    with pytest.raises(RecipeError, match="no prompt's hash begins so"):
        lineage(folder, "prompt", "zz")
    with pytest.raises(RecipeError, match=r"no prompt of .* comes from there"):
        lineage(folder, "source", "other.jsonl")
    with pytest.raises(RecipeError, match="neither a run folder nor a folder of them"):
        lineage(tmp_path / "nowhere", "prompt", "ab")
    (found,) = lineage(folder, "prompt", "f" * 64)  # that it is nowhere is an answer
    assert "not among the prompts" in " ".join(lines(found))


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def test_the_verb(served: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = served()
    for name in ("one", "two"):
        run(recipe, tmp_path / "runs" / name, until="screen")
    assert call("lineage", str(tmp_path / "runs"), "--source", "seeds.jsonl:1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(one["run"]).name for one in told["runs"]] == ["one", "two"]
    assert told["affected"] == []
    assert call("lineage", str(tmp_path / "runs" / "one"), "--source", "seeds.jsonl:1") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "affected: no model"
    assert call("lineage", str(tmp_path / "runs")) == 2
    assert "give one of --prompt" in capsys.readouterr().err
    db = sqlite3.connect(tmp_path / "runs" / "one" / "answers.sqlite")
    db.execute("UPDATE requests SET split = 'holdout'")
    db.commit()
    db.close()
    (tmp_path / "runs" / "two" / "screening.parquet").write_text("x")
    for name, words in (
        ("one", "not as recorded, so this proves nothing"),
        ("two", "screening.parquet: changed since"),
    ):
        assert call("lineage", str(tmp_path / "runs" / name), "--source", "seeds.jsonl:1") == 1
        assert words in capsys.readouterr().err
