"""The likeliest label is the one of plain forward passes, with its end of turn, in batches of any size."""

from pathlib import Path

import pytest
import torch

from potstill.errors import RecipeError
from potstill.evaluate import label_scores
from potstill.evaluate.label_scores import likeliest_labels
from potstill.models.local import LocalModel
from tiny import make_tiny_model

LABELS = ["kettle", "a", "vessel for boiling", "b", "z", "q", "what is", "7"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder: Path = make_tiny_model(tmp_path_factory.mktemp("model"), scale=0.4)
    return LocalModel.load(folder)


def plain(model: LocalModel, prompt: tuple[int, ...], label: str) -> float:
    tokens = [*model.tokenizer(label, add_special_tokens=False)["input_ids"], model.tokenizer.eos_token_id]
    with torch.inference_mode():
        logits = model.network(torch.tensor([[*prompt, *tokens]])).logits[0]
    return float(sum(logits[len(prompt) - 1 + at].log_softmax(-1)[token] for at, token in enumerate(tokens)))


@pytest.mark.parametrize("at_once", [2, 32])
def test_labels_of_plain_forward_passes(model: LocalModel, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_scores, "_LABELS_AT_ONCE", at_once)
    prompts = [tuple(range(start, start + 12)) for start in (20, 60, 100, 140, 20)]
    expected = [max(LABELS, key=lambda label: plain(model, prompt, label)) for prompt in prompts]
    assert likeliest_labels(model, prompts, LABELS) == expected
    assert len(set(expected)) > 1


def test_a_label_beyond_the_context_is_one_line(model: LocalModel) -> None:
    with pytest.raises(RecipeError, match=r"^evaluate\.task\.labels: prompt and answer take 257 tokens, more than"):
        likeliest_labels(model, [tuple([20] * 255)], ["a"])
