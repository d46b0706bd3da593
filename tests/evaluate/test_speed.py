"""Timing in turn, one prompt at a time and several at once, on tiny models; and prices worked out by hand."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from sample_run import sample_evaluation, write_sample_run

from potstill.answers import Answer
from potstill.config import Prices, Recipe, parse_condition
from potstill.evaluate import speed, speed_figures
from potstill.evaluate.decision import decide
from potstill.evaluate.held_out import HeldOut
from potstill.evaluate.prices import listed_usd, request_usd, usd_per_million
from potstill.evaluate.report import view_of, write_report
from potstill.evaluate.reporting.speed import speed_note, speed_rows
from potstill.evaluate.speed import rounds_of, time_models
from potstill.evaluate.speed_figures import Timed, time_run
from potstill.models.local import LocalModel
from potstill.records import Figure
from potstill.rendering import Example
from potstill.run.inputs import evaluate as evaluate_reads
from tiny import make_tiny_model

PROMPTS = [[20, 21, 22, 23, 24, 25], [30, 31, 32], [40, 41, 42, 43], [50, 51, 52, 53, 54, 55, 56, 57]]
NEW = ("time_to_first_token_ratio", "batch_decode_speedup", "batch_prefill_speedup", "price_ratio")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalModel]:
    folder = tmp_path_factory.mktemp("tiny")
    layers = {"student": 1, "teacher": 3}
    return {
        name: LocalModel.load(make_tiny_model(folder / name, layers=number, scale=0.3))
        for name, number in layers.items()
    }


def test_rounds_take_prompts_in_order_and_begin_again() -> None:
    assert rounds_of([[1], [2], [3]], 2, 3) == [[[1], [2]], [[3], [1]], [[2], [3]]]


def test_rates_count_every_prompt_of_a_round_and_no_padding(
    models: dict[str, LocalModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(speed.time, "perf_counter", lambda: float(next(clock)))  # each part takes a second
    found = time_models(models, {name: [PROMPTS[:2], PROMPTS[2:]] for name in models}, 5)
    for name in models:
        assert found.prefill[name] == [9.0, 12.0]
        assert found.decode[name] == [8.0, 8.0]  # two prompts, four tokens after the first
        assert found.first_token_s[name] == [2.0, 2.0]  # cutting into tokens, and the first forward pass


@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[:1]])
def test_padding_does_not_change_what_is_decoded(
    models: dict[str, LocalModel], monkeypatch: pytest.MonkeyPatch, prompts: list[list[int]]
) -> None:
    teacher, steps, plain = models["teacher"], [], speed._next

    def watched(*given: Any) -> torch.Tensor:
        steps.append(plain(*given))
        return steps[-1]

    monkeypatch.setattr(speed, "_next", watched)
    time_models({"teacher": teacher}, {"teacher": [prompts]}, 6)
    written = torch.cat(steps[-6:], 1).tolist()
    for prompt, tokens in zip(prompts, written, strict=True):
        alone = teacher.generate([prompt], max_new_tokens=6, temperature=0, seeds=[0])[0].tokens
        assert tuple(tokens[: len(alone)]) == alone


def test_models_take_turns_in_changing_order_after_a_warm_up(
    models: dict[str, LocalModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    names = {id(model): name for name, model in models.items()}

    def once(model: LocalModel, prompts: Sequence[Sequence[int]], new_tokens: int) -> tuple[float, float, float]:
        calls.append((names[id(model)], prompts[0][0], new_tokens))
        return 1.0, 1.0, 1.0

    monkeypatch.setattr(speed, "_time_once", once)
    found = time_models(models, {name: [[one] for one in PROMPTS[:3]] for name in models}, 24)
    assert calls[:2] == [("student", 20, 4), ("teacher", 20, 4)]  # short, and not counted
    assert [name for name, _, _ in calls[2:]] == ["teacher", "student", "student", "teacher", "teacher", "student"]
    assert [first for _, first, _ in calls[2:]] == [20, 20, 30, 30, 40, 40]
    assert len(found.decode["student"]) == 3


def test_prices_by_hand() -> None:
    assert usd_per_million(100, 3.6) == pytest.approx(10)  # 0.001 dollars a second, 10,000 seconds
    assert request_usd([2.0], 3.6) == pytest.approx([0.002])
    collected = {"answers": 10, "input_tokens": 1000, "cached_tokens": 400, "output_tokens": 200}
    prices = Prices(input=2, cached_input=1, output=5)
    assert listed_usd(collected, prices) == pytest.approx((600 * 2 + 400 * 1 + 200 * 5) / 1e6 / 10)
    assert listed_usd(collected | {"output_tokens": None}, prices) is None
    assert listed_usd(collected, None) is None
    assert listed_usd({}, prices) is None


def recipe_of(teacher: dict[str, Any], **evaluate: Any) -> Recipe:
    student = {"kind": "model", "model": "path:/nowhere"}
    data = {"name": "a", "teacher": teacher, "prompts": {"source": "p.jsonl"}, "student": student, "evaluate": evaluate}
    return Recipe.model_validate(data)


def held_of(teacher: LocalModel | None) -> HeldOut:
    answers = [
        Answer(f"k{at}", f"h{at}", 0, "asked", "text", Example((*prompt, 60, 61), len(prompt)))
        for at, prompt in enumerate(PROMPTS)
    ]
    return HeldOut(answers, answers if teacher else (), {"tokenizers": "same", "unit": "token"}, teacher)


@pytest.fixture
def timed(models: dict[str, LocalModel], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(speed_figures, "peak_memory_bytes", lambda folders, *_: dict.fromkeys(folders, 1000))

    def run(recipe: Recipe, names: Sequence[str], collected: dict[str, Any] | None = None) -> Timed:
        running = {name: models[name] for name in names}
        held = held_of(running.get("teacher"))
        return time_run(recipe, running, dict.fromkeys(names, Path()), held, collected or {})

    return run


def test_a_local_teacher(timed: Any) -> None:
    recipe = recipe_of({"model": "path:/nowhere"}, speed_prompts=3, speed_batch=2, price_per_hour_usd=0.36)
    found = timed(recipe, ("student", "teacher"))
    assert set(found.figures) == {"decode_speedup", "prefill_speedup", "peak_memory_ratio", *NEW}
    assert {found.figures[name].n for name in ("decode_speedup", "prefill_speedup", NEW[0])} == {3}
    assert {found.figures[name].n for name in NEW[1:]} == {3}  # pairs of batches
    assert found.figures["price_ratio"].unit == "student / teacher, 2 at once"
    for name in ("student", "teacher"):
        facts = found.models[name]
        low, high = facts["quartiles"]["batch_decode_tokens_per_s"]
        assert low <= facts["batch_decode_tokens_per_s"] <= high
        assert facts["usd_per_million"]["output"] == pytest.approx(1e6 * 0.0001 / facts["decode_tokens_per_s"])
        assert facts["usd_per_million"].keys() == {"input", "output", "batch_input", "batch_output"}
    assert found.facts["passes"] == [
        {"prompts": 1, "pairs": 3, "new_tokens": 24}, {"prompts": 2, "pairs": 3, "new_tokens": 12}
    ]  # fmt: skip
    assert found.facts["precision"] == {"student": "float32", "teacher": "float32"}
    assert found.facts["threads"] == torch.get_num_threads()
    assert found.facts["request"]["student"] == {"input_tokens": 21 / 4, "output_tokens": 2.0}


def test_without_batches_and_prices(timed: Any) -> None:
    found = timed(recipe_of({"model": "path:/nowhere"}, speed_prompts=2, speed_batch=1), ("student", "teacher"))
    assert set(found.figures) == {"decode_speedup", "prefill_speedup", "peak_memory_ratio", NEW[0], "price_ratio"}
    assert found.figures["price_ratio"].unit == "student / teacher"  # on one machine its price falls out
    assert "usd_per_million" not in found.models["student"]


def test_a_served_teacher_is_compared_by_its_list_price(timed: Any) -> None:
    endpoint = {"base_url": "http://127.0.0.1:1/v1", "model": "m", "price_per_million": {"input": 2, "output": 5}}
    collected = {"answers": 1, "input_tokens": 10, "cached_tokens": None, "output_tokens": 4}
    asked = {"speed_prompts": 2, "speed_batch": 2, "speed_batch_pairs": 1}
    recipe = recipe_of({"endpoint": endpoint}, **asked, price_per_hour_usd=1)
    found = timed(recipe, ("student",), collected)
    assert set(found.figures) == {"price_ratio"}
    assert found.figures["price_ratio"].unit == "student, 2 at once / the teacher's list price"
    ours = found.models["student"]["usd_per_million"]
    about = (5.25 * ours["batch_input"] + 2 * ours["batch_output"]) / (10 * 2 + 4 * 5)
    assert found.figures["price_ratio"].value == pytest.approx(about)
    assert found.models["teacher"] == {"reference": "m", "usd_per_million": {"input": 2.0, "output": 5.0}}
    unpriced = timed(recipe_of({"endpoint": endpoint}, **asked), ("student",), collected)
    assert unpriced.figures == {}
    free = endpoint | {"price_per_million": {"input": 0, "output": 0}}
    assert timed(recipe_of({"endpoint": free}, speed_batch=1, price_per_hour_usd=1), ("student",)).figures == {}


def test_the_new_figures_can_be_asked_for() -> None:
    accept = {"batch_decode_speedup": ">= 2", "price_ratio": "<= 0.5"}
    figures = {"batch_decode_speedup": Figure(2.1, 1.9, 2.3, 3, "times"), "price_ratio": Figure(0.4, 0.3, 0.45, 3, "x")}
    decision = decide(figures, accept)
    assert [one["met"] for one in decision["conditions"]] == ["undecided", "yes"]
    assert "timed pairs would decide it" in decision["reason"]
    for name in NEW:
        assert parse_condition(name, ">= 1").figure == name


def test_the_report_says_how_it_was_timed(tmp_path: Path) -> None:
    page = write_report(write_sample_run(tmp_path)).read_text(encoding="utf-8")
    assert "Timed on 2 threads in float32, teacher and student in turn after a warm-up: one prompt at a time" in page
    assert "8 prompts at once, 3 times, 12 new tokens each" in page
    rows = dict(view_of(tmp_path)["models"]["rows"])
    assert rows["Decode"][1] == "24.3 tokens/s (23.6 to 25.0)"
    assert rows["Time to first token"][:2] == ["22.5 ms (20 to 25)"] * 2
    assert rows["Decode, 8 prompts at once"] == ["56.8 tokens/s", "97.2 tokens/s", "not measured"]
    assert rows["A million tokens written, 8 prompts at once"] == ["2.40 USD", "2.40 USD", "not measured"]


def test_a_report_of_before_there_were_batches() -> None:
    models = sample_evaluation()["models"]
    old = {name: {"decode_tokens_per_s": model["decode_tokens_per_s"]} for name, model in models.items()}
    assert speed_rows(old, {}) == []
    assert speed_note({}) == ""


@pytest.mark.parametrize("value", [None, "text", [1], {"a": 1}, -1.5])
def test_any_part_of_speed_may_be_of_another_kind(value: Any) -> None:
    speed = sample_evaluation()["speed"]
    for key in speed:
        assert "None" not in speed_note(speed | {key: value})
    passes = [value, {"prompts": value, "pairs": value, "new_tokens": value}]
    model = {"quartiles": value, "first_token_s": value, "usd_per_million": value, "batch_decode_tokens_per_s": value}
    shown = dict(speed_rows({"teacher": model, "student": value}, speed | {"passes": passes}))
    assert all(cells[1] == "not measured" for cells in shown.values())
    assert bool(shown) is (value == -1.5)  # the one that is a number
    (row,) = speed_rows({"student": {"quartiles": {"first_token_s": [value, value]}, "first_token_s": 1}}, speed)
    assert row[1][0].startswith("1,000.0 ms")


def test_keys_that_came_later_count_where_they_ask_for_more() -> None:
    teacher = {"model": "path:/nowhere"}
    plain = evaluate_reads(recipe_of(teacher))
    assert set(plain["evaluate"]) == {"judge", "baselines", "resamples", "speed_prompts", "speed_new_tokens", "seed"}
    assert evaluate_reads(recipe_of(teacher, speed_batch=4)) != plain
    assert evaluate_reads(recipe_of(teacher, price_per_hour_usd=1)) != plain
