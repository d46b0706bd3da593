"""Renders a conversation to token ids through the model's own chat template, with the mask of what is supervised."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.errors import RecipeError
from potstill.records import Message, Prompt


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


def render_prompt(tokenizer: Any, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
    """Token ids of a conversation, with the tools it may use, up to where the assistant starts to answer.

    The template's own text brings every special token, so none is added: no second BOS.
    """
    if getattr(tokenizer, "chat_template", None) is None:
        text = "\n\n".join(message.content for message in messages) + "\n\n"
        return list(tokenizer(text)["input_ids"])
    return list(tokenizer(written(tokenizer, messages, tools), add_special_tokens=False)["input_ids"])


def written(
    tokenizer: Any, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = (), *, answered: bool = False
) -> str:
    """A conversation as the chat template writes it; `answered` if its last turn is the answer."""
    given = {"tools": [dict(tool) for tool in tools]} if tools else {}
    turns = [_turn(message) for message in messages]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=not answered, **given)
    return text


def render_calls(
    tokenizer: Any, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], answer: Message, where: str
) -> list[int]:
    """Token ids of an answer that calls tools, as the chat template writes it after the prompt, up to its end of turn.

    Raises RecipeError where the template writes the prompt otherwise once there is an answer.
    """
    prompt, end = written(tokenizer, messages, tools), end_of_turn(tokenizer)
    whole = written(tokenizer, (*messages, answer), tools, answered=True)
    if not whole.startswith(prompt):
        raise RecipeError(f"{where}: the student's chat template does not continue its own prompt with a tool call")
    tokens = list(tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"])
    return [*(tokens[: tokens.index(end)] if end in tokens else tokens), end]


def uses_tools(prompt: Prompt) -> bool:
    """Whether a prompt has tools, or turns that call them or give their results."""
    return bool(prompt.tools) or any(one.tool_calls or one.tool_call_id is not None for one in prompt.messages)


def what_is_dropped(tokenizer: Any, tools: Sequence[Mapping[str, Any]], *, results: bool) -> str | None:
    """The first thing about tools that a tokenizer's chat template loses, in words; None where it writes all.

    `results`: look at the turns of tools too, which only prompts with such turns need.
    """
    if getattr(tokenizer, "chat_template", None) is None:
        return "conversations at all (there is none), nor tools"
    names = tuple(str(tool["function"]["name"]) for tool in tools)
    call = {
        "id": "call00001",
        "type": "function",
        "function": {"name": "probe_name", "arguments": '{"probe_key": "x"}'},
    }
    asked = Message("user", "hello")
    probes: list[tuple[str, tuple[Message, ...], tuple[str, ...]]]
    probes = [("the tools that may be called", (asked,), names)] if names else []
    answer = Message("assistant", "", (call,))
    probes += [
        ("tool calls", (asked, answer), ("probe_name", "probe_key")),
        ("the results of tools", (asked, answer, Message("tool", "probe result", (), "call00001")), ("probe result",)),
    ][: 2 if results else 1]
    for what, messages, words in probes:
        try:
            text = written(tokenizer, messages, tools, answered=messages[-1] is answer)
        except Exception as error:  # a template raises whatever its author chose
            return f"{what} ({' '.join(str(error).split())[:120]})"
        if not all(word in text for word in words):
            return what
    return None


def _turn(message: Message) -> dict[str, Any]:
    """A message as chat templates take it: the arguments of calls as objects, not as JSON text."""
    turn = message.plain
    if message.tool_calls:
        functions = [(call, call["function"]) for call in message.tool_calls]
        turn["tool_calls"] = [
            {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}
            for call, function in functions
        ]
    return turn


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
