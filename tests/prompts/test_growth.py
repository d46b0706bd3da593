"""Growing prompts: what is asked, what a list holds, what is new, and that it stops, resumes and keeps its lineage."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Call, ScriptedServer, Step, answer, failure

from potstill.config import Growth, Prompts, recipe_from
from potstill.config.recipe import Recipe
from potstill.errors import PotstillError, TermsStopped
from potstill.progress import Silent
from potstill.prompts import load_prompts
from potstill.prompts.growth import Written, read_list, requests_of_round, take_new
from potstill.records import Prompt
from potstill.run.growing import describe_growth, grow
from potstill.store.prompts import read_prompts, write_prompts
from potstill.store.scores import spent_growing_usd

SEEDS = ("kettle", "umbrella", "bridge", "lantern", "harbour", "saddle", "needle", "orchard", "anvil", "violin")
SUBJECTS = (
    "copper", "glacier", "monsoon", "parliament", "enzyme", "harpsichord", "tariff", "volcano", "tundra", "loom",
    "quasar", "mortgage", "lichen", "catapult", "sonnet", "turbine", "falcon", "isthmus", "ledger", "yeast",
)  # fmt: skip
SKY = "Why does the sky look so blue at noon in summer, but red in the evening by the sea"


def seeds(folder: Path) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Explain a {one} to a child."}) + "\n" for one in SEEDS))
    return path


def recipe(folder: Path, server: ScriptedServer, to: int = 20, collect: Any = None, **growth: Any) -> Recipe:
    data = {
        "name": "t",
        "teacher": {"endpoint": {
            "base_url": server.base_url, "model": "big", "timeout_s": 10,
            "price_per_million": {"input": 1.0, "output": 2.0},
        }},
        "use": {"purpose": "a test", "competes_with_teacher_provider": False, "distributed": False},
        "prompts": {"source": str(seeds(folder)), "holdout": 0.2, "system": "Be brief.", "grow": {"to": to} | growth},
        "collect": {"max_new_tokens": 16} | (collect or {}),
        "student": {"kind": "scratch", "config": {"model_type": "llama"}},
    }  # fmt: skip
    return recipe_from(data, folder, "test")


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server on loopback is nobody's product; what the gate does about it is tested in tests/terms."""
    import potstill.terms
    from potstill.records import Clearance

    monkeypatch.setattr(potstill.terms, "clear", lambda _: Clearance("allowed", "own", "own", "", "2026", "big"))


def listed(call: Call, per_answer: int = 4, usage: Any = (12, 5)) -> Step:
    start = per_answer * (call.number - 1)
    items = [f"What does a {SUBJECTS[at % len(SUBJECTS)]} do all day?" for at in range(start, start + per_answer)]
    return answer("Sure!\n" + "\n".join(f"{n}. {item}" for n, item in enumerate(items, start=1)), usage=usage)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("1. one\n2. two", ["one", "two"]),
        ('Here they are:\n\n1) one\n   goes on\n2) "two"\n', ["one\n   goes on", "two"]),
        ("- one\n* two\n• three", ["one", "two", "three"]),
        ("```\n1. one\n```", ["one"]),
        ("no list at all", []),
        ("", []),
        ("1. In 1995. what happened?", ["In 1995. what happened?"]),
        ("7. reminder\n8.\n\n*The original prompt* was reworded.", ["reminder"]),
        ("1.\nWhat is rain?\n2.\nWhat is snow?", ["What is rain?", "What is snow?"]),
    ],
)
def test_items_of_a_list(text: str, items: list[str]) -> None:
    assert read_list(text, whole=True) == items


def test_an_item_that_was_cut_short_is_left_out() -> None:
    assert read_list("1. one\n2. tw", whole=False) == ["one"]


@given(st.lists(st.from_regex(r"[a-z][a-z ]{0,30}[a-z]", fullmatch=True), max_size=20))
def test_any_numbered_list_comes_back(items: list[str]) -> None:
    assert read_list("\n".join(f"{n}. {one}" for n, one in enumerate(items, start=1)), whole=True) == items


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert all(one.strip() for one in read_list(text, whole=True))


def train_prompts(folder: Path) -> tuple[Prompts, list[Prompt]]:
    section = Prompts(source=seeds(folder), holdout=0.2, system="Be brief.")
    return section, list(load_prompts(section).prompts)


def test_a_question_shows_training_prompts_only_and_is_the_same_again(tmp_path: Path) -> None:
    section, prompts = train_prompts(tmp_path)
    train = [one for one in prompts if one.split == "train"]
    growth = Growth(to=50, shown=5)
    first = requests_of_round(section, growth, train, [], 0, 9)
    assert first == requests_of_round(section, growth, train, [], 0, 9)
    assert len({one.prompt.hash for one in first}) == 9
    held = [one.messages[-1].content for one in prompts if one.split == "holdout"]
    for one in first:
        assert len(one.parents) == 5
        assert set(one.parents) <= {prompt.hash for prompt in train}
        assert not any(text in one.prompt.messages[-1].content for text in held)


