"""What a plan says, that it says so without spending anything, and that its sums are right."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rooms import WORDS, Lines

from potstill.config import FullSignals, Recipe, SampledSignals, TopKSignals
from potstill.errors import RecipeError
from potstill.models.folder import context_tokens
from potstill.records import StageResult
from potstill.run import plan
from potstill.run.cost import usd
from potstill.run.folder import write_recipe
from potstill.run.sizes import (
    Weights,
    disk_bytes,
    measured_flops_per_s,
    read_weights,
    reported_bytes,
    signal_bytes,
    training_bytes,
)

Make = Callable[..., Recipe]
ENDPOINT: dict[str, Any] = {"base_url": "http://localhost:9/v1", "model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
PRICED = {**ENDPOINT, "price_per_million": {"input": 1000.0, "output": 2000.0}}
TEXT_STUDENT = {"kind": "model", "model": "path:./student"}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("subprocess.run", lambda *a, **k: pytest.fail("a plan must not fetch"))
    monkeypatch.setattr("socket.socket.connect", lambda *a, **k: pytest.fail("a plan must not connect"))


def weights_folder(folder: Path, layers: int = 4, width: int = 8, context: int | None = 64) -> Path:
    """A model folder as far as a plan reads it: the header of the weights, and the config."""
    folder.mkdir(parents=True)
    shapes = {"model.embed_tokens.weight": [10, width]}
    shapes |= {f"model.layers.{index}.mlp.weight": [width, width] for index in range(layers)}
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    raw = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw)
    config = {"model_type": "llama"} | ({"max_position_embeddings": context} if context else {})
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    return folder


def test_before_the_teacher_is_fetched(recipe: Make) -> None:
    made = plan(recipe())
    text = "\n".join(made.lines())
    assert made.terms.cleared
    assert (made.rows, made.train_prompts, made.holdout_prompts) == (len(WORDS), 8, 2)
    assert made.requests == len(WORDS)
    assert made.tokens.prompt == sum(len(word) // 4 for word in WORDS)
    assert not made.tokens.exact
    assert made.answer_tokens_at_most == len(WORDS) * 256
    for words in (
        "terms: The teacher's terms clear this run: verdict allowed",
        "requests: 10, of which 0 are answered already",
        "estimated at 4 characters a token",
        "cost: none (local teacher)",
        "unknown until the models are fetched",
        "the student is cut from the teacher",
    ):
        assert words in text


def test_with_a_local_teacher_at_hand(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights_folder(tmp_path / "teacher")
    monkeypatch.setattr(
        "potstill.students.compatibility.prompt_lengths", lambda folder, prompts: [3 if n else 60 for n in range(10)]
    )
    made = plan(
        recipe(teacher={"model": "path:./teacher"}, collect={"max_new_tokens": 5, "answers_per_prompt": 2}),
        reporter=Lines(),
    )
    assert made.tokens.exact
    assert made.tokens.prompt == 60 + 9 * 3
    assert made.tokens.too_long == (f"{tmp_path / 'prompts.jsonl'}:1",)
    assert made.requests == 20
    assert made.needs.teacher_parameters == 80 + 4 * 64
    assert made.needs.student_parameters == 80 + 2 * 64
    assert made.needs.time_s is not None
    assert made.needs.time_s > 0
    text = "\n".join(made.lines())
    assert "tokens: prompts 174 (exact), answers at most 100" in text
    assert "student: pruned, 208 parameters, 0.62 of the teacher's" in text
    assert "too long: 1 prompts" in text
    assert "an estimate" in text


def test_scoring_labels_takes_time(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights_folder(tmp_path / "teacher")
    monkeypatch.setattr("potstill.students.compatibility.prompt_lengths", lambda folder, prompts: [30] * 10)
    monkeypatch.setattr("potstill.run.needs.measured_flops_per_s", lambda: 1.0)
    gold = [{"prompt": word, "gold": f"label {at}"} for at, word in enumerate(WORDS)]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold), encoding="utf-8")
    task = {"references": "gold.jsonl", "reference_field": "gold", "metrics": ["accuracy"]}
    given = {**task, "labels": [f"label {at}" for at in range(40)]}
    times = {}
    for name, one in (("none", None), ("file", task), ("given", given), ("text", {**task, "metrics": ["token_f1"]})):
        made = plan(recipe(teacher={"model": "path:./teacher"}, collect={"max_new_tokens": 5}, evaluate={"task": one}))
        assert made.needs.time_s is not None
        times[name] = made.needs.time_s
    weights = (80 + 4 * 64) + 2 * (80 + 2 * 64)  # teacher, student, and the untrained student
    of_file = 2 * 30 + 2 * 10 * (7 / 4 + 1)  # two held-out prompts, once each, and ten labels after each
    assert times["file"] - times["none"] == pytest.approx(2 * weights * of_file)
    letters = 10 * 7 + 30 * 8
    assert times["given"] - times["none"] == pytest.approx(2 * weights * (2 * 30 + 2 * (letters / 4 + 40)))
    assert times["text"] == times["none"]


def test_several_teachers_are_listed_and_counted(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, layers in (("a", 4), ("b", 8)):
        weights_folder(tmp_path / name, layers=layers, context=64 // (1 + (name == "b")))
    monkeypatch.setattr("potstill.students.compatibility.prompt_lengths", lambda folder, prompts: [30] * 10)
    monkeypatch.setattr("potstill.run.teachers._tokenizers", lambda folders: [])
    second = {"name": "b", "model": "path:./b", "weight": 3}
    sections = {"teacher": {"model": "path:./a"}, "collect": {"max_new_tokens": 5}}
    one = plan(recipe(**sections))
    made = plan(recipe(**sections, more_teachers=[second]))
    text = "\n".join(made.lines())
    assert "teacher b: path:" in text
    assert "weight 3; takes part in 10 prompts and writes the answers to 0; verdict allowed, rule apache-2.0" in text
    assert "the first teacher: path:" in text
    assert "of the first teacher's" in text
    assert len(made.tokens.too_long) == 10  # the second one's context is 32
    assert not one.tokens.too_long
    for bytes_of in ("disk_bytes", "memory_bytes"):
        assert getattr(made.needs, bytes_of) > getattr(one.needs, bytes_of)
    live = recipe(**{**sections, "collect": {"max_new_tokens": 5, "signals": {"kind": "full"}}}, more_teachers=[second])
    both = 80 + 4 * 64 + 80 + 8 * 64
    assert plan(live).needs.memory_bytes == training_bytes(80 + 2 * 64, 0, both)


def test_costs_of_an_endpoint(recipe: Make) -> None:
    unpriced = plan(recipe(teacher={"endpoint": ENDPOINT}, student=TEXT_STUDENT))
    assert unpriced.cost is None
    assert any(line.startswith("cost: unknown") for line in unpriced.lines())
    collect = {"max_new_tokens": 10, "budget_usd": 1.5}
    made = plan(recipe(teacher={"endpoint": PRICED}, student=TEXT_STUDENT, collect=collect))
    expected = (made.tokens.prompt * 1000.0 + 10 * 10 * 2000.0) / 1e6
    assert made.cost is not None
    assert made.cost.at_most == pytest.approx(expected)
    assert made.cost.at_least == pytest.approx((made.tokens.prompt * 1000.0 + 10 * 2000.0) / 1e6)
    assert any("the budget stops new requests before $1.50" in line for line in made.lines())


def test_asking_a_second_time_is_in_the_plan(recipe: Make) -> None:
    served = {"teacher": {"endpoint": PRICED}, "student": TEXT_STUDENT, "collect": {"max_new_tokens": 10}}
    once, again = plan(recipe(**served)), plan(recipe(**served, evaluate={"self_agreement": True}))
    assert again.requests == once.requests + once.holdout_prompts
    assert once.cost is not None
    assert again.cost is not None
    answer_usd = 10 * PRICED["price_per_million"]["output"] / 1e6
    more = again.cost.at_most - once.cost.at_most
    assert more > once.holdout_prompts * answer_usd  # the prompts come on top
    assert f"{once.holdout_prompts:,} of them ask held-out prompts a second time" in "\n".join(again.lines())
    assert "second time" not in "\n".join(once.lines())


def test_answers_of_an_earlier_start_are_counted(recipe: Make, tmp_path: Path) -> None:
    from potstill.prompts import load_prompts
    from potstill.records import Reply
    from potstill.store.journal import Finish, Journal, make_request

    asked = recipe(teacher={"endpoint": PRICED}, student=TEXT_STUDENT, collect={"max_new_tokens": 10})
    folder = tmp_path / "run"
    folder.mkdir()
    write_recipe(folder, asked, str)
    (folder / "ledger.jsonl").touch()
    requests = [
        make_request(one, 0, {"model": "m", "about": one.hash}, "http://h")
        for one in load_prompts(asked.prompts).prompts
    ]
    with Journal(folder / "answers.sqlite") as journal:
        journal.add(requests)
        journal.finish_many(Finish(one.key, Reply("yes", "stop"), "ok") for one in requests[:4])
    made = plan(asked, folder)
    assert (made.requests, made.answered) == (10, 4)
    whole = plan(asked, tmp_path / "elsewhere").cost
    assert whole is not None
    assert made.cost is not None
    assert made.cost.at_most == pytest.approx(whole.at_most * 0.6)
    other = recipe(
        teacher={"endpoint": PRICED}, student=TEXT_STUDENT, collect={"max_new_tokens": 10, "temperature": 0.1}
    )
    assert plan(other, folder).answered == 0


def test_what_scoring_costs_is_in_the_plan(recipe: Make) -> None:
    collect = {"max_new_tokens": 10}
    plain = plan(recipe(teacher={"endpoint": PRICED}, student=TEXT_STUDENT, collect=collect))
    train = {"on_policy": {"fraction": 1.0, "max_new_tokens": 6}, "epochs": 3}
    scored = plan(recipe(teacher={"endpoint": PRICED}, student=TEXT_STUDENT, collect=collect, train=train))
    assert scored.scoring is not None
    assert scored.scoring.requests == 3 * scored.train_prompts
    assert scored.scoring.tokens == 3 * (scored.tokens.prompt_train + 6 * scored.train_prompts)
    assert plain.cost is not None
    assert scored.cost is not None
    prices = PRICED["price_per_million"]
    more = (scored.scoring.tokens * prices["input"] + scored.scoring.requests * prices["output"]) / 1e6
    assert scored.cost.at_most == pytest.approx(plain.cost.at_most + more)
    assert f"scoring: at most {scored.scoring.requests:,} requests" in "\n".join(scored.lines())
    assert "the endpoint's must be the student's" in "\n".join(scored.lines())
    half = plan(recipe(teacher={"endpoint": PRICED}, student=TEXT_STUDENT, train={"on_policy": {"fraction": 0.5}}))
    assert half.scoring is not None
    assert half.scoring.requests <= 3 * half.train_prompts


def test_what_a_judge_costs_is_in_the_plan(recipe: Make) -> None:
    judge = {
        "endpoint": {**PRICED, "model": "judge"},
        "license": "apache-2.0",
        "rubric": "x" * 400,
        "max_new_tokens": 5,
    }
    made = plan(recipe(teacher={"endpoint": PRICED}, student=TEXT_STUDENT, screen={"judge": judge}))
    (line,) = [one for one in made.lines() if one.startswith("judge: ")]
    told = made.requests * 200 + made.tokens.prompt  # the rubric and the form, at four characters a token
    least = (told + made.requests) * 1000 / 1e6 + made.requests * 2000 / 1e6
    most = (told + made.answer_tokens_at_most) * 1000 / 1e6 + made.requests * 5 * 2000 / 1e6
    assert f"judge is asked about at most {made.requests:,} answers for {usd(least)} to {usd(most)}" in line
    unpriced = {**judge, "endpoint": {**ENDPOINT, "model": "judge"}}
    made = plan(recipe(teacher={"endpoint": PRICED}, student=TEXT_STUDENT, screen={"judge": unpriced}))
    assert "at unknown cost (screen.judge.endpoint.price_per_million is not in the recipe)" in "\n".join(made.lines())


def test_what_judges_of_the_evaluation_cost_is_in_the_plan(recipe: Make) -> None:
    judge = {"endpoint": {**PRICED, "model": "referee"}, "license": "apache-2.0"}
    section = {"judges": [judge], "rubric": "x" * 400, "max_new_tokens": 5}
    made = plan(recipe(teacher={"endpoint": PRICED}, student=TEXT_STUDENT, evaluate={"judge": section}))
    (line,) = [one for one in made.lines() if one.startswith("judge of the evaluation: ")]
    held, longest = made.holdout_prompts, made.recipe.collect.max_new_tokens
    questions = 2 * held + 2 * held  # both orders, and two scores
    told = questions * 200 + 4 * (made.tokens.prompt - made.tokens.prompt_train)
    least = (told + 6 * held + 2 * questions) * 1000 / 1e6
    most = (told + 6 * held * longest + 2 * questions * 5) * 1000 / 1e6
    assert f"referee is asked at most {questions:,} questions ({2 * held:,} about pairs" in line
    assert f"for {usd(least)} to {usd(most)}" in line
    unpriced = {"judges": [{**judge, "endpoint": {**ENDPOINT, "model": ENDPOINT["model"]}}]}
    lines = "\n".join(
        plan(recipe(teacher={"endpoint": ENDPOINT}, student=TEXT_STUDENT, evaluate={"judge": unpriced})).lines()
    )
    assert "at unknown cost (price_per_million of its endpoint is not in the recipe)" in lines
    assert "is not independent: it is the teacher itself; the report flags it" in lines


def test_terms_that_stop_are_in_the_plan(recipe: Make) -> None:
    endpoint = {"base_url": "https://api.openai.com/v1", "model": "gpt-4.1"}
    made = plan(
        recipe(teacher={"endpoint": endpoint}, student=TEXT_STUDENT, use={"competes_with_teacher_provider": True})
    )
    assert not made.terms.cleared
    assert made.lines()[0].startswith("terms: The teacher's terms stop this run")


def test_tokenizers_that_cannot_be_compared_yet(recipe: Make) -> None:
    fetched_later = {"kind": "model", "model": "path:./student"}
    assert "once teacher and student are fetched" in "\n".join(plan(recipe(student=fetched_later)).lines())
    served = plan(recipe(teacher={"endpoint": ENDPOINT}, student=TEXT_STUDENT))
    assert "the endpoint's are not known" in "\n".join(served.lines())
    listed = plan(recipe(teacher={"endpoint": ENDPOINT}, student=TEXT_STUDENT, collect={"signals": {"kind": "top_k"}}))
    assert "compared by its token lists before training" in "\n".join(listed.lines())


def test_bad_prompts_and_layers_are_refused(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights_folder(tmp_path / "teacher")
    monkeypatch.setattr("potstill.students.compatibility.prompt_lengths", lambda folder, prompts: [3] * 10)
    with pytest.raises(RecipeError, match="the teacher has 4 layers"):
        plan(recipe(teacher={"model": "path:./teacher"}, student={"kind": "pruned", "keep_layers": 5}))
    with pytest.raises(RecipeError, match=r"none\.jsonl"):
        plan(recipe(prompts={"source": "none.jsonl"}))


def test_weights_from_headers(tmp_path: Path) -> None:
    found = read_weights(weights_folder(tmp_path / "m", layers=3, width=4, context=None))
    assert found == Weights(40 + 3 * 16, (16, 16, 16))
    assert found is not None
    assert found.pruned_to(1) == 40 + 16
    assert context_tokens(tmp_path / "m") is None
    assert read_weights(tmp_path) is None
    with pytest.raises(RecipeError, match="no decoder layers"):
        Weights(40, ()).pruned_to(1)
    (tmp_path / "m" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(RecipeError, match="not a readable safetensors file"):
        read_weights(tmp_path / "m")


def test_sums() -> None:
    assert training_bytes(trained=10, frozen=0, teacher_beside=5) == 10 * 16 + 20
    assert training_bytes(trained=0, frozen=10, teacher_beside=0) == 40
    small = disk_bytes(100, 1, signals=0, answers=0, answer_tokens=0)
    assert small == 100 * 4 * 3 + 100 * 12
    assert disk_bytes(100, 1, 10, 0, 0) == small + 10
    assert signal_bytes(SampledSignals(kind="sampled", draws=50)) == 12 + 50 * 3 + 12
    assert signal_bytes(TopKSignals(kind="top_k", k=20, bits=8)) == 12 + 20 * 4
    assert signal_bytes(FullSignals(kind="full")) == 0
    assert reported_bytes(TopKSignals(kind="top_k", k=20)) == 21 * 40  # of an endpoint, in the journal
    assert reported_bytes(FullSignals(kind="full")) == 0
    assert measured_flops_per_s() > 1e8


def test_stage_result_is_plain() -> None:
    assert StageResult(("a",)).facts == {}
