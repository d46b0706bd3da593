"""Pilots: what they find, that the run does not pay for their answers again, and that a hopeless teacher stops it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rooms import Lines
from scripted_server import Call, ScriptedServer, Step, answer

from potstill import cli, ledger
from potstill.config import Recipe, load_recipe
from potstill.errors import PotstillError, RecipeError, TermsStopped
from potstill.prompts import load_prompts
from potstill.run import Pilot, plan, run_pilot, run_recipe, status, verify
from potstill.run.pilot import choose
from potstill.run.verify import summary
from potstill.store.journal import Journal
from tiny import make_tiny_model

THINGS = ("hammer", "ladder", "needle", "kettle", "saddle", "violin", "anvil", "shovel", "scissors", "pliers")
PLACES = ("harbour", "orchard", "meadow", "valley", "station", "library", "market", "chapel", "island", "forest")
Setting = Callable[..., tuple[Recipe, Path]]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("student"), layers=1)


@pytest.fixture
def setting(tmp_path: Path, student: Path) -> Setting:
    """Makes a recipe of a task with two labels, and its run folder."""
    rows = []
    for word in THINGS + PLACES:
        gold = "tool" if word in THINGS else "place"
        rows += [{"prompt": f"{word} {where}", "gold": gold} for where in ("of anna", "for boris", "by night")]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(base_url: str, **sections: Any) -> tuple[Recipe, Path]:
        endpoint = {"base_url": base_url, "model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
        endpoint["price_per_million"] = {"input": 10.0, "output": 10.0}
        data = {
            "name": "small",
            "teacher": {"endpoint": endpoint},
            "prompts": {"source": "prompts.jsonl", "holdout": 0.2},
            "collect": {"max_new_tokens": 6},
            "student": {"kind": "model", "model": f"path:{student}"},
            "evaluate": {
                "resamples": 200,
                "task": {"reference_field": "gold", "metrics": ["accuracy"], "labels": ["tool", "place"]},
            },
            "serving": {"usd_per_month": 20},
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**data, **sections}))
        return load_recipe(path), tmp_path / "run"

    return make


def able(call: Call) -> Step:
    """Right but for one prompt in ten or so."""
    right = "tool" if any(word in call.prompt for word in THINGS) else "place"
    wrong = {"tool": "place", "place": "tool"}[right]
    return answer(f"It is a {wrong if 'anna' in call.prompt and 'e' in call.prompt[:2] else right}.")


def hopeless(call: Call) -> Step:
    return answer("A tool.")


def pilot(recipe: Recipe, folder: Path, count: int = 40) -> tuple[Pilot, dict[str, Any]]:
    found = run_pilot(plan(recipe, folder), count, folder, Lines())
    return found, json.loads((folder / "pilot.json").read_text())


def test_what_it_finds_and_that_nothing_is_paid_twice(setting: Setting) -> None:
    with ScriptedServer(able) as server:
        recipe, folder = setting(server.base_url)
        prompts = load_prompts(recipe.prompts).prompts
        found, data = pilot(recipe, folder)
        found.check()
        assert len(server.calls) == 80  # twice each
        held = {one.messages[-1].content for one in prompts if one.split == "holdout"}
        assert held.isdisjoint(server.prompts)
        figures, text = data["figures"], "\n".join(found.lines)
        assert figures["teacher.accuracy"]["n"] == 40
        assert figures["teacher.accuracy"]["value"] > 0.8
        assert figures["teacher.self_agreement"]["value"] == 1
        assert figures["majority.accuracy"]["value"] == pytest.approx(0.5, abs=0.15)
        assert figures["tfidf.accuracy"]["n"] == 40
        assert 0 <= figures["initial_student.accuracy"]["value"] <= 1
        training = len(prompts) - len(held)
        assert f"pilot: 40 of {training} training prompts, chosen by hash; 40 have a usable answer, 40 of these" in text
        for words in (
            "teacher: accuracy", "untrained student: ", "the most frequent label: accuracy", "TF-IDF with logistic",
            "teacher asked again: the same label in 100.0 % (95 %: ", "not of the student", "from about",
            "pilot: nothing speaks against the run",
        ):  # fmt: skip
            assert words in text, words
        assert verify(folder) == []
        assert "pilot.json" not in summary(folder)
        assert "pilot: nothing speaks against the run" in status(folder)

        again, _ = pilot(recipe, folder)
        assert (again, len(server.calls)) == (found, 80)
        pilot(recipe, folder, 44)  # has the forty of before
        assert len(server.calls) == 88
        run_recipe(recipe, folder, "collect")
        assert len(server.calls) == 88 + len(prompts) - 44
        assert max(server.asked.values()) == 1
        assert verify(folder) == []
        pilot(recipe, folder, 45)  # after the run: in its journal again, and the run then goes on as before
        assert len(server.calls) == 88 + len(prompts) - 44 + 1
        assert verify(folder) == []
        run_recipe(recipe, folder, "collect")
        assert len(server.calls) == 88 + len(prompts) - 44 + 1
        assert verify(folder) == []


def test_a_hopeless_teacher_stops_the_run(
    setting: Setting, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(hopeless) as server:
        recipe, folder = setting(server.base_url)
        monkeypatch.chdir(folder.parent)
        with pytest.raises(SystemExit) as ended:
            cli.main(["plan", "recipe.yaml", "--out", "run", "--pilot", "30"])
        said = capsys.readouterr()
        assert ended.value.code in (1, 5)
        last = said.err.splitlines()[-1]
        assert last.startswith("potstill: stopped by the pilot: the teacher's accuracy on 30 gold labels, ")
        assert "is not clearly above the" in last
        assert "pilot: STOP, " in said.out
        asked = len(server.calls)
        assert asked == 60
        with pytest.raises(PotstillError, match="--despite-pilot"):
            run_recipe(recipe, folder, "collect")
        with pytest.raises(RecipeError, match="give the reason"):
            run_recipe(recipe, folder, "collect", despite_pilot=" ")
        run_recipe(recipe, folder, "terms")
        assert len(server.calls) == asked
        lines = Lines()
        run_recipe(recipe, folder, "collect", lines, despite_pilot="a test of the refusals")
        assert any("goes on all the same: a test of the refusals" in one for one in lines.said)
        run_recipe(recipe, folder, "collect")  # the ledger has the reason
        (overruled,) = [one for one in ledger.read(folder / "ledger.jsonl") if one.kind == "pilot_overruled"]
        assert overruled.facts["reason"] == "a test of the refusals"
        assert verify(folder) == []
        # Of another question the pilot says nothing.
        other, folder = setting(server.base_url, collect={"max_new_tokens": 7})
        run_recipe(other, folder, "collect")


def test_a_pilot_that_the_budget_ends_goes_on(setting: Setting) -> None:
    with ScriptedServer(able) as server:
        few, folder = setting(server.base_url, collect={"max_new_tokens": 6, "budget_usd": 0.005})
        with pytest.raises(PotstillError, match=r"collect\.budget_usd"):
            pilot(few, folder, 20)
        before = len(server.calls)
        assert 0 < before < 40
        assert not (folder / "pilot.json").exists()
        more, _ = setting(server.base_url, collect={"max_new_tokens": 6, "budget_usd": 1.0})
        found, _ = pilot(more, folder, 20)
        assert (len(server.calls), found.stopped) == (40, None)


def test_where_the_run_asks_twice_anyway_nothing_is_the_pilots_alone(setting: Setting) -> None:
    with ScriptedServer(able) as server:
        recipe, folder = setting(server.base_url, collect={"max_new_tokens": 6, "answers_per_prompt": 2})
        found, data = pilot(recipe, folder, 10)
        assert (len(server.calls), data["figures"]["teacher.self_agreement"]["n"]) == (20, 10)
        assert any("learning curve: not enough data: 10 answered prompts" in line for line in found.lines)
        run_recipe(recipe, folder, "collect")
        assert len(server.calls) == 2 * len(load_prompts(recipe.prompts).prompts)


def test_terms_stop_a_pilot_before_anything_is_asked(setting: Setting, tmp_path: Path) -> None:
    endpoint = {"base_url": "https://api.openai.com/v1", "model": "gpt-4.1"}
    recipe, folder = setting("", teacher={"endpoint": endpoint}, use={"competes_with_teacher_provider": True})
    with pytest.raises(TermsStopped):
        run_pilot(plan(recipe, folder), 5, folder)
    assert not folder.exists()


def test_a_local_teacher_without_gold_labels(setting: Setting, tmp_path: Path) -> None:
    weights = make_tiny_model(tmp_path / "teacher", layers=3, scale=0.2)
    recipe, folder = setting(
        "", teacher={"model": f"path:{weights}", "license": "apache-2.0"}, evaluate={"resamples": 200},
        collect={"max_new_tokens": 6, "train_on_truncated": True},
        student={"kind": "pruned", "keep_layers": 2, "calibration_tokens": 40},
    )  # fmt: skip
    found, data = pilot(recipe, folder, 24)
    assert found.stopped is None
    assert set(data["figures"]) == {"initial_student.chrf", "teacher.self_agreement", "teacher.chrf"}
    assert data["learning_curve"]["stand_in"].startswith("the teacher's answer to the nearest prompt")
    assert "pays for itself: unknown (the teacher is local" in "\n".join(found.lines)
    assert not (folder / "answers.sqlite").exists()  # the run answers in batches of its own
    with Journal(folder / "pilot" / "answers.sqlite", read_only=True) as journal:
        assert journal.counts().done == 48
    assert verify(folder) == []
    with (folder / "pilot.json").open("a") as file:
        file.write(" ")
    assert verify(folder) == [f"{folder / 'pilot.json'}: is not what the last pilot in the ledger left"]
    (folder / "pilot.json").write_text("{}")
    with pytest.raises(PotstillError, match=r"pilot\.json: not what a pilot leaves"):
        pilot(recipe, folder, 24)
    (folder / "pilot.json").unlink()
    pilot(recipe, folder, 24)

    # What is withdrawn goes from the pilot too.
    first = load_prompts(recipe.prompts).prompts
    gone = choose(first, 1, ())[0]
    (tmp_path / "withdrawn.txt").write_text(f"{gone.hash}\n")
    withdrawn = load_recipe(tmp_path / "recipe.yaml", ["prompts.withdrawn=withdrawn.txt"])
    run_recipe(withdrawn, folder, "prompts")
    assert not (folder / "pilot").exists()
    assert not (folder / "pilot.json").exists()
    assert verify(folder) == []


def test_which_prompts_are_asked(setting: Setting) -> None:
    recipe, _ = setting("http://localhost:9/v1")
    prompts = load_prompts(recipe.prompts).prompts
    ten = choose(prompts, 10, ())
    assert all(one.split == "train" for one in ten)
    assert {one.hash for one in ten} < {one.hash for one in choose(prompts, 20, ())}
    assert {one.hash for one in choose(prompts[::-1], 10, ())} == {one.hash for one in ten}
    others = {one.hash for one in prompts if one.split == "train"} - {one.hash for one in ten}
    assert {one.hash for one in choose(prompts, 5, others)} <= others
