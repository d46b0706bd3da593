"""Distributions added to answers that are there already: the same as those stored while answering."""

import copy
from pathlib import Path

import pytest
import torch

from potstill.collect.score import score_answers
from potstill.config import SampledSignals, TopKSignals
from potstill.errors import RecipeError, TermsStopped
from potstill.models.local import LocalModel
from potstill.progress import Silent
from potstill.records import Clearance, content_hash
from potstill.rendering import Example
from potstill.store.signals import Binding, SignalStore
from tiny import make_tiny_model

CLEARANCE = Clearance("allowed", "rule", "document", "1", "2025", "teacher")
TOP_K, SAMPLED = TopKSignals(kind="top_k", k=9), SampledSignals(kind="sampled", draws=30)
SHARED = tuple(range(20, 32))
EXAMPLES = {
    f"request {number}": Example((*SHARED[: 12 - number], *range(40, 44 + 3 * number), 1), 14 - number)
    for number in range(7)
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel.load(make_tiny_model(tmp_path_factory.mktemp("teacher"), scale=0.3))


def rows(teacher: LocalModel, example: Example, temperature: float = 1.0) -> torch.Tensor:
    with torch.inference_mode():
        logits = teacher.network(torch.tensor([example.tokens])).logits[0]
    return (logits[example.prompt_length - 1 : -1].double() / temperature).log_softmax(-1)


def opened(folder: Path, binding: Binding) -> SignalStore:
    store = SignalStore(folder, binding, {key: content_hash(list(one.tokens)) for key, one in EXAMPLES.items()})
    store.check()
    return store


@pytest.mark.parametrize("tokens_per_batch", [1, 60, 8192])
def test_top_k_is_that_of_a_plain_forward_pass(tokens_per_batch: int, teacher: LocalModel, tmp_path: Path) -> None:
    binding = score_answers(
        teacher, CLEARANCE, EXAMPLES, TOP_K, tmp_path / "s", Silent(), tokens_per_batch=tokens_per_batch
    )
    store = opened(tmp_path / "s", binding)
    for key, example in EXAMPLES.items():
        found, log_p = store.top_k(key), rows(teacher, example)
        assert found.ids.shape == (example.answer_length, 9)
        torch.testing.assert_close(found.log_probabilities.double(), log_p.gather(-1, found.ids), atol=2e-3, rtol=0)
        assert torch.equal(found.ids, log_p.topk(9, -1).indices.sort(-1).values)


def test_samples_of_a_temperature_and_a_seed(teacher: LocalModel, tmp_path: Path) -> None:
    stores = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        binding = score_answers(
            teacher, CLEARANCE, EXAMPLES, SAMPLED, tmp_path / name, Silent(), seed=seed, temperature=2.0
        )
        assert binding.temperature == 2.0
        stores[name] = opened(tmp_path / name, binding)
    differs = False
    for key, example in EXAMPLES.items():
        found, again, other = (stores[name].samples(key) for name in "abc")
        row = torch.repeat_interleave(torch.arange(len(found.lengths)), found.lengths)
        expected = 30 * rows(teacher, example, 2.0).exp()[row, found.ids]
        assert ((found.counts - expected).abs() < 1.01).all()
        assert torch.equal(found.ids, again.ids)
        differs |= found.ids.tolist() != other.ids.tolist()
    assert differs


def test_rows_of_the_head_beyond_the_tokenizer_are_padding(teacher: LocalModel, tmp_path: Path) -> None:
    """A head padded to a round number, as many models have: what the padding would say counts for nothing."""
    padded = LocalModel(copy.deepcopy(teacher.network), teacher.tokenizer, teacher.identity)
    padded.network.resize_token_embeddings(len(teacher.tokenizer) + 20, mean_resizing=False)
    with torch.no_grad():
        padded.network.get_output_embeddings().weight[len(teacher.tokenizer) :] = 5.0
    score_answers(teacher, CLEARANCE, EXAMPLES, TOP_K, tmp_path / "a", Silent())
    binding = score_answers(padded, CLEARANCE, EXAMPLES, TOP_K, tmp_path / "b", Silent())
    assert binding.vocabulary == len(teacher.tokenizer)
    for key in EXAMPLES:
        one, other = (opened(tmp_path / name, binding).top_k(key) for name in "ab")
        assert torch.equal(one.ids, other.ids)
        torch.testing.assert_close(one.log_probabilities, other.log_probabilities, atol=1e-3, rtol=0)


def test_what_is_there_is_not_made_again_and_what_is_foreign_goes(
    teacher: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potstill.collect.score._SEQUENCES_A_SHARD", 3)
    score_answers(teacher, CLEARANCE, EXAMPLES, TOP_K, tmp_path, Silent())
    files = sorted(tmp_path.glob("*.signals"))
    assert len(files) == 3
    times = [path.stat().st_mtime_ns for path in files]
    files[1].unlink()
    (tmp_path / "old.signals").write_bytes(b"of another recipe")
    binding = score_answers(teacher, CLEARANCE, EXAMPLES, TOP_K, tmp_path, Silent())
    assert sorted(tmp_path.glob("*.signals")) == files
    assert [path.stat().st_mtime_ns for path in (files[0], files[2])] == [times[0], times[2]]
    opened(tmp_path, binding)


def test_no_answers(teacher: LocalModel, tmp_path: Path) -> None:
    binding = score_answers(teacher, CLEARANCE, {}, TOP_K, tmp_path / "s", Silent())
    SignalStore(tmp_path / "s", binding, {}).check()


def test_refusals(teacher: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(TermsStopped, match="no clearance"):
        score_answers(teacher, None, EXAMPLES, TOP_K, tmp_path, Silent())
    for wrong, words in (
        (Example(tuple(range(20, 30)) * 30, 5), "takes 300 tokens, over the teacher's context of 256"),
        (Example((5, 100_000), 1), "render it with the teacher's own tokenizer"),
        (Example((5, 6), 0), "needs a prompt"),
    ):
        with pytest.raises(RecipeError, match=f"answer wrong: .*{words}"):
            score_answers(teacher, CLEARANCE, {"wrong": wrong}, TOP_K, tmp_path, Silent())
    assert not list(tmp_path.iterdir())
