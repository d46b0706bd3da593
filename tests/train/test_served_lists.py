"""Training on a server's token lists: the store that comes of them is the teacher's own distribution."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from serving import serving
from test_served_stage import CLEARANCE, collected

from potstill.answers import load_answers
from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError
from potstill.models.local import LocalModel
from potstill.models.prefix import answer_states
from potstill.progress import Silent
from potstill.store.signals import Binding, SignalStore, encode_top_k, tokenizer_hash
from potstill.train import train
from tiny import HALF_CHARACTERS, make_tiny_model
from tokenizing import byte_fallback, byte_level, model_folder

K = 6
# A tiny model writes bytes at random; what it may write here is text, what it thinks is not touched.
ASCII_ONLY = {"logit_bias": {str(token): -100 for token in HALF_CHARACTERS}}


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serving(folder, "tiny") as base_url:
        yield base_url


def recipe(url: str, student: Path, *, as_ids: bool = True, **objective: Any) -> Recipe:
    named = {"return_tokens_as_token_ids": True} if as_ids else {}
    endpoint = {"base_url": url, "model": "tiny", "concurrency": 4, "extra_body": ASCII_ONLY | named}
    data = {
        "name": "served-lists",
        "teacher": {"endpoint": endpoint},
        "prompts": {"source": "unused.jsonl"},
        "collect": {
            "max_new_tokens": 8, "train_on_truncated": True, "temperature": 1.0, "signals": {"kind": "top_k", "k": K},
        },
        "student": {"kind": "model", "model": f"path:{student}"},
        "train": {"objective": objective or None, "epochs": 2, "tokens_per_batch": 100, "learning_rate": 1e-2},
        "evaluate": {"baselines": ["fine_tuning"]},
    }  # fmt: skip
    return recipe_from(data, Path("/"), "test")


@pytest.mark.parametrize("as_ids", [True, False], ids=["ids", "texts"])
def test_the_store_holds_what_the_teacher_thinks(
    url: str, teacher: LocalModel, folder: Path, tmp_path: Path, *, as_ids: bool
) -> None:
    """Each list is the teacher's own top K at that position, as a forward pass over the same tokens gives it."""
    asked = recipe(url, folder, as_ids=as_ids)
    run = collected(asked, tmp_path / "run")
    done = train(asked, run, Silent(), CLEARANCE)
    answers = load_answers(run, "train", asked.collect.uses, teacher.tokenizer, None, exact_tokens=False)
    note = json.loads((run / "signals" / "teacher.json").read_text())
    binding = Binding(
        tokenizer_hash(teacher.tokenizer), note["revision"], len(teacher.tokenizer), kind="top_k", k=K, bits=16
    )
    store = SignalStore(run / "signals", binding, {one.key: one.tokens_hash for one in answers})
    examples = [one.example for one in answers]
    states = answer_states(
        teacher.network, [one.tokens for one in examples], [one.prompt_length for one in examples], 0
    )
    with torch.no_grad():
        logits = teacher.network.get_output_embeddings()(states)
    found = store.top_k_of([one.key for one in answers])
    known = found.tail < 1
    assert int(known.sum()) == done.facts["lists"]["with_list"]
    assert known.float().mean() > 0.9
    listed = known[:, None] & ~found.log_probabilities.isneginf()
    expected = logits.log_softmax(-1).gather(-1, found.ids)
    torch.testing.assert_close(found.log_probabilities[listed], expected[listed], atol=2e-3, rtol=0)
    rest = 1 - (found.log_probabilities.exp() * listed).sum(-1)
    torch.testing.assert_close(found.tail[known], rest[known], atol=1e-5, rtol=0)
    if as_ids:  # texts hide halves of characters, which are then missing from the lists
        assert torch.equal(found.ids[known], encode_top_k(logits[known], K).ids)
        assert listed.sum() == K * known.sum()


@pytest.mark.parametrize("objective", [{"kind": "forward_kl"}, {"kind": "reverse_kl"}, {"kind": "jsd", "beta": 0.3}])
def test_a_student_learns_from_the_lists(
    url: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, objective: dict[str, Any]
) -> None:
    student = make_tiny_model(tmp_path_factory.mktemp("student"), layers=1)
    asked = recipe(url, student, **objective)
    run = collected(asked, tmp_path / "run", "abcdefgh")
    done = train(asked, run, Silent(), CLEARANCE)
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sum(losses[-3:]) < sum(losses[:3])
    assert "signals" in done.outputs
    assert done.facts["objective"]["kind"] == objective["kind"]
    assert (run / "baselines" / "fine_tuning" / "student").is_dir()  # another training now, so it may be asked for
    shards = {path: path.stat().st_mtime_ns for path in (run / "signals").glob("*.signals")}
    assert train(asked, run, Silent(), CLEARANCE).facts == done.facts
    assert {path: path.stat().st_mtime_ns for path in (run / "signals").glob("*.signals")} == shards


def test_the_lists_are_the_default_objective_and_damage_is_repaired(url: str, folder: Path, tmp_path: Path) -> None:
    asked = recipe(url, folder)
    assert asked.objective.kind == "forward_kl"
    run = collected(asked, tmp_path / "run")
    done = train(asked, run, Silent(), CLEARANCE)
    (shard,) = (run / "signals").glob("*.signals")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-3])
    (run / "signals" / "00001-stale.signals").write_bytes(b"of an earlier recipe")
    assert train(asked, run, Silent(), CLEARANCE).facts == done.facts
    assert shard.read_bytes() == whole
    assert [one.name for one in (run / "signals").glob("*.signals")] == [shard.name]


def test_a_student_with_another_tokenizer_is_refused_in_one_line(url: str, tmp_path: Path) -> None:
    student = model_folder(tmp_path / "student", byte_level(290, ["zebra crossing", "jazz quiz"]))
    asked = recipe(url, student, as_ids=False)
    run = collected(asked, tmp_path / "run")
    with pytest.raises(RecipeError, match=r"student: \d+% of the tokens of tiny are its own .* server's tokenizer, or"):
        train(asked, run, Silent(), CLEARANCE)
    assert not (run / "student").exists()


def test_ids_of_another_tokenizer_do_not_spell_the_text(url: str, tmp_path: Path) -> None:
    asked = recipe(url, model_folder(tmp_path / "student", byte_fallback()))
    run = collected(asked, tmp_path / "run")
    with pytest.raises(RecipeError, match=r"student: |collect\.signals: no answer has log-probabilities"):
        train(asked, run, Silent(), CLEARANCE)


def test_a_server_that_reports_no_lists_is_told_apart(url: str, folder: Path, tmp_path: Path) -> None:
    silent = recipe(url, folder)
    without = silent.model_copy(update={"collect": silent.collect.model_copy(update={"signals": None})})
    run = collected(without, tmp_path / "run")
    with pytest.raises(RecipeError, match="no answer has log-probabilities that belong to its text; ask a server that"):
        train(silent, run, Silent(), CLEARANCE)