def test_what_is_known_reworded_too_long_or_there_twice_is_left_out(tmp_path: Path) -> None:
    section, prompts = train_prompts(tmp_path)
    growth = Growth(to=50, max_words=20)
    (question,) = requests_of_round(section, growth, prompts, [], 0, 1)
    text = (
        "1. Explain a kettle to a child.\n2. explain a KETTLE to a child!\n"
        f"3. {SKY}?\n4. {SKY}, please?\n5. " + "word " * 21 + "\n6. ???"
    )
    junk = Written(question, "j" * 64, "While I can do this, I'm starting over.", True)
    found = take_new(section, growth, prompts, [Written(question, "k" * 64, text, True), junk], "big")
    assert [one.messages[-1].content for one in found.prompts] == [f"{SKY}?"]
    assert found.left_out == {"repeated": 2, "too_long": 1, "no_words": 1, "alike": 1}
    assert found.without_list == 1
    (one,) = found.prompts
    assert one.messages[0].content == "Be brief."
    assert one.split == "train"
    assert one.grown is not None
    assert (one.grown.model, one.grown.request, one.grown.parents) == ("big", "k" * 64, question.parents)


def test_grown_prompts_keep_their_lineage_in_the_table(tmp_path: Path) -> None:
    section, prompts = train_prompts(tmp_path)
    (question,) = requests_of_round(section, Growth(to=50), prompts, [], 0, 1)
    blue = Written(question, "k", "1. Why is the sky blue?", True)
    grown = take_new(section, Growth(to=50), prompts, [blue], "big").prompts
    write_prompts([*prompts, *grown], tmp_path / "with.parquet")
    assert read_prompts(tmp_path / "with.parquet") == [*prompts, *grown]
    write_prompts(prompts, tmp_path / "without.parquet")
    assert read_prompts(tmp_path / "without.parquet") == prompts


@pytest.mark.usefixtures("allowed")
def test_it_grows_to_the_number_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    with ScriptedServer(listed) as server:
        asked = recipe(tmp_path, server, wanted=4)
        growth = asked.prompts.grow
        assert growth is not None
        found = load_prompts(asked.prompts)
        more, facts, written_by = grow(asked, growth, found, tmp_path, Silent())
        calls = len(server.calls)
        assert len(more.prompts) == 20
        assert facts["grown"] == 20 - len(found.prompts)
        assert facts["growth_requests"] == calls
        assert more.prompts[: len(found.prompts)] == found.prompts
        assert all(one.grown is not None and one.split == "train" for one in more.prompts[len(found.prompts) :])
        assert grow(asked, growth, found, tmp_path, Silent()) == (more, facts, written_by)
        assert len(server.calls) == calls
        larger = growth.model_copy(update={"to": 24})
        wider, _, _ = grow(asked, larger, found, tmp_path, Silent())
        assert wider.prompts[:20] == more.prompts
        assert len(server.calls) > calls
    assert spent_growing_usd(tmp_path) == pytest.approx(len(server.calls) * (12 * 1.0 + 5 * 2.0) / 1e6)


@pytest.mark.usefixtures("allowed")
def test_a_failure_half_way_keeps_what_came_and_goes_on(tmp_path: Path) -> None:
    with ScriptedServer(lambda call: failure(401) if call.number > 1 else listed(call)) as server:
        asked = recipe(tmp_path, server, wanted=4)
        found = load_prompts(asked.prompts)
        assert asked.prompts.grow is not None
        with pytest.raises(PotstillError, match="refuses the key"):
            grow(asked, asked.prompts.grow, found, tmp_path, Silent())
        before = len(server.calls)
        server.script = listed
        more, facts, _ = grow(asked, asked.prompts.grow, found, tmp_path, Silent())
    assert len(more.prompts) == 20
    assert len(server.calls) == before + facts["growth_requests"] - 1


@pytest.mark.usefixtures("allowed")
def test_a_model_that_repeats_itself_ends_it(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener(Silent):
        def say(self, line: str) -> None:
            said.append(line)

    with ScriptedServer(lambda call: answer("1. Why is the sky blue?")) as server:
        asked = recipe(tmp_path, server, to=100, wanted=4)
        assert asked.prompts.grow is not None
        found = load_prompts(asked.prompts)
        more, facts, _ = grow(asked, asked.prompts.grow, found, tmp_path, Listener())
    assert len(more.prompts) == len(found.prompts) + 1
    assert facts["growth_rounds"] == 1
    assert any("ends with" in line for line in said)
    requests = facts["growth_requests"]
    assert facts["growth_left_out"] == {"repeated": requests - 1}
    assert f"prompts.grow: round 1: {requests} requests, 1 new prompt, {requests - 1} that repeat another" in said


def test_without_a_clearance_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import potstill.terms

    def stopped(_: Recipe) -> None:
        raise TermsStopped("no")

    monkeypatch.setattr(potstill.terms, "clear", stopped)
    with ScriptedServer() as server:
        asked = recipe(tmp_path, server)
        assert asked.prompts.grow is not None
        with pytest.raises(TermsStopped):
            grow(asked, asked.prompts.grow, load_prompts(asked.prompts), tmp_path, Silent())
        assert not server.calls


@pytest.mark.usefixtures("allowed")
def test_growing_stays_within_the_budget_and_counts_for_the_answers(tmp_path: Path) -> None:
    with ScriptedServer(lambda call: listed(call, usage=(100, 500))) as server:
        asked = recipe(tmp_path, server, wanted=1, collect={"budget_usd": 0.003}, max_new_tokens=512)
        assert asked.prompts.grow is not None
        with pytest.raises(PotstillError, match=r"collect\.budget_usd"):
            grow(asked, asked.prompts.grow, load_prompts(asked.prompts), tmp_path, Silent())
    assert 0 < spent_growing_usd(tmp_path) < 0.003


def test_the_plan_says_what_it_takes(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        asked = recipe(tmp_path, server, to=90, wanted=8)
    words = describe_growth(asked, 10)
    assert "from 10 to 90 prompts" in words
    assert "big at 127.0.0.1" in words
    assert "in 10 requests or more" in words
    assert describe_growth(asked, 90) == ""
