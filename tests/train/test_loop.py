"""The loop: reduction over the whole step, every signal, exact resume, and a loss that is no number."""

import copy
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.answers import Answer
from potstill.config import Lora, OnPolicy, Train
from potstill.errors import PotstillError
from potstill.models.local import LocalModel
from potstill.objectives import KINDS, per_position
from potstill.objectives.gradients import Part
from potstill.objectives.head import differentiable
from potstill.progress import Silent
from potstill.rendering import Example
from potstill.store.signals import SUFFIX, Binding, SignalStore, encode_sampled, encode_top_k, write_shard
from potstill.students.build import add_lora
from potstill.train.data import batches_of_epoch, split_by_tokens
from potstill.train.loop import Paths, learning_rate, make_batch, run_loop
from potstill.train.module import StateMatching
from potstill.train.rollouts import Rollouts
from potstill.train.targets import (
    Target,
    Targets,
    live_targets,
    sampled_targets,
    summed_targets,
    token_targets,
    top_k_targets,
)
from tiny import make_tiny_model

PREFIX = tuple(range(20, 34))


def answer(number: int) -> Answer:
    tokens = (*PREFIX, *(40 + (number * 7 + at * 3) % 200 for at in range(3 + number % 5)), 1)
    return Answer(f"request-{number}", f"prompt-{number}", 0, "prompt", "text", Example(tokens, 15))


ANSWERS = [answer(number) for number in range(12)]
SETTINGS = Train(tokens_per_batch=70, epochs=2, learning_rate=1e-2, checkpoint_every_s=0, precision="fp32")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel.load(make_tiny_model(tmp_path_factory.mktemp("teacher"), layers=2, scale=0.3))


def fresh(teacher: LocalModel) -> LocalModel:
    network = copy.deepcopy(teacher.network)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return LocalModel(network, teacher.tokenizer, teacher.identity)


def paths(folder: Path) -> Paths:
    return Paths(folder / "checkpoints", folder / "metrics.jsonl")


def train(
    teacher: LocalModel, folder: Path, targets: Targets, settings: Train = SETTINGS, answers: Sequence[Answer] = ANSWERS
) -> tuple[list[float], LocalModel]:
    student = fresh(teacher)
    return run_loop(student, student.network, answers, targets, settings, paths(folder), "run", Silent()), student


def weights(model: LocalModel) -> torch.Tensor:
    return torch.cat([one.detach().flatten() for one in model.network.parameters()])


def test_a_live_teacher_is_learned(teacher: LocalModel, tmp_path: Path) -> None:
    losses, _ = train(teacher, tmp_path, live_targets(teacher, [Part("forward_kl")], 1.0))
    assert losses[-1] < 0.5 * losses[0]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == losses
    assert [line["step"] for line in lines] == list(range(1, len(losses) + 1))


def test_stored_samples_give_the_live_loss_without_bias(teacher: LocalModel, tmp_path: Path) -> None:
    """With as many draws as the format takes, the stored loss is the live one up to 1/draws."""
    draws = 65535
    sequences = {}
    with torch.no_grad():
        for one in ANSWERS:
            example = one.example
            logits = teacher.network(torch.tensor([example.tokens])).logits[0]
            span = logits[example.prompt_length - 1 : -1]
            sequences[one.key] = (one.tokens_hash, encode_sampled(span, torch.full((len(span),), 0.5), draws))
    bound = Binding("tokenizer", "teacher", len(teacher.tokenizer), draws)
    write_shard(tmp_path / "signals" / "0.signals", bound, sequences)
    store = SignalStore(tmp_path / "signals", bound, {one.key: one.tokens_hash for one in ANSWERS})
    stored, _ = train(teacher, tmp_path / "a", sampled_targets(store, draws))
    live, _ = train(teacher, tmp_path / "b", live_targets(teacher, [Part("forward_kl")], 1.0))
    assert stored == pytest.approx(live, abs=0.02)


