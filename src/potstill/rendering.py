"""Renders a conversation to token ids through the model's own chat template, with the mask of what is supervised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from potstill.errors import RecipeError
from potstill.records import Message


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of prompt and answer; the answer's tokens, the end-of-turn token included, are supervised.

    `tokens[prompt_length:]` is the answer. The logits that predict it stand one position earlier.
    """

    tokens: tuple[int, ...]
    prompt_length: int

    @property
    def answer_length(self) -> int:
        """How many tokens are supervised."""
        return len(self.tokens) - self.prompt_length


def render_prompt(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of a conversation up to where the assistant starts to answer.

    The template's own text brings every special token, so none is added: no second BOS.
    """
    turns = [{"role": message.role, "content": message.content} for message in messages]
    if getattr(tokenizer, "chat_template", None) is None:
        text = "\n\n".join(message.content for message in messages) + "\n\n"
        return list(tokenizer(text)["input_ids"])
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def render_answer(tokenizer: Any, text: str) -> list[int]:
    """Token ids of an answer's text, closed by the end-of-turn token."""
    end = end_of_turn(tokenizer)
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], end]


def end_of_turn(tokenizer: Any) -> int:
    """The id that ends an answer."""
    end: int | None = tokenizer.eos_token_id
    if end is None:
        raise RecipeError("the tokenizer has no end-of-sequence token, so answers could never end; set one")
    return end


def join(prompt: Sequence[int], answer: Sequence[int], context_tokens: int | None, where: str) -> Example:
    """One training example. Raises RecipeError where it is longer than the model's context: nothing is cut silently."""
    if context_tokens is not None and len(prompt) + len(answer) > context_tokens:
        raise RecipeError(
            f"{where}: prompt and answer take {len(prompt) + len(answer)} tokens, more than the model's context of "
            f"{context_tokens}; shorten the prompt or lower collect.max_new_tokens"
        )
    return Example((*prompt, *answer), len(prompt))
