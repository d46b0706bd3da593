"""Figures across tokenizers: those of one tokenizer where there is one, else by the byte and the group."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.aligned import align_answers
from potstill.answers import Answer
from potstill.evaluate import cross_tokenizer
from potstill.evaluate.cross_tokenizer import measure_aligned
from potstill.evaluate.fidelity import fidelity_figures, measure
from potstill.evaluate.speed import Timings, in_texts
from potstill.models.local import LocalModel
from potstill.rendering import Example
from tokenizing import VARIED, byte_fallback, byte_level, model_folder, render


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalModel]:
    made = {"bpe": byte_level(420), "again": byte_level(420), "bytes": byte_level(258), "fallback": byte_fallback()}
    return {
        name: LocalModel.load(model_folder(tmp_path_factory.mktemp(name), tokenizer, seed=number, scale=0.3))
        for number, (name, tokenizer) in enumerate(made.items())
    }


def answers(model: LocalModel) -> list[Answer]:
    found = []
    for number, text in enumerate(VARIED):
        tokens = [*render(model.tokenizer, text), model.tokenizer.eos_token_id]
        example = Example((model.tokenizer.bos_token_id, *tokens), 1)
        found.append(Answer(f"request-{number}", f"prompt-{number}", 0, "prompt", text, example))
    return found


def test_one_tokenizer_gives_the_plain_values(models: dict[str, LocalModel]) -> None:
    student, teacher = models["again"], models["bpe"]
    plain = measure(student, teacher, [one.example for one in answers(student)])
    aligned = align_answers(answers(student), answers(teacher), student.tokenizer, teacher.tokenizer)
    across = measure_aligned(student, teacher, aligned)
    assert across.lengths.tolist() == plain.lengths.tolist()
    for name in ("log_q", "log_p", "kl", "agree", "total_variation"):
        np.testing.assert_allclose(getattr(across, name), getattr(plain, name), atol=2e-5)
    assert across.unmatched_l1 is not None
    assert not across.unmatched_l1.any()


@pytest.mark.parametrize(("teacher", "student"), [("bpe", "bytes"), ("bytes", "bpe"), ("fallback", "bpe")])
def test_log_probabilities_are_those_of_the_whole_texts(
    models: dict[str, LocalModel], teacher: str, student: str
) -> None:
    """Groups cut the texts differently in every pair, but the chain rule over them gives one and the same sum."""
    ours, theirs = models[student], models[teacher]
    aligned = align_answers(answers(ours), answers(theirs), ours.tokenizer, theirs.tokenizer)
    found = measure_aligned(ours, theirs, aligned)
    for model, values in ((ours, found.log_q), (theirs, found.log_p)):
        expected = measure(model, None, [one.example for one in answers(model)])
        assert values is not None
        np.testing.assert_allclose(found.sums(values), expected.sums(expected.log_q), rtol=1e-4)
    assert found.kl is not None
    assert found.kl.min() > -1e-5
    assert found.agree is not None
    assert found.total_variation is not None
    assert found.total_variation.min() >= 0
    assert found.total_variation.max() <= 1 + 1e-6


def test_a_token_that_only_one_side_has_counts_nowhere(models: dict[str, LocalModel]) -> None:
    ours, theirs = models["bytes"], models["bpe"]
    whole = measure_aligned(
        ours, theirs, align_answers(answers(ours), answers(theirs), ours.tokenizer, theirs.tokenizer)
    )
    # The teacher did not end any of its answers; the student's tokens end all of them.
    cut = [
        dataclasses.replace(one, example=Example(one.example.tokens[:-1], one.example.prompt_length))
        for one in answers(theirs)
    ]
    found = measure_aligned(ours, theirs, align_answers(answers(ours), cut, ours.tokenizer, theirs.tokenizer))
    assert found.kl is not None
    assert whole.kl is not None
    ends = np.cumsum(whole.lengths) - 1
    np.testing.assert_allclose(found.kl, np.delete(whole.kl, ends), atol=1e-5)
    np.testing.assert_allclose(found.log_q, np.delete(whole.log_q, ends), rtol=1e-5)


def test_few_rows_at_once_give_the_same(models: dict[str, LocalModel], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = models["bytes"], models["bpe"]
    aligned = align_answers(answers(ours), answers(theirs), ours.tokenizer, theirs.tokenizer)
    whole = measure_aligned(ours, theirs, aligned)
    monkeypatch.setattr(cross_tokenizer, "chunk_positions", lambda vocabulary: 5)
    pieces = measure_aligned(ours, theirs, aligned)
    assert whole.kl is not None
    assert pieces.kl is not None
    np.testing.assert_allclose(pieces.kl, whole.kl, atol=1e-5)
    np.testing.assert_allclose(pieces.log_q, whole.log_q, rtol=1e-5)


def test_figures_carry_their_own_units(models: dict[str, LocalModel]) -> None:
    ours, theirs = models["bytes"], models["bpe"]
    aligned = align_answers(answers(ours), answers(theirs), ours.tokenizer, theirs.tokenizer)
    found = measure_aligned(ours, theirs, aligned)
    figures = fidelity_figures(found, [one.student.prompt_hash for one in aligned.answers], 200, 0)
    assert {name: figure.unit for name, figure in figures.items()} == {
        "kl_nats": "nats a group", "top1_agreement": "share of groups", "total_variation": "0 to 1, a group",
        "unmatched_l1": "0 to 2, a group", "perplexity_ratio": "student / teacher, a byte",
    }  # fmt: skip
    size = sum(len(text.encode()) for text in VARIED)
    assert found.log_p is not None
    expected = np.exp((found.log_p.sum() - found.log_q.sum()) / size)
    assert figures["perplexity_ratio"].value == pytest.approx(expected)
    assert found.perplexity(found.log_q) == pytest.approx(np.exp(-found.log_q.sum() / size))


def test_the_same_model_in_other_ids_is_at_no_distance(models: dict[str, LocalModel], tmp_path: Path) -> None:
    """A student whose ids are the teacher's in another order: matched by bytes, its distributions are the same."""
    from transformers import AutoTokenizer

    theirs = models["bpe"]
    folder = model_folder(tmp_path / "again", theirs.tokenizer)
    ours = LocalModel(LocalModel.load(folder).network, AutoTokenizer.from_pretrained(folder), theirs.identity)
    ours.tokenizer.add_tokens(["<a new token>"])
    state = dict(theirs.network.state_dict())
    ours.network.resize_token_embeddings(len(ours.tokenizer), mean_resizing=False)
    padded = {
        name: torch.cat([value, torch.zeros(1, *value.shape[1:])]) if value.shape[:1] == (420,) else value
        for name, value in state.items()
    }
    padded["lm_head.weight"][420:] = 0
    ours.network.load_state_dict(padded)
    aligned = align_answers(answers(ours), answers(theirs), ours.tokenizer, theirs.tokenizer)
    found = measure_aligned(ours, theirs, aligned)
    assert found.kl is not None
    assert found.agree is not None
    # The new token is never written; what little probability it takes is all that differs.
    assert found.kl.max() < 0.1
    assert found.agree.mean() > 0.95


def test_speeds_are_compared_by_texts() -> None:
    waits = {"student": [0.5], "teacher": [0.5]}
    timings = Timings({"student": [100.0], "teacher": [100.0]}, {"student": [10.0], "teacher": [10.0]}, waits)
    found = in_texts(timings, {"student": [[[1] * 50]], "teacher": [[[1] * 25]]}, {"student": 2.0, "teacher": 4.0})
    assert found.prefill == {"student": [2.0], "teacher": [4.0]}
    assert found.decode == {"student": [20.0], "teacher": [40.0]}
    assert found.first_token_s == waits  # of the same prompts already
    several = in_texts(timings, {"student": [[[1] * 20, [1] * 30]], "teacher": [[[1] * 25]]}, dict.fromkeys(waits, 1.0))
    assert several.prefill["student"] == [4.0]  # two prompts of 50 tokens in all
