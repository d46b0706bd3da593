"""Conversations become tokens once: no second BOS, the end of turn supervised, nothing cut in silence."""

import pytest

from potstill.errors import RecipeError
from potstill.models.local import LocalModel
from potstill.records import Message
from potstill.rendering import join, render_answer, render_prompt
from tiny import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel.load(make_tiny_model(tmp_path_factory.mktemp("tiny")))


def test_the_template_brings_every_special_token(model: LocalModel) -> None:
    turns = [Message("user", "kettle"), Message("assistant", "a vessel"), Message("user", "bridge")]
    tokens = render_prompt(model.tokenizer, turns)
    assert model.tokenizer.decode(tokens) == ("<s>user\nkettle</s><s>assistant\na vessel</s><s>user\nbridge</s><s>")
    assert tokens.count(model.tokenizer.bos_token_id) == 4


def test_the_end_of_turn_is_supervised(model: LocalModel) -> None:
    answer = render_answer(model.tokenizer, "a vessel")
    example = join([5, 6, 7], answer, 64, "prompts.jsonl:1")
    assert example.tokens[-1] == model.tokenizer.eos_token_id
    assert example.answer_length == len(answer)
    assert example.tokens[example.prompt_length :] == tuple(answer)


def test_too_long_is_an_error_and_never_cut() -> None:
    with pytest.raises(RecipeError, match=r"prompts\.jsonl:3: prompt and answer take 300 tokens"):
        join([1] * 44, [2] * 256, 256, "prompts.jsonl:3")
