"""What an endpoint is asked: each prompt's request bodies, and whether the student can learn from tool calls at all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from potstill import config
from potstill.config.requests import asked_choice, tool_names
from potstill.errors import RecipeError
from potstill.models.http import Form, Sampling, request_body
from potstill.progress import Reporter
from potstill.records import Message, Prompt
from potstill.rendering import written
from potstill.store.journal import Request, make_request, request_seed
from potstill.store.prompts import fields


def requests(recipe: config.Recipe, section: config.Endpoint, prompts: Sequence[Prompt]) -> Iterator[Request]:
    """The requests of a recipe in the order of its prompts: so many for each prompt, every one with a seed of its own.

    Whatever can change an answer is in the body or beside it, and so in the key.
    """
    collect, signals = recipe.collect, recipe.signals
    k = signals.k if isinstance(signals, config.TopKSignals) else 0
    choice = asked_choice(collect.tool_choice)
    for prompt in prompts:
        form = Form(prompt.tools, choice, collect.response_format, section.token_limit_field, section.extra_body)
        for sample in range(collect.answers_per_prompt):
            seed = request_seed(collect.seed, prompt.hash, sample)
            sampling = Sampling(collect.temperature, collect.top_p, collect.max_new_tokens, seed, k)
            body = request_body(section.model, prompt.messages, sampling, form)
            yield make_request(prompt, sample, body, section.base_url)


def check_student_takes_tools(recipe: config.Recipe, prompts: Sequence[Prompt], reporter: Reporter) -> None:
    """Raises RecipeError where prompts have tools or turns of tools that the student's chat template does not write.

    The template silently drops what it does not know, and training would teach answers to questions nobody asked.
    Without tools nothing is fetched and nothing is checked.
    """
    if not any(tools or _may_use_tools(messages) for messages, tools in fields(prompts, "messages", "tools")):
        return  # told from the table's text: a million prompts need not be made into records for it
    using = next((prompt for prompt in prompts if prompt.tools or any(_of_tools(one) for one in prompt.messages)), None)
    if using is None:
        return
    from transformers import AutoTokenizer

    from potstill.models.fetch import fetch

    student = recipe.student
    reference = student.model if isinstance(student, config.ModelStudent) else getattr(student, "tokenizer", None)
    if reference is None:
        raise RecipeError("student.tokenizer: missing; prompts have tools, which a chat template has to write")
    sha256 = student.sha256 if isinstance(student, config.ModelStudent) else None
    tokenizer = AutoTokenizer.from_pretrained(fetch(reference, sha256, reporter))
    results = any(one.tool_call_id is not None for prompt in prompts for one in prompt.messages)
    if lacking := what_is_dropped(tokenizer, using.tools, results=results):
        raise RecipeError(
            f"student: the chat template of {reference} does not write {lacking}, which prompts such as {using.source} "
            "need; take a student whose template knows tools, or leave the tools out"
        )


def what_is_dropped(tokenizer: Any, tools: Sequence[Mapping[str, Any]], *, results: bool) -> str | None:
    """The first thing about tools that a tokenizer's chat template loses, in words; None where it writes all.

    `results`: look at the turns of tools too, which only prompts with such turns need.
    """
    if getattr(tokenizer, "chat_template", None) is None:
        return "conversations at all (there is none), nor tools"
    names = tool_names(tools)
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


def _may_use_tools(messages: str | Sequence[Message]) -> bool:
    return '"tool_call' in messages if isinstance(messages, str) else any(map(_of_tools, messages))


def _of_tools(message: Message) -> bool:
    return bool(message.tool_calls) or message.tool_call_id is not None
