"""Training towards a teacher with other tokens: it learns, in any chunk; one tokenizer gives the plain objective."""

import dataclasses
from pathlib import Path

import pytest
import torch

from potstill.aligned import AlignedAnswers, align_answers
from potstill.answers import Answer
from potstill.config import Train
from potstill.errors import RecipeError
from potstill.evaluate.cross_tokenizer import measure_aligned
from potstill.models.local import LocalModel
from potstill.objectives.gradients import Part
from potstill.objectives.head import ChunkLoss
from potstill.progress import Silent
from potstill.rendering import Example
from potstill.train import cross_tokenizer
from potstill.train.cross_tokenizer import cross_tokenizer_targets
from potstill.train.loop import Paths, make_batch, run_loop
from potstill.train.targets import Targets, live_targets
from tokenizing import VARIED, byte_fallback, byte_level, model_folder, render

SETTINGS = Train(tokens_per_batch=400, epochs=6, learning_rate=1e-2, precision="fp32")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {"bpe": byte_level(420), "bytes": byte_level(258), "fallback": byte_fallback()}
    return {
        name: model_folder(tmp_path_factory.mktemp(name), tokenizer, seed=number, scale=0.3)
        for number, (name, tokenizer) in enumerate(made.items())
    }


def answers(model: LocalModel) -> list[Answer]:
    """The varied texts as answers to a prompt of the model's own."""
    found = []
    for number, text in enumerate(VARIED):
        prompt = [model.tokenizer.bos_token_id, *render(model.tokenizer, f"the long beginning, {number}")]
        tokens = [*render(model.tokenizer, text), model.tokenizer.eos_token_id]
        example = Example((*prompt, *tokens), len(prompt))
        found.append(Answer(f"request-{number}", f"prompt-{number}", 0, "prompt", text, example))
    return found


def pair(folders: dict[str, Path], teacher: str, student: str) -> tuple[LocalModel, LocalModel, AlignedAnswers]:
    theirs, ours = (LocalModel.load(folders[name]) for name in (teacher, student))
    return theirs, ours, align_answers(answers(ours), answers(theirs), ours.tokenizer, theirs.tokenizer)


def losses(student: LocalModel, targets: Targets, folder: Path, settings: Train = SETTINGS) -> list[float]:
    paths = Paths(folder / "checkpoints", folder / "metrics.jsonl")
    return run_loop(student, student.network, answers(student), targets, settings, paths, "run", Silent())


def value_and_gradient(loss: ChunkLoss, logits: torch.Tensor, start: int = 0) -> tuple[float, torch.Tensor]:
    """Of the rows from `start` on, as one chunk and one block."""
    value, gradient = loss(start, start + len(logits))(logits.clone(), 0, len(logits))
    return float(value), gradient


def test_one_tokenizer_gives_the_plain_objective(folders: dict[str, Path], tmp_path: Path) -> None:
    found = []
    for across in (True, False):
        teacher, student, aligned = pair(folders, "fallback", "fallback")
        with torch.no_grad():
            generator = torch.Generator().manual_seed(5)
            for weight in student.network.parameters():
                weight += 0.1 * torch.randn(weight.shape, generator=generator)
        targets = (
            cross_tokenizer_targets(teacher, aligned) if across else live_targets(teacher, [Part("forward_kl")], 1.0)
        )
        found.append(losses(student, targets, tmp_path / str(across)))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize(
    ("teacher", "student"), [("bpe", "bytes"), ("bytes", "bpe"), ("bpe", "fallback"), ("fallback", "bpe")]
)
def test_a_teacher_with_other_tokens_is_learned(
    folders: dict[str, Path], tmp_path: Path, teacher: str, student: str
) -> None:
    theirs, ours, aligned = pair(folders, teacher, student)
    before = measure_aligned(ours, theirs, aligned)
    found = losses(ours, cross_tokenizer_targets(theirs, aligned), tmp_path)
    after = measure_aligned(ours, theirs, aligned)
    assert found[-1] < 0.8 * found[0]
    assert before.kl is not None
    assert after.kl is not None
    assert after.kl.mean() < 0.8 * before.kl.mean()
    assert after.perplexity(after.log_q) < before.perplexity(before.log_q)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_any_chunk_gives_the_same(folders: dict[str, Path], rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_tokenizer, "chunk_positions", lambda vocabulary: rows)
    teacher, student, aligned = pair(folders, "bpe", "bytes")
    batch = make_batch([one.student for one in aligned.answers], 0, "cpu")
    logits = torch.randn(batch.supervised, len(student.tokenizer), generator=torch.Generator().manual_seed(1))
    loss = cross_tokenizer_targets(teacher, aligned)(batch).loss
    whole, gradient = value_and_gradient(loss, logits)
    parts = sum(value_and_gradient(loss, logits[at : at + 11], at)[0] for at in range(0, len(logits), 11))
    assert parts == pytest.approx(whole, rel=1e-5)
    monkeypatch.undo()
    again = value_and_gradient(cross_tokenizer_targets(teacher, aligned)(batch).loss, logits)
    assert again[0] == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(again[1], gradient)


def test_a_token_that_only_the_student_has_is_not_trained(folders: dict[str, Path]) -> None:
    teacher, student = (LocalModel.load(folders[name]) for name in ("bpe", "bytes"))
    cut = [
        dataclasses.replace(one, example=Example(one.example.tokens[:-1], one.example.prompt_length))
        for one in answers(teacher)
    ]
    aligned = align_answers(answers(student), cut, student.tokenizer, teacher.tokenizer)
    batch = make_batch([one.student for one in aligned.answers], 0, "cpu")
    logits = torch.randn(batch.supervised, len(student.tokenizer))
    _, gradient = value_and_gradient(cross_tokenizer_targets(teacher, aligned)(batch).loss, logits)
    trained = gradient.abs().sum(-1) > 0
    ends = torch.tensor([one.student.example.answer_length for one in aligned.answers]).cumsum(0) - 1
    assert not trained[ends].any()
    assert trained.sum() == len(logits) - len(ends)


def test_rows_past_the_tokenizer_are_cut_and_missing_ones_refused(folders: dict[str, Path]) -> None:
    teacher, student, aligned = pair(folders, "bpe", "bytes")
    batch = make_batch([one.student for one in aligned.answers], 0, "cpu")
    loss = cross_tokenizer_targets(teacher, aligned)(batch).loss
    logits = torch.randn(batch.supervised, len(student.tokenizer))
    padded = torch.cat([logits, torch.full((len(logits), 6), 50.0)], -1)
    assert value_and_gradient(loss, padded)[0] == pytest.approx(value_and_gradient(loss, logits)[0])
    with pytest.raises(RecipeError, match="the student has 200 output rows but its tokenizer 258 tokens"):
        value_and_gradient(loss, logits[:, :200])
