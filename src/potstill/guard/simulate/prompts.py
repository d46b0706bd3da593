"""Prompts of requests as Arrow columns: free texts, filled templates, documents, fixed probes, tool output."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from potstill.guard.simulate.kinds import What
from potstill.guard.simulate.texts import Texts, made_up_names, read_yaml

Ints = NDArray[np.int64]
_EXTRA_DOCUMENTS: Final = 4  # passages after the first, of which a prompt has up to so many
_TASKS: Final = 2_000  # of a public benchmark


@dataclass(frozen=True, slots=True)
class Forms:
    """Templates that accounts choose from: those of account a begin at first[a], and are count[a]."""

    begins: pa.StringArray
    ends: pa.StringArray
    first: Ints
    count: Ints
    system: pa.StringArray | None  # of each account


def honest_forms(n: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Templates of products: a role and a task before the slot, a form after it, each with names of its own.

    What guard knows a template by are its first and last words, and unlike products share neither.
    """
    words = read_yaml("words.yaml")["templates"]

    def some(name: str) -> list[str]:
        return [words[name][at] for at in rng.integers(len(words[name]), size=n).tolist()]

    names = zip(made_up_names(n, rng), made_up_names(n, rng), strict=True)
    found = zip(some("roles"), some("houses"), some("tasks"), some("forms"), names, strict=True)
    return [
        (f"{one} {other} desk. {role} {house}. {task}.", f"{form} Sign as {one} {other}.")
        for role, house, task, form, (one, other) in found
    ]


def campaign_forms(wording: str, n: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Templates of a campaign: n of a family's, in another order each time; of the sweep n variants."""
    words = read_yaml("wordings.yaml")[wording]
    if isinstance(words, dict):
        lists = list(words.values())
        of = np.unravel_index(rng.permutation(np.prod([len(one) for one in lists]))[:n], [len(one) for one in lists])
        found = [[lists[part][at[row]] for part, at in enumerate(of)] for row in range(len(of[0]))]
        return [(f"{framing} {ask}", f"{manner} {closing}") for framing, ask, manner, closing in found]
    return [tuple(words[at]) for at in rng.permutation(len(words))[:n].tolist()]


def frameworks() -> list[tuple[str, str]]:
    """Templates that come with open-source libraries."""
    return [(begin, end) for begin, end in read_yaml("words.yaml")["frameworks"]]


def prompts(
    what: What, texts: Texts, forms: Forms, who: NDArray[np.intp], topic: Ints, turn: NDArray[np.intp],
    rng: np.random.Generator,
) -> pa.StringArray:  # fmt: skip
    """The prompt of each request. `topic` is each account's first topic, `turn` the place in the conversation."""
    n = len(who)
    if what.asks == "benchmark":
        number = rng.integers(_TASKS, size=n)
        return _joined("Question:", texts.texts.take(pa.array(number * 7919 % len(texts.texts))), "Answer:")
    form = forms.first[who] + (rng.random(n) * forms.count[who]).astype(np.int64)
    if what.asks == "fixed":
        return forms.begins.take(pa.array(form))
    text = _some_text(what, texts, topic[who], rng)
    detail = _details(texts, rng, n)
    if what.asks == "free":
        return _joined(texts.openings.take(pa.array(rng.integers(len(texts.openings), size=n))), text, detail)
    begins, ends = forms.begins.take(pa.array(form)), forms.ends.take(pa.array(form))
    if what.asks == "documents":
        more = [_some_text(what, texts, topic[who], rng) for _ in range(_EXTRA_DOCUMENTS)]
        length = rng.integers(_EXTRA_DOCUMENTS + 1, size=n)
        return _joined(begins, text, detail, *(_where(length > at, one) for at, one in enumerate(more)), ends)
    if what.asks == "tools":
        tool = pa.array([read_yaml("words.yaml")["tools"]])[0].values
        used = tool.take(pa.array(rng.integers(len(tool), size=n)))
        took = pa.array(rng.integers(9, 9_000, n)).cast(pa.string())
        if what.wording is None:
            begins, ends = texts.openings.take(pa.array(rng.integers(len(texts.openings), size=n))), detail
        came = _joined(text, detail, "returned by", used, "in", took, "ms")
        return pc.if_else(pa.array(turn > 0), came, _joined(begins, text, ends))
    return _joined(begins, text, detail, ends)


def _some_text(what: What, texts: Texts, topic: Ints, rng: np.random.Generator) -> pa.StringArray:
    n, breadth = len(topic), min(what.topics, texts.topics)
    chosen = (topic + (rng.random(n) * breadth).astype(np.int64)) % texts.topics
    return texts.texts.take(pa.array(texts.first[chosen] + (rng.random(n) * texts.count[chosen]).astype(np.int64)))


def _details(texts: Texts, rng: np.random.Generator, n: int) -> pa.StringArray:
    parts = (part.take(pa.array(rng.integers(len(part), size=n))) for part in texts.details)
    return pc.binary_join_element_wise(*parts, " ")


def _where(chosen: NDArray[np.bool_], text: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pa.array(chosen), text, "")


def _joined(*parts: pa.StringArray | str) -> pa.StringArray:
    return pc.utf8_trim_whitespace(pc.binary_join_element_wise(*parts, " "))
