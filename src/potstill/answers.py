"""The usable answers of a run as token sequences: what training learns from and evaluation compares on."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError, RecipeError
from potstill.records import Message, Prompt, Reply, Split, content_hash
from potstill.rendering import Example, join, render_answer, render_calls, render_prompt, uses_tools, what_is_dropped
from potstill.store.journal import Journal, Row
from potstill.store.prompts import StoredPrompts, read_prompts
from potstill.store.screening import left_out


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the teacher as the student's tokens."""

    key: str  # of the request
    prompt_hash: str
    sample: int
    prompt_text: str  # the last user turn, for reports
    text: str
    example: Example
    tag: str | None = None  # the prompt's

    @property
    def tokens_hash(self) -> str:
        """What the signal store is bound to."""
        return content_hash(list(self.example.tokens))


def load_answers(
    folder: Path, split: Split, uses: Collection[str], tokenizer: Any, context_tokens: int | None, *, exact_tokens: bool
) -> list[Answer]:
    """The answers of one split whose use is among `uses` and that passed the recipe's screens, in prompt order.

    `exact_tokens`: take the very tokens that a local teacher sampled; otherwise the text, in the student's tokens.
    Raises PotstillError where no answer is left, RecipeError where the chat template drops what prompts say of tools.
    """
    screened = left_out(folder)
    by_prompt: dict[str, list[tuple[Row, list[int] | None]]] = {}
    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        for row in journal.answers():
            raw = journal.raw(row.key) if exact_tokens else None
            by_prompt.setdefault(row.prompt_hash, []).append((row, json.loads(raw)["tokens"] if raw else None))
    answers, tried = [], False
    for prompt in read_prompts(folder / "prompts.parquet"):
        if prompt.split != split:
            continue
        if not tried and uses_tools(prompt):
            _refuse_deaf_template(tokenizer, prompt)
            tried = True
        ids = render_prompt(tokenizer, prompt.messages, prompt.tools)
        for row, sampled in sorted(by_prompt.get(prompt.hash, []), key=lambda one: one[0].sample):
            if row.use not in uses or row.reply is None or row.key in screened:
                continue
            ended = row.use != "truncated"
            tokens = sampled if sampled is not None else _rendered(tokenizer, prompt, row.reply, ended=ended)
            example = join(ids, tokens, context_tokens, prompt.source)
            asked, text = prompt.messages[-1].content, shown(row.reply)
            answers.append(Answer(row.key, prompt.hash, row.sample, asked, text, example, prompt.tag))
    if not answers:
        raise PotstillError(f"{folder}: no usable answer among the {split} prompts; `potstill status` shows why")
    return answers


def answer_texts(folder: Path, split: Split, uses: Collection[str]) -> list[tuple[str, str]]:
    """The last turn of the prompt and the teacher's answer as texts, of the answers that `load_answers` gives."""
    screened = left_out(folder)
    by_prompt: dict[str, list[Row]] = {}
    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        for row in journal.answers():
            if row.use in uses and row.key not in screened:
                by_prompt.setdefault(row.prompt_hash, []).append(row)
    return [
        (prompt.messages[-1].content, shown(row.reply))
        for prompt in StoredPrompts(folder / "prompts.parquet")
        if prompt.split == split
        for row in sorted(by_prompt.get(prompt.hash, []), key=lambda one: one.sample)
        if row.reply is not None
    ]


def _refuse_deaf_template(tokenizer: Any, prompt: Prompt) -> None:
    """Collecting has tried the student's template; the recipe may have another student since."""
    results = any(one.tool_call_id is not None for one in prompt.messages)
    if lacking := what_is_dropped(tokenizer, prompt.tools, results=results):
        raise RecipeError(
            f"{prompt.source}: the student's chat template does not write {lacking}; take another student"
        )


def _rendered(tokenizer: Any, prompt: Prompt, reply: Reply, *, ended: bool) -> list[int]:
    """An answer that was cut has no end: a student that was taught one there would stop in the middle of a sentence."""
    if not reply.tool_calls:
        tokens = render_answer(tokenizer, reply.text)
        return tokens if ended or len(tokens) == 1 else tokens[:-1]
    answer = Message("assistant", reply.text, reply.tool_calls)
    return render_calls(tokenizer, prompt.messages, prompt.tools, answer, prompt.source)


def shown(reply: Reply) -> str:
    """The answer as text, for people and for metrics of texts: what it says, then what it calls."""
    calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in reply.tool_calls]
    return "\n".join([*([reply.text] if reply.text else []), *calls])
