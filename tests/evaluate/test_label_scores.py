"""The likeliest label is the one of plain forward passes, with its end of turn, in batches of any size."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.errors import RecipeError
from potstill.evaluate import label_scores
from potstill.evaluate.label_scores import likeliest_labels
from potstill.models.local import LocalModel
from tiny import make_tiny_model

LABELS = ["kettle", "a", "vessel for boiling", "b", "z", "q", "what is", "7", "a b", "kettles", "what", "what is a"]
PROMPTS = [tuple(range(start, start + length)) for start, length in ((20, 12), (60, 9), (100, 2), (140, 12), (20, 12))]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder: Path = make_tiny_model(tmp_path_factory.mktemp("model"), scale=0.4)
    return LocalModel.load(folder)


def plain(model: LocalModel, prompt: tuple[int, ...], label: str) -> float:
    tokens = [*model.tokenizer(label, add_special_tokens=False)["input_ids"], model.tokenizer.eos_token_id]
    with torch.inference_mode():
        logits = model.network(torch.tensor([[*prompt, *tokens]])).logits[0]
    return float(sum(logits[len(prompt) - 1 + at].log_softmax(-1)[token] for at, token in enumerate(tokens)))


def best(model: LocalModel, prompt: tuple[int, ...], labels: list[str]) -> str:
    return max(labels, key=lambda label: plain(model, prompt, label))


@pytest.mark.parametrize("at_once", [1, 2, 32])
def test_labels_of_plain_forward_passes(model: LocalModel, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_scores, "_PROMPTS_AT_ONCE", at_once)
    expected = [best(model, prompt, LABELS) for prompt in PROMPTS]
    assert likeliest_labels(model, PROMPTS, LABELS) == expected
    assert len(set(expected)) > 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    labels=st.lists(st.text("ab ", min_size=1, max_size=4).filter(str.strip), min_size=2, max_size=7, unique=True),
    seed=st.integers(0, 9),
)
def test_labels_that_begin_alike(model: LocalModel, labels: list[str], seed: int) -> None:
    prompts = [tuple(range(30 + seed, 38 + seed)), tuple(range(70 + seed, 73 + seed))]
    assert likeliest_labels(model, prompts, labels) == [best(model, prompt, labels) for prompt in prompts]


def test_a_sure_model_opens_few_of_many_labels(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each label parts from the others at its first token, and the model is made sure of one."""
    opened: list[int] = []

    def sure(_: LocalModel, states: torch.Tensor) -> torch.Tensor:
        opened.append(len(states))
        logits = torch.zeros(len(states), len(model.tokenizer))
        logits[:, model.tokenizer("7")["input_ids"][0]] = 30.0
        logits[:, model.tokenizer.eos_token_id] = 25.0
        return logits

    monkeypatch.setattr(label_scores, "answer_logits", sure)
    labels = [chr(at) for at in range(ord("a"), ord("z"))] + ["7"]
    assert likeliest_labels(model, PROMPTS[:1], labels) == ["7"]
    assert sum(opened) == 2  # the first token of all labels, and the end of one


def test_a_label_beyond_the_context_is_one_line(model: LocalModel) -> None:
    with pytest.raises(RecipeError, match=r"^evaluate\.task\.labels: prompt and answer take 257 tokens, more than"):
        likeliest_labels(model, [tuple([20] * 255)], ["a"])
