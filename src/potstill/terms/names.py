"""Model names in one spelling, and the families of models that a name carries (Hermes-3-Llama-3.1-8B: Llama 3.1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from potstill.terms.descendants import descends_from
from potstill.terms.rules import Rule, matching, rules

# A family and its version, however they are joined: llama3.1, llama3-1, llama-v3p1, Llama-3_1. What is followed by b is
# a size, not a version: Qwen-7B, open_llama_3b. A letter before makes it another name: TinyLlama is no Llama.
_VERSION = re.compile(
    r"(?<![a-z])(llama|qwen|gemma|phi|glm|kimi-k|minimax-m|exaone|falcon)-?v?(?!\d+(?:\.\d+)?b(?![a-z]))(\d+)"
    r"(?:\.(\d+)|-(\d)(?![\d.]|b(?![a-z])|x\d))?"
)
_SIZE = r"\d+(?:\.\d+)?[bm]|\d+x\d+(?:\.\d+)?b|a\d+(?:\.\d+)?b|e\d+b"
# What a copy of a model adds to its name: size, tuning by the maker, date, context, file format and precision.
_OF_A_COPY = re.compile(
    rf"{_SIZE}|v?\d+(?:\.\d+)?|\d+k|instruct|chat|base|it|pt|hf|text|vision|scout|maverick|mini|small|medium|air|thinking|"
    r"16e|128e|gguf|ggml|awq|gptq|exl2|mlx|onnx|bnb|qat|imatrix|i1|ud|dynamic|quantized|unsloth|fp8|fp16|bf16|f16|int4|int8|"
    r"nf4|\d+bit|w\d+a\d+|q\d|k|m|s|xl|turbo|instant|versatile|maas|fast|free|lite"
)


@dataclass(frozen=True, slots=True)
class Carried:
    """A family in a name: the words that say so, and the rule that binds the family."""

    family: str
    rule: Rule
    organisation: str  # of the pattern that the family was found by
    whole: bool = False  # the name says nothing besides the family that a copy of it would not


def spelled(name: str) -> str:
    """A model's name as names are compared: in lower case, with hyphens, and a family apart from its version."""
    text = name.casefold().strip()
    text = re.sub(r"(?<=\d)_(?=\d)", ".", text)
    text = re.sub(r"[_:@/\s]+", "-", text)
    text = re.sub(r"(?<=\d)p(?=\d)", ".", text)
    return _VERSION.sub(_version, re.sub(r"(?:meta-)+llama", "llama", text))


def _version(found: re.Match[str]) -> str:
    minor = found[3] or found[4]
    return f"{found[1]}-{found[2]}" + (f".{minor}" if minor else "")


def carried(name: str) -> tuple[Carried, ...]:
    """The families that a name without its organisation carries: a merge has several, most names none.

    Of two that overlap the longer one is meant: glm-4-9b-0414 is not glm-4-9b.
    """
    return _carried(spelled(name), rules())


@lru_cache(maxsize=64)
def _carried(text: str, known: tuple[Rule, ...]) -> tuple[Carried, ...]:
    found: list[tuple[int, int, Carried]] = []
    for literal, organisation, rule in _families(known):
        start = _place(text, literal)
        if start is not None:
            end = start + len(literal)
            whole = start == 0 and _only_a_copy(text[end:])
            found.append((start, end, Carried(literal, rule, organisation, whole)))
    found.sort(key=lambda one: one[0] - one[1])
    kept: list[tuple[int, int, Carried]] = []
    for start, end, one in found:
        if all(end <= other_start or start >= other_end for other_start, other_end, _ in kept):
            kept.append((start, end, one))
    described = [
        Carried(ancestor, rule, ancestor.partition("/")[0])
        for ancestor in descends_from(text)
        for rule in matching(ancestor, known)
    ]
    return tuple({one.rule.id: one for one in (*described, *(one for _, _, one in kept))}.values())


def _place(text: str, literal: str) -> int | None:
    """Where a family stands in a name as words of its own; llama-3 does not stand in llama-3.1."""
    start = text.find(literal)
    while start >= 0:
        before, after = text[:start], text[start + len(literal) :]
        minor = literal[-1].isdigit() and after[:1] == "." and after[1:2].isdigit()
        if not (before and (before[-1].isalnum() or before[-1] == ".")) and not after[:1].isalnum() and not minor:
            return start
        start = text.find(literal, start + 1)
    return None


def _only_a_copy(rest: str) -> bool:
    return all(_OF_A_COPY.fullmatch(word) for word in re.split(r"[-.](?=[a-z])|-", rest) if word)


@lru_cache(maxsize=4)
def _families(found: tuple[Rule, ...]) -> tuple[tuple[str, str, Rule], ...]:
    """The names by which rules know weights, as words to look for: each with its rule and organisation."""
    return tuple(_literals(found))


def _literals(found: tuple[Rule, ...]) -> Iterator[tuple[str, str, Rule]]:
    for rule in found:
        for pattern in rule.applies_to:
            organisation, slash, name = pattern.partition("/")
            literal = spelled(name.strip("*")).strip("-")
            # A star inside, or no letters, is no name of a family that one could look for.
            if slash and ":" not in organisation and "*" not in literal and len(literal) > 1:
                yield literal, organisation.casefold(), rule
