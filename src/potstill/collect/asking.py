"""What an endpoint is asked: each prompt's request bodies, and whether the student can learn from tool calls at all."""

from collections.abc import Iterator, Sequence

from potstill import config
from potstill.config.requests import asked_choice
from potstill.errors import RecipeError
from potstill.models.http import Form, Sampling, request_body
from potstill.progress import Reporter
from potstill.records import Message, Prompt
from potstill.rendering import uses_tools, what_is_dropped
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
        form = Form(prompt.tools, choice, collect.response_format)
        for sample in range(recipe.samples(prompt.split)):
            seed = request_seed(collect.seed, prompt.hash, sample)
            sampling = Sampling(collect.temperature, collect.top_p, collect.max_new_tokens, seed, k)
            body = request_body(section, prompt.messages, sampling, form)
            yield make_request(prompt, sample, body, section.base_url)


def check_student_takes_tools(recipe: config.Recipe, prompts: Sequence[Prompt], reporter: Reporter) -> None:
    """Raises RecipeError where prompts have tools or turns of tools that the student's chat template does not write.

    The template silently drops what it does not know, and training would teach answers to questions nobody asked.
    Without tools nothing is fetched and nothing is checked.
    """
    if not any(tools or _may_use_tools(messages) for messages, tools in fields(prompts, "messages", "tools")):
        return  # told from the table's text: a million prompts need not be made into records for it
    using = next((prompt for prompt in prompts if uses_tools(prompt)), None)
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


def _may_use_tools(messages: str | Sequence[Message]) -> bool:
    if isinstance(messages, str):
        return '"tool_call' in messages
    return any(one.tool_calls or one.tool_call_id is not None for one in messages)
