"""Distributions stored while a local teacher answers: they are the teacher's own, and damaged files are made again."""

from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.answers import Answer, load_answers
from potstill.collect.local import collect_local
from potstill.collect.recording import bind
from potstill.config import Recipe, TopKSignals, recipe_from
from potstill.errors import RecipeError
from potstill.models.local import LocalModel
from potstill.progress import Silent
from potstill.records import Clearance, Message, Prompt, content_hash
from potstill.store.prompts import write_prompts
from potstill.store.signals import SignalStore
from tiny import make_tiny_model

CLEARANCE = Clearance("allowed", "rule", "document", "1", "2025", "teacher")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("teacher"), scale=0.3)


def prompts() -> list[Prompt]:
    found = []
    for word in ("kettle", "water", "vessel", "a", "boiling"):
        turns = [{"role": "user", "content": f"what is {word}"}]
        found.append(Prompt((Message(**turns[0]),), "train", "test", content_hash(turns)))
    return found


def recipe(weights: Path, **signals: Any) -> Recipe:
    data = {
        "name": "local",
        "teacher": {"model": f"path:{weights}"},
        "prompts": {"source": "unused.jsonl"},
        "collect": {"max_new_tokens": 12, "temperature": 1.0, "batch_size": 2, "signals": signals},
        "student": {"kind": "pruned", "keep_layers": 1},
    }
    return recipe_from(data, Path("/"), "test")


def collected(asked: Recipe, folder: Path) -> list[Answer]:
    folder.mkdir(exist_ok=True)
    write_prompts(prompts(), folder / "prompts.parquet")
    collect_local(asked, CLEARANCE, prompts(), folder, Silent())
    teacher = LocalModel.load(Path((asked.teacher.model or "").removeprefix("path:")))
    return load_answers(folder, "train", {"ok", "truncated"}, teacher.tokenizer, None, exact_tokens=True)


def rows(teacher: LocalModel, answer: Answer) -> torch.Tensor:
    """The teacher's log-probabilities (n, V) at the answer's positions."""
    example = answer.example
    with torch.inference_mode():
        logits = teacher.network(torch.tensor([example.tokens])).logits[0]
    return logits[example.prompt_length - 1 : -1].double().log_softmax(-1)


def store_of(asked: Recipe, answers: list[Answer], folder: Path, teacher: LocalModel) -> SignalStore:
    assert asked.signals.kind in ("sampled", "top_k")
    bound = bind(asked.signals, teacher)
    return SignalStore(folder / "signals", bound, {one.key: one.tokens_hash for one in answers})


@pytest.mark.parametrize("bits", [8, 16, None])
def test_top_k_of_a_local_teacher_is_stored_while_it_answers(bits: int | None, weights: Path, tmp_path: Path) -> None:
    asked, teacher = recipe(weights, kind="top_k", k=9, bits=bits), LocalModel.load(weights)
    answers = collected(asked, tmp_path / "run")
    store = store_of(asked, answers, tmp_path / "run", teacher)
    store.check()
    for answer in answers:
        found, log_p = store.top_k(answer.key), rows(teacher, answer)
        assert found.ids.shape == (answer.example.answer_length, 9)
        tolerance = 0.1 if bits == 8 else 2e-3
        torch.testing.assert_close(
            found.log_probabilities.double(), log_p.gather(-1, found.ids), atol=tolerance, rtol=0
        )
        rest = log_p.exp().scatter(-1, found.ids, 0.0).sum(-1)
        torch.testing.assert_close(found.tail.double(), rest, atol=tolerance, rtol=0)


def test_samples_are_of_the_distributions_that_the_tokens_came_from(weights: Path, tmp_path: Path) -> None:
    asked, teacher = recipe(weights, kind="sampled", draws=30), LocalModel.load(weights)
    answers = collected(asked, tmp_path / "run")
    store = store_of(asked, answers, tmp_path / "run", teacher)
    for answer in answers:
        found, log_p = store.samples(answer.key), rows(teacher, answer)
        assert len(found.lengths) == answer.example.answer_length
        row = torch.repeat_interleave(torch.arange(len(found.lengths)), found.lengths)
        expected = 30 * log_p.exp()[row, found.ids]
        assert ((found.counts - expected).abs() < 1.01).all()
        torch.testing.assert_close(found.entropy.double(), torch.special.entr(log_p.exp()).sum(-1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_a_damaged_file_is_made_again_and_nothing_else(damage: str, weights: Path, tmp_path: Path) -> None:
    asked = recipe(weights, kind="sampled", draws=30)
    before = [(one.key, one.tokens_hash) for one in collected(asked, tmp_path / "run")]
    files = sorted((tmp_path / "run" / "signals").glob("*.signals"))
    contents = [path.read_bytes() for path in files]
    times = [path.stat().st_mtime_ns for path in files]
    victim, good = files[1], contents[1]
    match damage:
        case "flipped":
            victim.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        case "truncated":
            victim.write_bytes(good[:-1])
        case "gone":
            victim.unlink()
    (tmp_path / "run" / "signals" / "00001.partial").write_bytes(b"half")
    after = [(one.key, one.tokens_hash) for one in collected(asked, tmp_path / "run")]
    assert after == before
    assert [path.read_bytes() for path in files] == contents
    assert [path.stat().st_mtime_ns == time for path, time in zip(files, times, strict=True)] == [True, False, True]
    assert {path.suffix for path in (tmp_path / "run" / "signals").iterdir()} == {".signals", ".json"}


def test_more_ids_than_there_are_tokens_are_refused(weights: Path, tmp_path: Path) -> None:
    teacher = LocalModel.load(weights)
    size = len(teacher.tokenizer)
    assert bind(TopKSignals(kind="top_k", k=size), teacher).k == size
    with pytest.raises(RecipeError, match=rf"collect.signals.k: {size + 1}, but the teacher's vocabulary has {size}"):
        bind(TopKSignals(kind="top_k", k=size + 1), teacher)
