"""Prompts that a model writes after the pattern of others: what it is asked, what its list holds, what of it is new.

After Wang et al. 2023, "Self-Instruct", section 2.2, with one difference: the held-out prompts are never shown, and
what is written is never held out, so that the evaluation stays one on the source's own prompts.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from potstill.config import Growth, Prompts
from potstill.prompts import conversation, own_words, prompt_hash
from potstill.records import Grown, Message, Prompt, content_hash
from potstill.texts.normal import plain_text, words
from potstill.texts.resemblance import resembling

_INSTRUCTION = (
    "Write {wanted} new prompts of the same kind as the examples below. Each stands on its own; vary their subjects, "
    "and repeat or reword none. Answer with a numbered list of the prompts and nothing else."
)
_WRITTEN_SHARE = 4  # of the prompts shown, one in four may be a written one, as in the paper
_ITEM = re.compile(r"^[ \t]*(?:\d{1,3}[.)]|[-*•])(?:[ \t]+|$)", re.MULTILINE)
_NOTHING = re.compile(r"[ \t]*\n[ \t]*\n")  # behind a number that the list ends with, before what is said about it
_FENCE = re.compile(r"^```.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Request:
    """One question for further prompts, and the hashes of the prompts that it shows."""

    prompt: Prompt
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote to one question; `key` is that of the request in its journal."""

    request: Request
    key: str
    text: str
    whole: bool  # False where it was cut short


@dataclass(frozen=True, slots=True)
class Taken:
    """The new prompts of a round, and what became of the rest: numbers of items by why they were left out."""

    prompts: tuple[Prompt, ...]
    left_out: Mapping[str, int]
    without_list: int  # answers that held no item


def requests_of_round(
    section: Prompts, growth: Growth, seeds: Sequence[Prompt], written: Sequence[Prompt], number: int, count: int
) -> list[Request]:
    """The `count` questions of round `number`: each shows other prompts, drawn by the recipe's seed.

    `seeds` are training prompts of the source, `written` those of earlier rounds.
    """
    found = []
    for place in range(count):
        chance = random.Random(f"{growth.seed}:{number}:{place}")
        few = min(len(written), growth.shown // _WRITTEN_SHARE)
        shown = chance.sample(list(written), few)
        shown += chance.sample(list(seeds), min(len(seeds), growth.shown - few))
        chance.shuffle(shown)
        instruction = growth.instruction or _INSTRUCTION.format(wanted=growth.wanted)
        listed = "\n".join(f"{at}. {own_words(one, section)}" for at, one in enumerate(shown, start=1))
        # The round and place make every question another one, also where there are few prompts to show.
        messages = (Message("user", f"{instruction}\n\n{listed}"),)
        identity = content_hash([number, place, messages[0].content])
        prompt = Prompt(messages, "train", f"growth, round {number}, question {place + 1}", identity)
        found.append(Request(prompt, tuple(one.hash for one in shown)))
    return found


def read_list(text: str, *, whole: bool) -> list[str]:
    """The items of a numbered or bulleted list; an item goes on until the next. Not `whole`: the last was cut short."""
    parts = _ITEM.split(_FENCE.sub("", text))[1:]
    items = ["" if _NOTHING.match(part) else part.strip().strip('"“”').strip() for part in parts]
    if not whole and items:
        items.pop()
    return [one for one in items if one]


def take_new(
    section: Prompts, growth: Growth, known: Sequence[Prompt], answers: Sequence[Written], model: str
) -> Taken:
    """Of what the model wrote, the prompts that say something new, in order.

    Left out are those that have no word or more than the recipe allows, that repeat a known prompt or an earlier one of
    these, and that resemble one.
    """
    candidates: list[Prompt] = []
    left_out: Counter[str] = Counter()
    without_list = 0
    seen = {plain_text(own_words(one, section)) for one in known}
    for answer in answers:
        items = read_list(answer.text, whole=answer.whole)
        without_list += not items
        for place, item in enumerate(items, start=1):
            plain = plain_text(item)
            if fault := _fault(item, growth) or ("repeated" if plain in seen else ""):
                left_out[fault] += 1
                continue
            seen.add(plain)
            messages = conversation(item, section)
            source = f"grown/answers.sqlite: request {answer.key[:12]}, item {place}"
            grown = Grown(model, answer.key, answer.request.parents)
            candidates.append(Prompt(messages, "train", source, prompt_hash(messages), grown=grown))
    kept = _unlike([own_words(one, section) for one in known], candidates, section)
    left_out["alike"] += len(candidates) - len(kept)
    return Taken(tuple(kept), {name: number for name, number in left_out.items() if number}, without_list)


def _fault(item: str, growth: Growth) -> str:
    """Why an item is no prompt whatever else there is; empty for one that may be."""
    count = len(words(item))
    return "" if 0 < count <= growth.max_words else "too_long" if count else "no_words"


def _unlike(known: Sequence[str], candidates: Sequence[Prompt], section: Prompts) -> list[Prompt]:
    """The candidates that resemble neither what is known nor one kept before them."""
    texts = [own_words(one, section) for one in candidates]
    first = len(known)
    # The candidates stand there twice, because only pairs of a held and another text are looked for.
    pairs = resembling([*known, *texts, *texts], range(first + len(texts)))
    like: dict[int, set[int]] = {}
    for held, other in pairs:
        like.setdefault(other - first - len(texts), set()).add(held - first)
    kept: list[int] = []
    for place in range(len(texts)):
        if not any(one < 0 or (one < place and one in kept) for one in like.get(place, ())):
            kept.append(place)
    return [candidates[place] for place in kept]
