"""Names in one spelling, and the families that they carry; names that only sound alike carry none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.terms.names import carried, spelled
from potstill.terms.rules import rules


@pytest.mark.parametrize(
    ("name", "as_compared"),
    [
        ("Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b-instruct"),
        ("llama3.1:8b", "llama-3.1-8b"),
        ("llama3-1-8b", "llama-3.1-8b"),
        ("llama-v3p1-8b-instruct", "llama-3.1-8b-instruct"),
        ("Llama-3_1-Nemotron-51B", "llama-3.1-nemotron-51b"),
        ("llama3-8b", "llama-3-8b"),  # 8 is a size, not a minor version
        ("llama-2-70b", "llama-2-70b"),
        ("Qwen2.5-7B", "qwen-2.5-7b"),
        ("qwen2p5-7b", "qwen-2.5-7b"),
        ("Qwen-7B", "qwen-7b"),
        ("Qwen3-0.6B", "qwen-3-0.6b"),
        ("gemma3:4b", "gemma-3-4b"),
        ("gemma-7b", "gemma-7b"),
        ("open_llama_3b_v2", "open-llama-3b-v2"),
        ("TinyLlama-1.1B", "tinyllama-1.1b"),
    ],
)
def test_a_name_in_any_spelling_is_one(name: str, as_compared: str) -> None:
    assert spelled(name) == as_compared


@pytest.mark.parametrize(
    ("name", "ids", "whole"),
    [
        ("Hermes-3-Llama-3.1-8B", {"llama3.1"}, False),
        ("Hermes-2-Pro-Llama-3-8B", {"llama3"}, False),
        ("Nous-Hermes-Llama2-13b", {"llama2"}, False),
        ("Llama-3.1-8B-Qwen2.5-72B-merge", {"llama3.1", "qwen-license-2024"}, False),
        ("DeepSeek-R1-Distill-Llama-8B", {"deepseek-r1-distill-llama", "llama3.1"}, True),
        ("Skywork-o1-Open-Llama-3.1-8B", {"llama3.1"}, False),
        ("zephyr-7b-beta", {"mistral-apache"}, False),
        ("zephyr-7b-gemma-v0.1", {"gemma-terms"}, False),
        ("OpenHermes-2.5-Mistral-7B", {"mistral-apache"}, False),
        ("glm-4-9b-0414", {"glm-mit"}, True),  # of two that overlap the longer one
        ("Qwen3.5-9B", set(), False),  # another version than Qwen3
        ("Qwen2.5-Coder-32B-Instruct", {"qwen2.5-coder-math-apache"}, True),
        ("TinyLlama-1.1B-Chat-v1.0", set(), False),
        ("open_llama_7b", set(), False),
        ("dolphin-mixtral", set(), False),
        ("my-phinetuned", set(), False),
        ("student", set(), False),
    ],
)
def test_what_a_name_carries(name: str, ids: set[str], whole: bool) -> None:
    found = carried(name)
    assert {one.rule.id for one in found} == ids
    assert any(one.whole for one in found) == whole


def test_every_family_is_found_in_its_own_name() -> None:
    for rule in rules():
        for pattern in rule.applies_to:
            organisation, slash, name = pattern.partition("/")
            literal = name.rstrip("*")
            if slash and ":" not in organisation and literal.strip("-") and "*" not in literal:
                size = "7b" if literal.endswith("-") else ""
                found = carried(f"{literal}{size}")
                assert rule.id in {one.rule.id for one in found}, pattern


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=30), st.from_regex(r"[A-Za-z0-9._:-]{1,30}", fullmatch=True)))
def test_no_text_breaks_it_and_spelling_twice_changes_nothing(name: str) -> None:
    assert spelled(spelled(name)) == spelled(name)
    assert all(one.rule in rules() for one in carried(name))
