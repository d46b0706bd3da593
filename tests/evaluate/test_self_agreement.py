"""The teacher asked again: which second answers there are, and a student's agreement read against the teacher's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from potstill.answers import Answer
from potstill.config import Recipe, recipe_from
from potstill.evaluate.again import Again, ask_again
from potstill.evaluate.answering import write_answers
from potstill.evaluate.fidelity import chrf_scores
from potstill.evaluate.held_out import HeldOut
from potstill.evaluate.references import Gold, References
from potstill.evaluate.self_agreement import self_agreement
from potstill.models.local import LocalModel
from potstill.progress import Silent
from potstill.records import Message, Prompt, content_hash
from potstill.rendering import Example, join, render_answer, render_prompt
from potstill.stats import ratio_of_sums
from potstill.store.journal import request_seed
from potstill.store.prompts import write_prompts
from tiny import make_tiny_model

SERVED = {"endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "big"}}
SCRATCH = {"kind": "scratch", "config": {"model_type": "llama"}, "tokenizer": "path:none"}
FIELDS = "name: kettle\nuse: boiling"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel.load(make_tiny_model(tmp_path_factory.mktemp("teacher"), scale=0.2))


def recipe(**sections: Any) -> Recipe:
    data = {
        "name": "t", "teacher": {"model": "path:none"}, "prompts": {"source": "p.jsonl"},
        "student": {"kind": "pruned", "keep_layers": 1}, "evaluate": {"resamples": 300},
        "collect": {"max_new_tokens": 6, "train_on_truncated": True},
    }  # fmt: skip
    return recipe_from(data | sections, Path("/"), "recipe.yaml")


def made(texts: list[str], prompts: list[str] | None = None, samples: int = 1) -> list[Answer]:
    """Answers whose tokens do not matter; `samples` of them to each prompt."""
    example = Example((1, 2, 3), 1)
    named = prompts or [f"p{at // samples}" for at in range(len(texts))]
    return [
        Answer(f"k{at}", name, at % samples, name, text, example)
        for at, (name, text) in enumerate(zip(named, texts, strict=True))
    ]


def held(answers: list[Answer], teacher: LocalModel | None = None) -> HeldOut:
    return HeldOut(answers, answers if teacher is not None else (), {}, teacher)


def asked(folder: Path, teacher: LocalModel, texts: list[str]) -> HeldOut:
    """Held-out answers of a local teacher to prompts with these texts, which are in the folder."""
    turns = [(Message("user", text),) for text in texts]
    prompts = [
        Prompt(one, "holdout", f"p.jsonl:{at}", content_hash([turn.plain for turn in one]))
        for at, one in enumerate(turns)
    ]
    write_prompts(prompts, folder / "prompts.parquet")
    answers = []
    for one in prompts:
        example = join(render_prompt(teacher.tokenizer, one.messages), render_answer(teacher.tokenizer, "so"), 256, "p")
        answers.append(Answer(f"k{one.hash}", one.hash, 0, one.messages[-1].content, "so", example))
    return held(answers, teacher)


def test_a_local_teacher_is_asked_with_other_random_numbers(teacher: LocalModel, tmp_path: Path) -> None:
    one = asked(tmp_path, teacher, ["what is a kettle", "a vessel"])
    found = ask_again(recipe(), tmp_path, one, {"teacher": teacher}, Silent())
    prompts = [answer.example.tokens[: answer.example.prompt_length] for answer in one.answers]
    seeds = [request_seed(0, answer.prompt_hash, 1) for answer in one.answers]
    expected = write_answers(teacher, prompts, seeds, recipe().collect)
    assert (found.how, list(found.texts)) == ("sampled", [text.text for text in expected])
    # An answer that was cut off is no second answer where the recipe uses none.
    assert all(text.cut for text in expected)
    strict = recipe(collect={"max_new_tokens": 6})
    assert set(ask_again(strict, tmp_path, one, {"teacher": teacher}, Silent()).texts) == {None}


def test_one_that_always_answers_alike_is_asked_with_its_fields_reordered(teacher: LocalModel, tmp_path: Path) -> None:
    greedy = recipe(collect={"max_new_tokens": 6, "train_on_truncated": True, "temperature": 0})
    one = asked(tmp_path, teacher, [FIELDS, "what is a kettle"])
    found = ask_again(greedy, tmp_path, one, {"teacher": teacher}, Silent())
    tokens = render_prompt(teacher.tokenizer, [Message("user", "use: boiling\nname: kettle")])
    (expected,) = write_answers(teacher, [tokens], [0], greedy.collect)
    assert (found.how, list(found.texts)) == ("reordered", [expected.text, None])
    plain = asked(tmp_path, teacher, ["what is a kettle", "a vessel"])
    found = ask_again(greedy, tmp_path, plain, {"teacher": teacher}, Silent())
    assert (found.how, list(found.texts)) == ("by construction", ["so", "so"])


def test_several_collected_answers_are_asked_of_nobody() -> None:
    several = recipe(collect={"answers_per_prompt": 3})
    one = held(made(["a", "b", "c", "d", "e", "f"], ["p", "p", "p", "q", "q", "r"]))
    found = ask_again(several, Path("/"), one, {}, Silent())
    assert (found.how, list(found.texts)) == ("collected", ["b", "c", "a", "e", "d", None])
    lonely = ask_again(several, Path("/"), held(made(["a", "b"])), {}, Silent())
    assert (lonely.how, lonely.reason) == (None, "no held-out prompt has a second usable answer")


def test_an_endpoint_is_asked_again_only_where_the_recipe_says_so() -> None:
    served = {"teacher": SERVED, "student": SCRATCH}
    assert not recipe(**served).asks_again
    found = ask_again(recipe(**served), Path("/"), held(made(["a"])), {}, Silent())
    assert found.how is None
    assert "evaluate.self_agreement: true" in found.reason
    asks = recipe(**served, evaluate={"self_agreement": True})
    assert (asks.samples("holdout"), asks.samples("train")) == (2, 1)
    one = held(made(["a", "b", "c"], ["p", "p", "q"]))
    assert list(ask_again(asks, Path("/"), one, {}, Silent()).texts) == ["b", "a", None]
    twice = recipe(**served, evaluate={"self_agreement": True}, collect={"answers_per_prompt": 2})
    assert (twice.samples("holdout"), twice.samples("train")) == (2, 2)
    assert recipe(evaluate={"self_agreement": True}).samples("holdout") == 1  # a local teacher is asked when evaluating
    off = ask_again(recipe(evaluate={"self_agreement": False}), Path("/"), one, {}, Silent())
    assert (off.how, off.reason) == (None, "the recipe says evaluate.self_agreement: false")


def test_agreement_is_a_ratio_to_the_teachers_own() -> None:
    first = ["a kettle boils water"] * 20 + ["a bridge spans a river"] * 20 + ["nobody knows"]
    again = ["a kettle boils water"] * 20 + ["a bridge crosses a river"] * 20 + [None]
    student = ["a kettle heats water"] * 20 + ["a bridge crosses a river"] * 20 + ["x"]
    one = held(made(first))
    found = self_agreement(
        recipe(), one, Again(again, "sampled"), {"student": student, "initial_student": ["no"] * 41}, None
    )
    figures, others = found.figures, [text for text in again if text is not None]
    ours, theirs = chrf_scores(student[:40], others), chrf_scores(first[:40], others)
    assert figures["teacher.chrf_again"].value == pytest.approx(np.mean(theirs))
    assert figures["chrf_again"].value == pytest.approx(np.mean(ours))
    kept = ratio_of_sums(ours, theirs, resamples=300)
    ratio = figures["retention.chrf_again"]
    assert (ratio.value, ratio.low, ratio.high, ratio.n) == pytest.approx((kept.value, kept.low, kept.high, 40))
    assert (figures["same_again"].value, figures["teacher.same_again"].value) == (0.5, 0.5)
    assert figures["initial_student.same_again"].value == 0
    assert found.facts == {"how": "sampled", "answers": 40, "left_out": 1}


def test_a_student_that_is_its_teacher_keeps_all_of_the_agreement() -> None:
    draw = np.random.default_rng(1)
    first, again = ([" ".join(draw.choice(["a", "kettle", "boils"], 4)) for _ in range(60)] for _ in range(2))
    found = self_agreement(recipe(), held(made(first)), Again(again, "sampled"), {"student": first}, None).figures
    assert found["teacher.chrf_again"].value < 100
    ratio = found["retention.chrf_again"]
    assert ratio.value == 1
    assert ratio.low is not None
    assert ratio.low < 1  # 60 prompts all alike are no proof


def test_by_construction_is_certain_and_a_silent_teacher_has_no_ratio() -> None:
    one = held(made(["a b c"] * 30))
    found = self_agreement(recipe(), one, Again(["a b c"] * 30, "by construction"), {"student": ["a b d"] * 30}, None)
    exact = found.figures["teacher.chrf_again"]
    assert (exact.value, exact.low, exact.high) == (100, None, None)
    assert found.figures["retention.chrf_again"].value == pytest.approx(found.figures["chrf_again"].value / 100)
    never = self_agreement(recipe(), one, Again(["zzz"] * 30, "sampled"), {"student": ["a b c"] * 30}, None).figures
    assert never["teacher.same_again"].value == 0
    assert "retention.same_again" not in never


def test_nothing_to_compare_is_said() -> None:
    one, student = held(made(["a", "b"])), {"student": ["a", "b"]}
    nobody = self_agreement(recipe(), one, Again([None, None], None, "it was not asked"), student, None)
    assert (nobody.figures, nobody.facts["how"], nobody.facts["reason"]) == ({}, None, "it was not asked")
    cut = self_agreement(recipe(), one, Again([None, None], "sampled"), student, None)
    assert (cut.facts["how"], cut.facts["reason"], cut.facts["left_out"]) == (None, "no second answer was usable", 2)


def references(golds: dict[str, str], labels: tuple[str, ...] = ()) -> References:
    found = {prompt: Gold((text,), "gold.jsonl:1") for prompt, text in golds.items()}
    return References(found, labels, Path("gold.jsonl"), len(golds), 0, 0, len(golds))


def test_the_second_answers_are_graded_too() -> None:
    task = {"reference_field": "gold", "metrics": ["exact_match", "accuracy"]}
    served = recipe(teacher=SERVED, student=SCRATCH, evaluate={"task": task, "resamples": 300})
    first, again = ["yes"] * 30 + ["no"] * 10, [*["yes"] * 20, *["no"] * 19, None]
    gold = references({f"p{at}": "yes" for at in range(40)}, ("yes", "no"))
    found = self_agreement(served, held(made(first)), Again(again, "collected"), {"student": first}, gold)
    for name in ("exact_match", "accuracy"):
        assert found.figures[f"teacher_again.{name}"].value == 20 / 39
        assert found.facts["retention"][name]["value"] == pytest.approx(20 / 30)
    # Without references for these prompts there is nothing to grade.
    other = self_agreement(
        served, held(made(first)), Again(again, "collected"), {"student": first}, references({"z": "a"})
    )
    assert not [name for name in other.figures if name.startswith("teacher_again.")]


def test_labels_chosen_by_probability_are_the_same_however_often(teacher: LocalModel) -> None:
    task = {"reference_field": "gold", "metrics": ["exact_match", "accuracy"]}
    local = recipe(evaluate={"task": task, "resamples": 300})
    gold = references({f"p{at}": "yes" for at in range(4)}, ("yes", "no"))
    texts = ["yes"] * 4
    found = self_agreement(local, held(made(texts), teacher), Again(texts, "sampled"), {"student": texts}, gold)
    assert [name for name in found.figures if name.startswith("teacher_again.")] == ["teacher_again.exact_match"]
