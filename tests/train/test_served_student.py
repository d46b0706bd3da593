"""A server samples the rollouts with the weights it was last given; stale ones are weighted, wrong ones noticed."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted_server import ScriptedServer, Step, failure
from serving import serving
from test_served_teacher import ANSWERS, SETTINGS, fresh, local_log_p, served

from potstill.config import Lora, OnPolicy, RolloutServer
from potstill.errors import PotstillError
from potstill.models.local import LocalModel
from potstill.objectives.gradients import Part
from potstill.progress import Silent
from potstill.students.build import add_lora
from potstill.train.loop import Paths, run_loop
from potstill.train.rollouts import Rollout, Rollouts
from potstill.train.served_student import ServedStudent
from potstill.train.targets import Targets, live_targets, scored_targets

SHORT = SETTINGS.model_copy(update={"tokens_per_batch": 40})


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A server of the teacher's weights, which is also told to load the student's."""
    with serving(folder, "tiny") as base_url:
        yield base_url


@pytest.fixture(scope="module")
def student_url(folder: Path) -> Iterator[str]:
    with serving(folder, "student") as base_url:
        yield base_url


def student_server(
    url: str, save: Callable[[Path], None], home: Path, *, lora: bool = False, run: str = "run", **more: Any
) -> ServedStudent:
    section = RolloutServer.model_validate({"base_url": url, "model": "student", "max_attempts": 2, **more})
    return ServedStudent(section, save, home, run, 1, lora=lora, say=print)


def changed(student: LocalModel, noise: float) -> None:
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for weight in student.network.parameters():
            weight += noise * torch.randn(weight.shape, generator=generator)


def rollouts(server: ServedStudent, student: LocalModel, **more: Any) -> Rollouts:
    return Rollouts(OnPolicy(fraction=1.0), student, 6, 3, server=server, **more)


def assert_drawn_by(model: LocalModel, own: list[Any]) -> None:
    for one in own:
        assert isinstance(one, Rollout)
        assert one.log_q is not None
        torch.testing.assert_close(torch.tensor(one.log_q), local_log_p(model, one.example), atol=1e-4, rtol=0)


def test_the_server_samples_with_the_weights_of_the_last_refresh(
    student_url: str, teacher: LocalModel, tmp_path: Path
) -> None:
    student = fresh(teacher)
    server = student_server(student_url, student.network.save_pretrained, tmp_path, refresh_steps=2)
    mixing = rollouts(server, student)
    own, facts = mixing.mix(ANSWERS, step=0)
    assert facts == {"rollouts": len(ANSWERS), "server_apart_nats": pytest.approx(0, abs=1e-4)}
    assert all(1 <= one.example.answer_length <= 6 for one in own)
    assert_drawn_by(student, own)
    before = copy.deepcopy(student)
    changed(student, 0.05)
    stale, _ = mixing.mix(ANSWERS, step=1)
    assert_drawn_by(before, stale)
    newest, _ = mixing.mix(ANSWERS, step=2)
    assert_drawn_by(student, newest)
    assert [one.example for one in newest] != [one.example for one in stale]
    assert len(list(tmp_path.iterdir())) == 2
    mixing.saved(2)
    assert [one.name for one in tmp_path.iterdir()] == ["run-000002"]


def test_adapters_are_loaded_under_names_of_their_own(student_url: str, teacher: LocalModel, tmp_path: Path) -> None:
    student = LocalModel(copy.deepcopy(teacher.network), teacher.tokenizer, teacher.identity)
    with serving(_saved(student, tmp_path / "base"), "student") as base_url:
        torch.manual_seed(0)
        adapted = add_lora(student.network, Lora(rank=4))
        server = student_server(base_url, adapted.save_pretrained, tmp_path / "served", lora=True)
        mixing = rollouts(server, student)
        assert_drawn_by(student, mixing.mix(ANSWERS, step=0)[0])
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_B" in name:
                    weight += 0.1
        own, _ = mixing.mix(ANSWERS, step=1)
        assert_drawn_by(student, own)
        # A training that was killed and starts again finds its adapter's name taken, by what it loaded itself.
        again = rollouts(student_server(base_url, adapted.save_pretrained, tmp_path / "served", lora=True), student)
        assert again.mix(ANSWERS, step=1)[0] == own


def _saved(model: LocalModel, folder: Path) -> Path:
    model.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def run(
    initial: LocalModel, home: Path, student_url: str, targets: Targets, **more: Any
) -> tuple[list[float], LocalModel]:
    student = fresh(initial)
    server = student_server(student_url, student.network.save_pretrained, home / "served", refresh_steps=3)
    paths = Paths(home / "checkpoints", home / "metrics.jsonl")
    losses = run_loop(
        student, student.network, ANSWERS, targets, SHORT, paths, "run", Silent(),
        rollouts=rollouts(server, student, **more),
    )  # fmt: skip
    return losses, student


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("kind", ["scored", "live"])
def test_a_killed_training_goes_on_with_the_weights_that_the_server_had(
    url: str, student_url: str, teacher: LocalModel, tmp_path: Path, kind: str
) -> None:
    targets = scored_targets if kind == "scored" else live_targets(teacher, [Part("reverse_kl")], 1.0)
    calls = 0

    def killing(batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 5:  # between two refreshes
            raise _KilledError
        return targets(batch)

    def scorer(home: Path) -> Any:
        return served(url, teacher, home / "scores.jsonl") if kind == "scored" else None

    for name in ("unbroken", "broken"):
        (tmp_path / name).mkdir()
    losses, unbroken = run(teacher, tmp_path / "unbroken", student_url, targets, teacher=scorer(tmp_path / "unbroken"))
    assert len(losses) > 5
    broken = tmp_path / "broken"
    with pytest.raises(_KilledError):
        run(teacher, broken, student_url, killing, teacher=scorer(broken))
    resumed, student = run(teacher, broken, student_url, targets, teacher=scorer(broken))
    assert resumed == losses
    for one, other in zip(student.network.parameters(), unbroken.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_weights_that_the_server_never_loaded_are_noticed(teacher: LocalModel, tmp_path: Path) -> None:
    drawn = {"token_ids": [60, 61], "logprobs": {"token_logprobs": [-0.01, -0.01]}}
    with ScriptedServer(lambda call: Step(body=json.dumps({"choices": [drawn]}))) as scripted:
        server = student_server(scripted.base_url, lambda folder: None, tmp_path)
        with pytest.raises(PotstillError) as caught:
            rollouts(server, fresh(teacher)).mix(ANSWERS, step=0)
        assert scripted.calls[0].body == {
            "method": "reload_weights", "kwargs": {"weights_path": str(tmp_path / "run-000000")},
        }  # fmt: skip
    assert "nats a token from the student's, right after it was given its weights" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lora", "words"),
    [(False, "it takes vLLM with VLLM_SERVER_DEV_MODE=1"), (True, "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True")],
)
@pytest.mark.parametrize("status", [404, 400])
def test_a_server_that_loads_nothing_is_one_line(tmp_path: Path, lora: bool, words: str, status: int) -> None:
    with ScriptedServer(lambda call: failure(status, "no such thing")) as scripted:
        server = student_server(scripted.base_url, lambda folder: None, tmp_path, lora=lora)
        with pytest.raises(PotstillError) as caught:
            server.refresh(0)
    assert str(caught.value).startswith("train.on_policy.endpoint: the server did not load")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
