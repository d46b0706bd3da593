"""Answers that a model on this machine writes itself to prompts, sampled as the recipe collects."""

from collections.abc import Sequence
from dataclasses import dataclass

from potstill.config import Collect
from potstill.models.local import LocalModel

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Written:
    """One answer as text; `cut` where it ran into collect.max_new_tokens."""

    text: str
    cut: bool


def write_answers(
    model: LocalModel, prompts: Sequence[Sequence[int]], seeds: Sequence[int], collect: Collect
) -> list[Written]:
    """One answer to each prompt, given in the model's own tokens; each row has random numbers of its own."""
    answers: list[Written] = []
    for start in range(0, len(prompts), _AT_ONCE):
        few = slice(start, start + _AT_ONCE)
        generations = model.generate(
            prompts[few],
            max_new_tokens=collect.max_new_tokens,
            temperature=collect.temperature,
            top_p=collect.top_p,
            seeds=seeds[few],
        )
        answers += [
            Written(model.tokenizer.decode(one.tokens, skip_special_tokens=True), one.finish_reason == "length")
            for one in generations
        ]
    return answers
