"""Sampled answers in a server's JSON: ids in both spellings, and a line for whatever is missing."""

from typing import Any

import pytest

from potstill.models.drawing import Drawn, read_drawn


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({}, "gives no token ids"),
        ({"token_ids": []}, "gives no token ids"),
        ({"token_ids": ["a"]}, "gives no token ids"),
        ({"logprobs": {"tokens": ["a", "b"], "token_logprobs": [-1, -1]}}, "gives no token ids"),
        ({"token_ids": [1, 2]}, "gives 0 log-probabilities for 2 tokens"),
        ({"token_ids": [1, 2], "logprobs": {"token_logprobs": [-1]}}, "gives 1 log-probabilities for 2 tokens"),
        ({"token_ids": [1, 2], "logprobs": {"token_logprobs": [-1, None]}}, "gives 1 log-probabilities for 2 tokens"),
    ],
)
def test_answers_without_ids_or_log_probabilities(choice: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_drawn({"choices": [choice]})
    with pytest.raises(ValueError, match="gives no token ids"):
        read_drawn([])


def test_ids_are_read_in_both_spellings() -> None:
    logprobs = {"tokens": ["token_id:5", "token_id:1"], "token_logprobs": [-0.5, 0.0]}
    assert read_drawn({"choices": [{"logprobs": logprobs}]}) == Drawn((5, 1), (-0.5, 0.0))
    assert read_drawn({"choices": [{"token_ids": [5, 1], "logprobs": logprobs}]}) == Drawn((5, 1), (-0.5, 0.0))
