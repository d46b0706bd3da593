"""Teacher and student side by side on the same prompts, with how fast each answered."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.config import FIRST, Recipe, called
from potstill.errors import PotstillError
from potstill.progress import Reporter, Silent
from potstill.records import Message, Prompt, content_hash
from potstill.run.folder import read_recipe

_HELD_OUT_SHOWN = 3
_TYPED = "command line"  # the source of a prompt that is none of the run's


@dataclass(frozen=True, slots=True)
class Side:
    """One model's answer. `tokens_per_s` is None where the answer was not generated here and now."""

    text: str
    tokens_per_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both answers to one prompt."""

    prompt: str
    teacher: Side
    student: Side


def compare(folder: Path, prompt: str | None = None, reporter: Reporter | None = None) -> list[Comparison]:
    """Answer `prompt`, or the first held-out prompts, with the run's student and its teacher.

    Both sample as the recipe says, from the same seed; of several teachers the one that writes a prompt's answers does.
    An endpoint is not asked, which would cost money: its recorded answers are shown. Raises PotstillError where the run
    has no student yet.
    """
    reporter = reporter or Silent()
    recipe = read_recipe(folder)
    if not (folder / "student" / "config.json").is_file():
        raise PotstillError(
            f"{folder}: no student yet; `potstill run` trains one and `potstill status` says how far it is"
        )
    conversations = _conversations(recipe, folder, prompt)
    student = _answers(folder / "student", conversations, recipe, reporter, "the student")
    if recipe.teacher.model is not None:
        teacher = _teachers_answers(recipe, conversations, reporter)
    else:
        teacher = _recorded(folder, conversations)
    return [
        Comparison(one.messages[-1].content, ours, theirs)
        for one, ours, theirs in zip(conversations, teacher, student, strict=True)
    ]


def _teachers_answers(recipe: Recipe, conversations: Sequence[Prompt], reporter: Reporter) -> list[Side]:
    """Each prompt answered by the teacher that writes its answers; a prompt that is none of the run's by the first."""
    from potstill.models.fetch import fetch

    known = len(recipe.teachers) > 1 and all(one.source != _TYPED for one in conversations)
    writers = [recipe.writer(one.tag) if known else FIRST for one in conversations]
    sides: dict[int, Side] = {}
    for name in dict.fromkeys(writers):
        mine = [at for at, writer in enumerate(writers) if writer == name]
        section = recipe.teachers[name]
        home = fetch(section.model or "", section.sha256, reporter)
        role = called(name) if recipe.more_teachers else "the teacher"
        found = _answers(home, [conversations[at] for at in mine], recipe, reporter, role)
        sides.update(zip(mine, found, strict=True))
    return [sides[at] for at in range(len(conversations))]


def _conversations(recipe: Recipe, folder: Path, prompt: str | None) -> list[Prompt]:
    """The prompt as a conversation with the recipe's system message, or the first prompts that were held out."""
    if prompt is not None:
        return [_asked(prompt, recipe)]
    from potstill.store.prompts import read_prompts

    held_out = [one for one in read_prompts(folder / "prompts.parquet") if one.split == "holdout"]
    if not held_out:
        raise PotstillError(f"{folder}: no held-out prompts; give a prompt of your own")
    return held_out[:_HELD_OUT_SHOWN]


def _asked(text: str, recipe: Recipe) -> Prompt:
    """A text as the recipe asks it: after its system message and its worked examples."""
    section = recipe.prompts
    shown = [(Message("user", one.prompt), Message("assistant", one.answer)) for one in section.examples]
    system = [Message("system", section.system)] if section.system is not None else []
    messages = (*system, *(turn for pair in shown for turn in pair), Message("user", text))
    return Prompt(
        messages, "holdout", _TYPED, content_hash([one.plain for one in messages]), tools=recipe.collect.tools or ()
    )


def _answers(model: Path, conversations: Sequence[Prompt], recipe: Recipe, reporter: Reporter, role: str) -> list[Side]:
    """One prompt after the other, so that the speed is that of a single user; the first, untimed token warms up."""
    from potstill.models.local import LocalModel
    from potstill.rendering import render_prompt

    reporter.say(f"loading {role}")
    loaded = LocalModel.load(model)
    rendered = [render_prompt(loaded.tokenizer, one.messages, one.tools) for one in conversations]
    _generate(loaded, rendered[0], recipe, max_new_tokens=1)
    sides = []
    with reporter.meter(f"{role} answers", len(rendered), "prompts") as meter:
        for tokens in rendered:
            started = time.perf_counter()
            answer = _generate(loaded, tokens, recipe, recipe.collect.max_new_tokens)
            seconds = time.perf_counter() - started
            text = loaded.tokenizer.decode(answer.tokens, skip_special_tokens=True).strip()
            note = "cut at collect.max_new_tokens" if answer.finish_reason == "length" else ""
            sides.append(Side(text, len(answer.tokens) / seconds, note))
            meter.advance()
    return sides


def _generate(model: Any, tokens: list[int], recipe: Recipe, max_new_tokens: int) -> Any:
    limit = model.context_tokens
    if limit is not None and len(tokens) + max_new_tokens > limit:
        raise PotstillError(
            f"the prompt takes {len(tokens)} tokens and the answer up to {max_new_tokens}, more than the model's "
            f"context of {limit}; shorten the prompt"
        )
    collect = recipe.collect
    [answer] = model.generate(
        [tokens], max_new_tokens=max_new_tokens, temperature=collect.temperature, top_p=collect.top_p,
        seeds=[collect.seed],
    )  # fmt: skip
    return answer


def _recorded(folder: Path, conversations: Sequence[Prompt]) -> list[Side]:
    """What an endpoint answered when it was asked for this run."""
    from potstill.store.journal import Journal

    found: dict[str, str] = {}
    with Journal(folder / "answers.sqlite", read_only=True) as journal:
        for row in journal.answers():
            if row.reply is not None:
                found.setdefault(row.prompt_hash, row.reply.text)
    return [
        Side(found[one.hash], note="recorded")
        if one.hash in found
        else Side("", note="an endpoint is not asked again, and this run holds no answer of it to this prompt")
        for one in conversations
    ]
