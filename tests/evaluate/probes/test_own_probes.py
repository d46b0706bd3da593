"""A file of own probes, what is wrong with one, and probes made of held-out prompts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.config import Recipe, load_recipe, parse_condition
from potstill.errors import RecipeError
from potstill.evaluate.probes.own import Probe, read_own, without_a_value
from potstill.records import Message
from potstill.run.inputs import evaluate as evaluate_reads


def recipe_with(folder: Path, *rows: Any) -> Recipe:
    (folder / "probes.jsonl").write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    (folder / "recipe.yaml").write_text(
        "name: a\nteacher: {model: 'path:./t'}\nstudent: {kind: model, model: 'path:./s'}\n"
        "prompts: {source: p.jsonl, system: Be brief., examples: [{prompt: a, answer: b}]}\n"
        "evaluate: {probes: {file: probes.jsonl}}\naccept: {probe.own_abstain: '<= 0.1'}\n",
        encoding="utf-8",
    )
    return load_recipe(folder / "recipe.yaml")


def test_probes_have_the_recipes_system_message_and_examples(tmp_path: Path) -> None:
    (found,) = read_own(recipe_with(tmp_path, {"prompt": "Who is it?", "expect": "abstain"}))
    assert [(one.role, one.content) for one in found.messages] == [
        ("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "Who is it?")
    ]  # fmt: skip
    assert found.text == "Who is it?"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("[1]", "each line must be one JSON object"),
        ({"prompt": "a"}, "expect: Field required"),
        ({"prompt": "a", "expect": "guess"}, "expect: Input should be 'abstain', 'refuse'"),
        ({"prompt": "", "expect": "abstain"}, "prompt: String should have at least 1 character"),
        ({"prompt": "a", "expect": "empty_fields"}, "fields: empty_fields names the fields"),
        ({"prompt": "a", "expect": "abstain", "fields": ["b"]}, "fields: empty_fields names the fields"),
        ({"prompt": "a", "expect": "format"}, "format: give format or json_schema"),
        ({"prompt": "a", "expect": "clarify", "format": "list"}, "format: give format or json_schema"),
        ({"prompt": "a", "expect": "format", "json_schema": {"type": 5}}, "not a JSON Schema"),
        ({"prompt": "a", "expect": "abstain", "other": 1}, "other: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path, row: Any, words: str) -> None:
    recipe = recipe_with(tmp_path, {"prompt": "fine", "expect": "abstain"}, row)
    with pytest.raises(RecipeError) as caught:
        read_own(recipe)
    assert words in str(caught.value)
    assert "probes.jsonl:2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_empty(tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path)
    with pytest.raises(RecipeError, match="holds no probe"):
        read_own(recipe)
    (tmp_path / "probes.jsonl").unlink()
    with pytest.raises(RecipeError, match="no such file"):
        read_own(recipe)


def expecting(expect: Any, **more: Any) -> Probe:
    return Probe((Message("user", "p"),), expect, **more)


@pytest.mark.parametrize(
    ("probe", "right", "wrong"),
    [
        (expecting("abstain"), "I don't know.", "Paris."),
        (expecting("refuse"), "I'm sorry, but I can't help with that.", "I don't know."),
        (expecting("clarify"), "Which one?", "That one."),
        (expecting("empty_fields", fields=("a.b", "c")), '{"a": {"b": null}, "d": 1}', '{"a": {"b": 1}}'),
        (expecting("empty_fields", fields=("a",)), '{"a": "unknown"}', "no JSON"),
        (expecting("format", format="list"), "- a\n- b", "a and b."),
        (expecting("format", json_schema={"required": ["a"]}), '{"a": 1}', '{"b": 1}'),
        (expecting("format", format="json", json_schema={"type": "array"}), "[1]", '{"b": 1}'),
    ],
)
def test_what_is_expected(probe: Probe, right: str, wrong: str) -> None:
    assert probe.holds(right)
    assert not probe.holds(wrong)


def test_a_schema_that_refers_elsewhere_is_told_in_one_line() -> None:
    probe = expecting("format", json_schema={"$ref": "https://example.invalid/schema"})
    with pytest.raises(RecipeError, match="which is not in it"):
        probe.holds("{}")


PROMPT = "Extract the fields. Ann Larsen wrote on Monday. Her phone is 555-0199. She asks about an invoice."


def test_a_probe_is_made_by_taking_the_sentence_of_a_value_out() -> None:
    answer = json.dumps({"phone": "555-0199", "name": "Ann Larsen", "topic": "invoice", "urgent": None, "n": 3})
    made = without_a_value([Message("system", "s"), Message("user", PROMPT)], answer)
    assert made is not None
    assert made.messages[0] == Message("system", "s")
    assert made.text == "Extract the fields. Ann Larsen wrote on Monday. She asks about an invoice."
    assert (made.expect, made.fields, made.made) == ("empty_fields", ("phone",), True)
    assert made.holds('{"phone": null, "name": "Ann Larsen"}')
    assert not made.holds('{"phone": "555-0100"}')


@pytest.mark.parametrize(
    "answer",
    [
        "no JSON", "[]", "{}", '{"phone": "no"}',
        '{"name": "She"}',  # too short to be sure of
        '{"elsewhere": "not in the prompt"}',
    ],
)  # fmt: skip
def test_no_probe_is_made_where_nothing_can_be_taken_out(answer: str) -> None:
    assert without_a_value([Message("user", PROMPT)], answer) is None
    twice = json.dumps({"name": "Ann Larsen"})
    assert without_a_value([Message("user", f"{PROMPT} Ann Larsen waits.")], twice) is None
    assert without_a_value([Message("user", "Ann Larsen wrote. Hm.")], twice) is None  # hardly a prompt is left


@given(prompt=st.text(), value=st.dictionaries(st.text(), st.text(min_size=4)))
def test_what_is_taken_out_is_gone(prompt: str, value: dict[str, str]) -> None:
    made = without_a_value(
        [Message("user", f"{prompt} {' '.join(value.values())}. {'And more. ' * 6}")], json.dumps(value)
    )
    assert made is None or all(value[key].strip() not in made.text for key in made.fields)


def test_figures_of_probes_can_be_asked_for(tmp_path: Path) -> None:
    assert parse_condition("probe.lost_abstention", "<= 0.2").figure == "probe.lost_abstention"
    for name in ("probe.kl_nats", "probe.", "teacher.lost_abstention", "lost_abstention"):
        with pytest.raises(ValueError, match="no figure is called"):
            parse_condition(name, "<= 0.2")
    recipe = recipe_with(tmp_path, {"prompt": "a", "expect": "abstain"})
    before = evaluate_reads(recipe)
    (tmp_path / "probes.jsonl").write_text("", encoding="utf-8")
    assert evaluate_reads(recipe) != before  # another file of probes evaluates again
