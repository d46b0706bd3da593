"""What a request carries: everything that can change its answer is in its key; tools, forms, a server's own fields."""

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Call, ScriptedServer, Step, answer, failure
from test_endpoint import collect, make_prompts, recipe, rows, table

from potstill.answers import load_answers
from potstill.collect.asking import requests
from potstill.collect.screen import usable
from potstill.config import Recipe
from potstill.errors import PotstillError, RecipeError
from potstill.models.chat_completion import read_reply
from potstill.models.http import cost_usd, most_usd
from potstill.prompts import prompt_hash, with_tools
from potstill.records import Message, Prompt, Reply, content_hash
from potstill.rendering import what_is_dropped
from potstill.store.prompts import read_prompts, write_prompts
from tokenizing import byte_level, model_folder

# Writes tools, calls, and results, as the templates of current models do.
KNOWS_TOOLS = (
    "{% if tools %}<s>tools {% for t in tools %}{{ t.function | tojson }}\n{% endfor %}</s>{% endif %}"
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}"
    "({{ c.function.arguments.items() | list }}){% endfor %}"
    "</s>{% if m.role != 'assistant' or not loop.last %}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
DROPS_TOOLS = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}<s>"
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}
OTHER_TOOL = {"type": "function", "function": {"name": "other", "parameters": {"type": "object"}}}
CALL = {"id": "call1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "kettle"}'}}


def body(asked: Recipe, prompts: list[Prompt] | None = None) -> dict[str, Any]:
    return json.loads(next(requests(asked, asked.teacher.endpoint, prompts or make_prompts(1))).content)["body"]


def first_key(asked: Recipe, prompts: list[Prompt] | None = None) -> str:
    prompts = with_tools(prompts or make_prompts(1), asked.collect.tools or ())
    return next(requests(asked, asked.teacher.endpoint, prompts)).key


SCHEMA = {"title": "Job title", "type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("changed", "endpoint"),
    [
        ({"temperature": 0.2}, {}),
        ({"top_p": 0.9}, {}),
        ({"max_new_tokens": 17}, {}),
        ({"seed": 1}, {}),
        ({"signals": {"kind": "top_k", "k": 5}}, {}),
        ({"response_format": SCHEMA}, {}),
        ({"response_format": {"type": "json_object"}}, {}),
        ({"tools": [TOOL]}, {}),
        ({"tools": [OTHER_TOOL]}, {}),
        ({"tools": [TOOL, OTHER_TOOL]}, {}),
        ({"tools": [TOOL], "tool_choice": "required"}, {}),
        ({"tools": [TOOL], "tool_choice": "look_up"}, {}),
        ({}, {"model": "bigger"}),
        ({}, {"base_url": "http://localhost/v2"}),
        ({}, {"token_limit_field": "max_completion_tokens"}),
        ({}, {"extra_body": {"reasoning_effort": "low"}}),
        ({}, {"extra_body": {"reasoning_effort": "high"}}),
        ({}, {"extra_body": {"temperature": None}}),
    ],
)
def test_row_9_each_field_that_can_change_an_answer_changes_the_key(
    changed: dict[str, Any], endpoint: dict[str, Any]
) -> None:
    plain, other = recipe(), recipe(**({"base_url": "http://localhost/v1"} | endpoint), collect=changed)
    assert first_key(plain) == first_key(recipe())
    assert first_key(other) != first_key(plain)
    assert first_key(other) == first_key(recipe(**({"base_url": "http://localhost/v1"} | endpoint), collect=changed))


def test_row_9_messages_tools_and_turns_of_a_row_change_the_key() -> None:
    def prompt(*messages: Message, tools: tuple[Any, ...] = ()) -> Prompt:
        return Prompt(messages, "train", "test", prompt_hash(messages, tools), None, tools)

    asked, user = recipe(), Message("user", "hello")
    different = [
        prompt(user), prompt(Message("system", "be short"), user), prompt(user, Message("assistant", "hi"), user),
        prompt(user, tools=(TOOL,)), prompt(user, tools=(OTHER_TOOL,)),
        prompt(user, Message("assistant", "", (CALL,)), Message("tool", "a vessel", (), "call1")),
        prompt(user, Message("assistant", "", (CALL,)), Message("tool", "a pot", (), "call1")),
    ]  # fmt: skip
    assert len({first_key(asked, [one]) for one in different}) == len(different)
    assert len({one.hash for one in different}) == len(different)
    assert first_key(recipe(collect={"answers_per_prompt": 2})) == first_key(asked)
    twice = list(requests(recipe(collect={"answers_per_prompt": 2}), asked.teacher.endpoint, make_prompts(1)))
    assert len({one.key for one in twice}) == len({json.loads(one.content)["body"]["seed"] for one in twice}) == 2


def test_what_does_not_change_an_answer_does_not_change_the_key() -> None:
    same = {"mode": "batch", "batch": {"at_once": 3}, "budget_usd": 4, "train_on_truncated": True}
    prices = {"price_per_million": {"input": 1, "output": 2, "batch_discount": 0.5}}
    assert first_key(recipe(collect=same, **prices)) == first_key(recipe())


def test_hashes_of_old_prompts_hold() -> None:
    # The form that run folders written before there were tools have.
    messages = (Message("system", "s"), Message("user", "u"))
    assert prompt_hash(messages) == content_hash([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
    assert Message("user", "u").plain == {"role": "user", "content": "u"}


def test_bodies() -> None:
    prompts = with_tools(make_prompts(1), (TOOL,))
    asked = recipe(collect={"tools": [TOOL], "tool_choice": "look_up", "response_format": SCHEMA})
    found = body(asked, prompts)
    assert found["tools"] == [TOOL]
    assert found["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}
    assert found["response_format"] == {
        "type": "json_schema", "json_schema": {"name": "Job_title", "schema": SCHEMA, "strict": True},
    }  # fmt: skip
    special = body(recipe(token_limit_field="max_completion_tokens", extra_body={"seed": None, "effort": "low"}))
    assert special["max_completion_tokens"] == 16
    assert special["effort"] == "low"
    assert not {"max_tokens", "seed", "tools", "tool_choice", "response_format"} & special.keys()
    endpoint = recipe(price_per_million={"input": 1.0, "output": 1.0}).teacher.endpoint
    assert endpoint is not None
    prices = endpoint.price_per_million
    assert most_usd(found, prices) > most_usd(body(recipe()), prices) + len(json.dumps(TOOL)) / 2e6
    assert most_usd(special, prices) > 16 / 1e6
    reply = Reply("x", "stop", input_tokens=10, output_tokens=2)
    assert cost_usd(reply, prices) == pytest.approx(12e-6)


@pytest.mark.parametrize(
    ("collect_section", "endpoint", "words"),
    [
        ({"tools": []}, {}, "collect.tools: must be a list of tools that is not empty"),
        ({"tools": [{"name": "f"}]}, {}, "collect.tools: [0] is not a tool"),
        ({"tools": [TOOL, TOOL]}, {}, "collect.tools: [1]: a second tool is called 'look_up'"),
        ({"tool_choice": "auto"}, {}, "collect.tool_choice: there are no tools to choose from"),
        ({"tools": [TOOL], "tool_choice": "gone"}, {}, "'gone' is neither auto, none, required nor one of the tools"),
        ({"response_format": {"a": 1}}, {}, "collect.response_format: is no JSON schema"),
        ({"response_format": {"type": "json_schema"}}, {}, "needs json_schema: {name"),
        ({"tools": "missing.json"}, {}, "collect.tools: /missing.json: no such file"),
        ({}, {"extra_body": {"model": "x"}}, "extra_body: model is set by Potstill"),
        ({}, {"extra_body": {"temperature": 1}}, "extra_body: temperature is set under collect"),
    ],
)
def test_recipes_that_ask_for_what_cannot_be_sent(
    collect_section: dict[str, Any], endpoint: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(collect=collect_section, **endpoint)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_the_recipe_names_are_read_once(tmp_path: Path) -> None:
    from potstill.config import load_recipe

    (tmp_path / "tools.json").write_text(json.dumps([TOOL]), encoding="utf-8")
    (tmp_path / "form.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        "name: t\nteacher: {endpoint: {base_url: http://localhost/v1, model: m}}\nprompts: {source: p.jsonl}\n"
        "collect: {tools: tools.json, response_format: form.json}\nstudent: {kind: scratch, config: {}}\n",
        encoding="utf-8",
    )
    read = load_recipe(tmp_path / "recipe.yaml")
    assert read.collect.tools == (TOOL,)
    assert read.collect.response_format is not None
    assert read.collect.response_format["json_schema"]["schema"] == SCHEMA
    (tmp_path / "form.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"collect\.response_format: .*form\.json: not JSON"):
        load_recipe(tmp_path / "recipe.yaml")


@pytest.fixture
def server():
    with ScriptedServer() as running:
        yield running


def student(folder: Path, template: str) -> dict[str, Any]:
    tokenizer = byte_level(300)
    tokenizer.chat_template = template
    return {"kind": "model", "model": f"path:{model_folder(folder / 'student', tokenizer)}"}


def with_student(asked: Recipe, section: dict[str, Any]) -> Recipe:
    from potstill.config import ModelStudent

    return asked.model_copy(update={"student": ModelStudent.model_validate(section)})


def test_tool_calls_are_kept_and_trained_on(server: ScriptedServer, tmp_path: Path) -> None:
    def script(call: Call) -> Step:
        bad = call.prompt == "question 1"
        calls = [CALL] if not bad else [{**CALL, "function": {"name": "look_up", "arguments": '{"word'}}]
        return answer(None, finish_reason="tool_calls", tool_calls=calls)

    server.script = script
    asked = with_student(recipe(server.base_url, {"tools": [TOOL]}), student(tmp_path, KNOWS_TOOLS))
    prompts = with_tools(make_prompts(12), asked.collect.tools or ())
    result = collect(asked, prompts, tmp_path)
    assert server.calls[0].body["tools"] == [TOOL]
    assert result.facts["use"] == {"malformed": 1, "ok": 11}
    found = table(tmp_path)[0]
    assert (found["answer"], found["finish_reason"], found["use"]) == ("", "tool_calls", "ok")
    assert json.loads(found["tool_calls"]) == [CALL]
    assert json.loads(found["tools"]) == [TOOL]
    write_prompts(prompts, tmp_path / "prompts.parquet")
    assert read_prompts(tmp_path / "prompts.parquet") == prompts
    tokenizer = byte_level(300)
    tokenizer.chat_template = KNOWS_TOOLS
    answers = load_answers(tmp_path, "train", {"ok"}, tokenizer, None, exact_tokens=False)
    assert len(answers) == 9
    tokens, start = answers[0].example.tokens, answers[0].example.prompt_length
    assert tokenizer.decode(tokens[start:]) == "<call>look_up([('word', 'kettle')])</s>"
    assert "look_up" in tokenizer.decode(tokens[:start])
    assert answers[0].text == 'look_up({"word": "kettle"})'
    tokenizer.chat_template = DROPS_TOOLS
    with pytest.raises(RecipeError, match=r"test:1: the student's chat template does not write the tools"):
        load_answers(tmp_path, "train", {"ok"}, tokenizer, None, exact_tokens=False)


@pytest.mark.parametrize(
    ("template", "lacking"), [(DROPS_TOOLS, "the tools that may be called"), (None, "there is none")]
)
def test_a_template_without_tools_is_refused_before_anything_is_asked(
    server: ScriptedServer, tmp_path: Path, template: str | None, lacking: str
) -> None:
    asked = with_student(recipe(server.base_url, {"tools": [TOOL]}), student(tmp_path, template or ""))
    if template is None:
        (tmp_path / "student" / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(RecipeError, match="chat template") as caught:
        collect(asked, with_tools(make_prompts(2), (TOOL,)), tmp_path)
    assert lacking in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.calls == []


def test_what_a_template_drops() -> None:
    tokenizer = byte_level(300)
    tokenizer.chat_template = KNOWS_TOOLS
    assert what_is_dropped(tokenizer, (TOOL,), results=True) is None
    tokenizer.chat_template = KNOWS_TOOLS.replace("m.tool_calls or []", "[]")
    assert what_is_dropped(tokenizer, (TOOL,), results=False) == "tool calls"
    tokenizer.chat_template = "{{ raise_exception('no tools here') }}"
    assert what_is_dropped(tokenizer, (TOOL,), results=False) == "the tools that may be called (no tools here)"
    tokenizer.chat_template = KNOWS_TOOLS.replace(
        "{% for m in messages %}", "{% for m in messages if m.role != 'tool' %}"
    )
    assert what_is_dropped(tokenizer, (), results=True) == "the results of tools"
    assert what_is_dropped(tokenizer, (), results=False) is None


def test_a_server_that_wants_the_other_limit_says_which_key_to_set(server: ScriptedServer, tmp_path: Path) -> None:
    words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.script = lambda call: answer() if "max_completion_tokens" in call.body else failure(400, words)
    with pytest.raises(PotstillError, match=r"set teacher\.endpoint.token_limit_field: max_completion_tokens"):
        collect(recipe(server.base_url), make_prompts(3), tmp_path)
    fixed = recipe(server.base_url, token_limit_field="max_completion_tokens")
    assert collect(fixed, make_prompts(3), tmp_path).facts["answers"] == 3
    assert rows(tmp_path, "SELECT count(*) FROM requests WHERE wanted = 1") == [(3,)]


@pytest.mark.parametrize(
    ("calls", "kept", "use"),
    [
        ([CALL], (CALL,), "ok"),
        ([{**CALL, "index": 0}], (CALL,), "ok"),
        ([{"function": {"name": "f", "arguments": {"a": 1}}}], None, "ok"),
        ([{"id": "x", "function": {"name": "f", "arguments": "[1]"}}], None, "malformed"),
        ([None, 3, {"function": None}], (), "empty"),
        ("nonsense", (), "empty"),
    ],
)
def test_tool_calls_as_servers_word_them(calls: Any, kept: Any, use: str) -> None:
    data = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    reply, _ = read_reply(data)
    assert reply is not None
    assert usable(reply) == use
    if kept is not None:
        assert reply.tool_calls == kept
