"""Tokenizers compared without weights, and parameters counted without memory."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from potstill.errors import RecipeError
from potstill.records import Message
from potstill.students.compatibility import compare, load_tokenizer, prompt_lengths, scratch_parameters

TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}"


def tokenizer_folder(folder: Path, words: list[str], template: str | None) -> Path:
    inner = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=words[0]))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token=words[0], eos_token=words[0])
    made.chat_template = template
    made.save_pretrained(folder)
    return folder


def test_the_same_tokenizer(tmp_path: Path) -> None:
    teacher = tokenizer_folder(tmp_path / "a", ["?", "one", "two"], TEMPLATE)
    found = compare(teacher, teacher)
    assert found.same_vocabulary
    assert found.same_chat_template
    assert found.lines() == ["vocabulary: the same 3 tokens", "chat template: the same"]


@pytest.mark.parametrize(
    ("template", "words"),
    [(None, "the student has none"), (TEMPLATE.upper(), "different"), (TEMPLATE, "the same")],
)
def test_what_differs_is_counted_and_said(tmp_path: Path, template: str | None, words: str) -> None:
    teacher = tokenizer_folder(tmp_path / "a", ["?", "one", "two"], TEMPLATE)
    # "two" has moved, "three" and "four" are new.
    student = tokenizer_folder(tmp_path / "b", ["?", "one", "three", "two", "four"], template)
    found = compare(teacher, student)
    assert (found.teacher_vocabulary, found.student_vocabulary, found.differing_tokens) == (3, 5, 3)
    assert "3 differ, so train it with train.cross_tokenizer: true" in found.lines()[0]
    assert words in found.lines()[1]


def test_a_student_with_a_template_of_a_teacher_without(tmp_path: Path) -> None:
    teacher = tokenizer_folder(tmp_path / "a", ["?", "one"], None)
    student = tokenizer_folder(tmp_path / "b", ["?", "one"], TEMPLATE)
    assert compare(teacher, student).lines()[1] == "chat template: only the student has one"


def test_lengths_are_those_of_the_rendering(tmp_path: Path) -> None:
    folder = tokenizer_folder(tmp_path / "a", ["?", "one", "two"], TEMPLATE)
    conversations = [(Message("user", "one two one"),), (Message("system", "one"), Message("user", "two"))]
    assert prompt_lengths(folder, conversations) == [3, 2]


def test_a_folder_without_a_tokenizer_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_parameters_of_a_config() -> None:
    config: dict[str, Any] = {
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True,
    }  # fmt: skip
    one_layer = 4 * 8 * 8 + 3 * 8 * 16 + 2 * 8
    assert scratch_parameters(config, 10) == 10 * 8 + 2 * one_layer + 8
    with pytest.raises(RecipeError, match=r"student\.config"):
        scratch_parameters({"model_type": "no-such-model"}, 10)