def test_cross_entropy_is_the_plain_one(teacher: LocalModel, tmp_path: Path) -> None:
    once = SETTINGS.model_copy(update={"tokens_per_batch": 10_000, "epochs": 1})
    losses, _ = train(teacher, tmp_path, token_targets, once)
    student = fresh(teacher)
    total, positions = 0.0, 0
    for one in ANSWERS:
        tokens = torch.tensor([one.example.tokens])
        logits = student.network(tokens).logits[0, one.example.prompt_length - 1 : -1]
        wanted = tokens[0, one.example.prompt_length :]
        total += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
        positions += one.example.answer_length
    assert losses[0] == pytest.approx(total / positions, rel=1e-4)


def test_micro_batches_share_the_denominator_of_the_step(teacher: LocalModel, tmp_path: Path) -> None:
    targets = live_targets(teacher, [Part("forward_kl")], 1.0)
    small = SETTINGS.model_copy(update={"tokens_per_micro_batch": 25})
    whole, one = train(teacher, tmp_path / "a", targets)
    parts, other = train(teacher, tmp_path / "b", targets, small)
    assert parts == pytest.approx(whole, rel=1e-3)
    torch.testing.assert_close(weights(one), weights(other), atol=1e-2, rtol=0)


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_killed_training_goes_on_to_the_same_digits(teacher: LocalModel, tmp_path: Path, after: int) -> None:
    targets = live_targets(teacher, [Part("forward_kl")], 1.0)
    losses, unbroken = train(teacher, tmp_path / "unbroken", targets)
    calls = 0

    def killing(batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise _KilledError
        return targets(batch)

    with pytest.raises(_KilledError):
        train(teacher, tmp_path / "broken", killing)
    with (tmp_path / "broken" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')  # what a kill in the middle of a line leaves
    resumed, student = train(teacher, tmp_path / "broken", targets)
    assert resumed == losses
    assert torch.equal(weights(student), weights(unbroken))
    lines = [json.loads(line) for line in (tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == losses


def test_a_checkpoint_of_another_run_is_not_continued(teacher: LocalModel, tmp_path: Path) -> None:
    targets = live_targets(teacher, [Part("forward_kl")], 1.0)
    train(teacher, tmp_path, targets)
    student = fresh(teacher)
    losses = run_loop(student, student.network, ANSWERS, targets, SETTINGS, paths(tmp_path), "another", Silent())
    expected, _ = train(teacher, tmp_path / "new", targets)
    assert losses == expected


def test_a_loss_that_is_no_number_stops_with_the_step(teacher: LocalModel, tmp_path: Path) -> None:
    def broken(batch: Any) -> Any:
        return Target(differentiable(lambda logits, start, stop: logits.sum() * math.nan))

    with pytest.raises(PotstillError, match=r"the loss of step 1 is nan"):
        train(teacher, tmp_path, broken)


def test_lora_trains_adapters_and_merges(teacher: LocalModel, tmp_path: Path) -> None:
    student = fresh(teacher)
    before = {name: one.clone() for name, one in student.network.state_dict().items()}
    adapted = add_lora(student.network, Lora(rank=4))
    targets = live_targets(teacher, [Part("forward_kl")], 1.0)
    losses = run_loop(student, adapted.get_base_model(), ANSWERS, targets, SETTINGS, paths(tmp_path), "run", Silent())
    merged = adapted.merge_and_unload().state_dict()
    assert losses[-1] < losses[0]
    assert merged.keys() == before.keys()
    assert torch.equal(merged["model.embed_tokens.weight"], before["model.embed_tokens.weight"])
    changed = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(merged[changed], before[changed])


def test_batches_keep_the_budget_and_repeat_exactly() -> None:
    for epoch in range(3):
        batches = batches_of_epoch(ANSWERS, 70, 0, epoch)
        assert sorted(index for batch in batches for index in batch) == list(range(12))
        for batch in batches:
            assert len(batch) * max(len(ANSWERS[index].example.tokens) for index in batch) <= 70
        assert batches == batches_of_epoch(ANSWERS, 70, 0, epoch)
    assert batches_of_epoch(ANSWERS, 70, 0, 0) != batches_of_epoch(ANSWERS, 70, 0, 1)
    assert split_by_tokens([0, 1], [500, 2], 70) == [[0], [1]]
    assert split_by_tokens([], [], 70) == []


def test_the_schedule_warms_up_and_falls_to_a_tenth() -> None:
    settings = Train(learning_rate=1.0, warmup_fraction=0.1)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("width", [32, 48])
def test_hidden_states_are_matched_through_a_learned_projection(
    teacher: LocalModel, tmp_path: Path, width: int
) -> None:
    """With the objective's weight next to nothing, what falls is the distance between the states."""
    other = LocalModel.load(make_tiny_model(tmp_path / "other", layers=3, scale=0.3, width=width))
    targets = live_targets(other, [Part("forward_kl", 1e-9)], 1.0, layers=[2, 3])
    student = fresh(teacher)
    matching = StateMatching(1.0, (1, 2), int(other.network.config.hidden_size))
    settings = SETTINGS.model_copy(update={"epochs": 25})
    losses = run_loop(
        student, student.network, ANSWERS, targets, settings, paths(tmp_path), "run", Silent(), matching
    )  # fmt: skip
    assert losses[-1] < 0.5 * losses[0]


def test_tokens_and_distributions_add_up(teacher: LocalModel, tmp_path: Path) -> None:
    once = SETTINGS.model_copy(update={"tokens_per_batch": 10_000, "epochs": 1})
    live = live_targets(teacher, [Part("forward_kl")], 1.0)
    tokens, _ = train(teacher, tmp_path / "a", token_targets, once)
    divergence, _ = train(teacher, tmp_path / "b", live, once)
    both, _ = train(teacher, tmp_path / "c", summed_targets([(0.7, live), (0.3, token_targets)]), once)
    assert both[0] == pytest.approx(0.7 * divergence[0] + 0.3 * tokens[0], rel=1e-4)


def own_answers(student: LocalModel, fraction: float) -> Rollouts:
    return Rollouts(OnPolicy(fraction=fraction), student, 6, seed=3)


def test_rollouts_replace_a_share_of_the_answers_and_keep_their_prompts(teacher: LocalModel) -> None:
    student = fresh(teacher)
    student.network.train()
    mixed, facts = own_answers(student, 0.5).mix(ANSWERS, step=4)
    own = facts["rollouts"]
    assert facts == {"rollouts": own}
    assert own == sum(one.example != other.example for one, other in zip(mixed, ANSWERS, strict=True))
    assert 0 < own < len(ANSWERS)
    assert student.network.training
    for one, other in zip(mixed, ANSWERS, strict=True):
        assert (one.key, one.example.prompt_length) == (other.key, other.example.prompt_length)
        assert one.example.tokens[:15] == other.example.tokens[:15]
    every, facts = own_answers(student, 1.0).mix(ANSWERS, step=4)
    assert facts["rollouts"] == len(ANSWERS)
    assert all(1 <= one.example.answer_length <= 6 for one in every)
    assert every == own_answers(student, 1.0).mix(ANSWERS, step=4)[0]
    assert every != own_answers(student, 1.0).mix(ANSWERS, step=5)[0]


def test_an_on_policy_training_that_was_killed_goes_on_to_the_same_digits(teacher: LocalModel, tmp_path: Path) -> None:
    targets = live_targets(teacher, [Part("reverse_kl")], 1.0)

    def run(folder: Path, targets: Targets) -> tuple[list[float], LocalModel]:
        student = fresh(teacher)
        rollouts = own_answers(student, 0.5)
        losses = run_loop(
            student, student.network, ANSWERS, targets, SETTINGS, paths(folder), "run", Silent(), rollouts=rollouts
        )
        return losses, student

    losses, unbroken = run(tmp_path / "unbroken", targets)
    calls = 0

    def killing(batch: Any) -> Target:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise _KilledError
        return targets(batch)

    with pytest.raises(_KilledError):
        run(tmp_path / "broken", killing)
    resumed, student = run(tmp_path / "broken", targets)
    assert resumed == losses
    assert torch.equal(weights(student), weights(unbroken))


def test_supervised_positions_stand_one_before_the_answers_tokens() -> None:
    """Labels [-100, -100, 5, 6, 2]: the logits at positions 1, 2, 3 are supervised, and padding never is."""
    short = Answer("a", "a", 0, "", "", Example((8, 9, 5, 6, 2), 2))
    long = Answer("b", "b", 0, "", "", Example((8, 9, 7, 5, 6, 6, 2), 3))
    batch = make_batch([short, long], 0, "cpu")
    assert batch.prefix == 0
    assert batch.rows.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert batch.columns.tolist() == [1, 2, 3, 2, 3, 4, 5]
    assert batch.supervised == 7


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_only_supervised_positions_count(teacher: LocalModel, tmp_path: Path, kind: str) -> None:
    """The loss of a batch is the mean over its answers' positions, whatever the padding and the prompts are."""
    once = SETTINGS.model_copy(update={"tokens_per_batch": 10_000, "epochs": 1})
    losses, _ = train(teacher, tmp_path, live_targets(teacher, [Part(kind)], 1.0), once)
    student, total, positions = fresh(teacher), 0.0, 0
    for one in ANSWERS:
        tokens, mine = torch.tensor([one.example.tokens]), slice(one.example.prompt_length - 1, -1)
        with torch.no_grad():
            q, p = (model.network(tokens).logits[0, mine] for model in (student, teacher))
        total += float(per_position(kind, q, p).sum())
        positions += one.example.answer_length
    assert losses[0] == pytest.approx(total / positions, rel=1e-4)


def test_stored_lists_of_all_tokens_give_the_live_loss(teacher: LocalModel, tmp_path: Path) -> None:
    tokenizer, k = teacher.tokenizer, len(teacher.tokenizer)
    bound = Binding("tokenizer", "teacher", k, kind="top_k", k=k, bits=16)
    sequences = {}
    for one in ANSWERS:
        with torch.no_grad():
            logits = teacher.network(torch.tensor([one.example.tokens])).logits[0, one.example.prompt_length - 1 : -1]
        sequences[one.key] = (one.tokens_hash, encode_top_k(logits[:, : len(tokenizer)], k))
    write_shard(tmp_path / "signals" / f"0{SUFFIX}", bound, sequences)
    store = SignalStore(tmp_path / "signals", bound, {one.key: one.tokens_hash for one in ANSWERS})
    stored, _ = train(teacher, tmp_path / "a", top_k_targets(store, [Part("jsd")]))
    live, _ = train(teacher, tmp_path / "b", live_targets(teacher, [Part("jsd")], 1.0))
    assert stored == pytest.approx(live, rel=0.01)


def test_trainings_of_two_precisions_in_one_process(teacher: LocalModel, tmp_path: Path) -> None:
    """Accelerate's state is one a process; it must not tie a second training to the first one's precision."""
    found = {}
    for precision in ("bf16", "fp32", "bf16"):
        settings = SETTINGS.model_copy(update={"precision": precision, "epochs": 1})
        home = tmp_path / f"{precision}{len(found)}"
        found.setdefault(precision, []).append(
            train(teacher, home, live_targets(teacher, [Part("forward_kl")], 1.0), settings)[0]
        )
    assert found["bf16"][0] == found["bf16"][1]
    assert found["bf16"][0] != found["fp32"][0]
    assert found["bf16"][0] == pytest.approx(found["fp32"][0], rel=0.05)


def test_checkpointed_activations_change_nothing(teacher: LocalModel, tmp_path: Path) -> None:
    targets = live_targets(teacher, [Part("forward_kl")], 1.0)
    plain, one = train(teacher, tmp_path / "a", targets)
    saving, other = train(
        teacher, tmp_path / "b", targets, SETTINGS.model_copy(update={"gradient_checkpointing": True})
    )
    assert saving == pytest.approx(plain, rel=1e-3)
    torch.testing.assert_close(weights(one), weights(other), atol=2e-3, rtol=1e-2)
    assert not other.network.is_activation_checkpointing
