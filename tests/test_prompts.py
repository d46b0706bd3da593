"""Prompts: reading JSONL with errors that name the line, duplicates, resemblance, and the split."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from potstill.config import Prompts
from potstill.errors import PotstillError, RecipeError
from potstill.prompts import PromptSet, load_prompts, prompt_hash, read_prompts, write_prompts
from potstill.records import Message
from potstill.texts.resemblance import resembling
from potstill.texts.shingles import shingles

WORDS = [
    "kettle", "saddle", "spade", "fork", "cork", "lamp", "lantern", "ladder", "bucket", "basket", "barrel", "hammer",
    "anvil", "chisel", "plough", "sickle", "scythe", "needle", "thimble", "loom", "wheel", "pulley", "lever", "crane",
    "wrench", "rivet", "gear", "spring", "valve", "piston", "boiler",
]  # fmt: skip


def load(path: Path, *rows: Any, **section: Any) -> PromptSet:
    path = path / "prompts.jsonl" if path.is_dir() else path
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_prompts(Prompts.model_validate({"source": path, "holdout": 0.5} | section))


def texts(number: int) -> list[dict[str, str]]:
    return [{"prompt": f"What is a {WORDS[at % len(WORDS)]}{at}?"} for at in range(number)]


def test_texts_and_conversations_are_read_with_their_places(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Hello, who are you?"},
        {"role": "assistant", "content": "A model."},
        {"role": "user", "content": "Which?"},
    ]
    found = load(tmp_path, {"prompt": "What is a kettle?", "id": 7}, {"prompt": turns})
    assert [prompt.messages for prompt in found.prompts] == [
        (Message("user", "What is a kettle?"),),
        tuple(Message(**turn) for turn in turns),
    ]
    assert [Path(prompt.source).name for prompt in found.prompts] == ["prompts.jsonl:1", "prompts.jsonl:2"]
    assert all(prompt.hash == prompt_hash(prompt.messages) for prompt in found.prompts)


def test_the_system_message_comes_first_unless_the_row_brings_one(tmp_path: Path) -> None:
    own = [{"role": "system", "content": "Be long."}, {"role": "user", "content": "What is a spade?"}]
    found = load(tmp_path, {"q": "What is a kettle?"}, {"q": own}, field="q", system="Be brief.")
    assert found.prompts[0].messages == (Message("system", "Be brief."), Message("user", "What is a kettle?"))
    assert found.prompts[1].messages[0] == Message("system", "Be long.")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", r"prompts\.jsonl:2: not JSON .*one JSON object"),
        ("[1]", ":2: not a JSON object"),
        ("null", ":2: not a JSON object"),
        ("[" * 100_000, ":2: not a prompt|:2: not JSON"),
        ("9" * 5000, ":2: not"),
        ('{"text": "x"}', r":2: no field 'prompt' \(prompts.field\); there is 'text'"),
        ("{}", ":2: no field 'prompt'.*there is nothing"),
        ('{"prompt": 3}', ":2: prompt is a number"),
        ('{"prompt": true}', ":2: prompt is a boolean"),
        ('{"prompt": null}', ":2: prompt is null"),
        ('{"prompt": {"a": 1}}', ":2: prompt is an object"),
        ('{"prompt": "  "}', ":2: prompt: content must be a text that is not empty"),
        ('{"prompt": []}', ":2: prompt is an empty list"),
        ('{"prompt": ["x"]}', r":2: prompt\[0\]: not a message"),
        ('{"prompt": [{"role": "user"}]}', r":2: prompt\[0\]: not a message"),
        ('{"prompt": [{"role": "robot", "content": "x"}]}', r":2: prompt\[0\]: role 'robot' is not one of system"),
        ('{"prompt": [{"role": ["user"], "content": "x"}]}', r":2: prompt\[0\]: role"),
        ('{"prompt": [{"role": "user", "content": 3}]}', r":2: prompt\[0\]: content must be a text"),
        ('{"prompt": [{"role": "user", "content": "x", "name": "y"}]}', "role and content only, not 'name'"),
        (
            '{"prompt": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}',
            "ends with a message of",
        ),
        ('{"prompt": "\\ud800"}', ":2: prompt: content holds half a character"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=words) as caught:
        load_prompts(Prompts(source=path))
    assert "\n" not in str(caught.value)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere\.jsonl: no such file"):
        load_prompts(Prompts(source=tmp_path / "nowhere.jsonl"))
    with pytest.raises(RecipeError, match="cannot be read"):
        load_prompts(Prompts(source=tmp_path))
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(RecipeError, match="holds no prompt"):
        load_prompts(Prompts(source=tmp_path / "empty.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes('{"prompt": "é"}\n'.encode("latin-1"))
    with pytest.raises(RecipeError, match=r"latin\.jsonl:1: not UTF-8"):
        load_prompts(Prompts(source=tmp_path / "latin.jsonl"))


def test_blank_lines_a_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "What is a kettle?"}\r\n\r\n{"prompt": "Where do saddles go?"}')
    assert load_prompts(Prompts(source=path, holdout=0.5)).rows == 2


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["prompt", "role", "content"]), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=30) | ANY_JSON.map(lambda value: json.dumps(value).encode()), max_size=4))
@example([b'{"prompt": "a"}', b'{"prompt": "b"}'])
def test_any_bytes_give_prompts_or_one_clear_line(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "any.jsonl"
    path.write_bytes(b"\n".join(lines))
    words = ""
    try:
        found = load_prompts(Prompts(source=path, holdout=0.5))
    except RecipeError as error:
        words = str(error)
    else:
        assert found.prompts
        write_prompts(found.prompts, tmp_path / "any.parquet")
        assert read_prompts(tmp_path / "any.parquet") == list(found.prompts)
    assert "\n" not in words


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1).filter(lambda text: bool(text.strip())), min_size=2, max_size=8))
def test_any_texts_come_back_as_they_were(tmp_path: Path, given_texts: list[str]) -> None:
    try:
        found = load(tmp_path, *({"prompt": text} for text in given_texts))
    except RecipeError:
        return
    assert {prompt.messages[0].content for prompt in found.prompts} <= set(given_texts)
    assert found.rows == len(given_texts)
    assert found.rows == len(found.prompts) + found.exact_duplicates + found.near_duplicates


def test_exact_duplicates_are_kept_once_and_counted(tmp_path: Path) -> None:
    found = load(tmp_path, *texts(20), *[{"prompt": "What is a kettle0?"}] * 99)
    assert (found.rows, found.exact_duplicates, len(found.prompts)) == (119, 99, 20)


@pytest.mark.parametrize(("number", "holdout", "held"), [(300, 0.1, 30), (10, 0.25, 2), (2, 0.5, 1), (7, 0.9, 6)])
def test_the_split_is_exact_and_does_not_depend_on_the_order(
    tmp_path: Path, number: int, holdout: float, held: int
) -> None:
    rows = texts(number)
    forwards = load(tmp_path, *rows, holdout=holdout)
    backwards = load(tmp_path, *rows[::-1], holdout=holdout)
    chosen = {prompt.hash for prompt in forwards.prompts if prompt.split == "holdout"}
    assert len(chosen) == held
    assert chosen == {prompt.hash for prompt in backwards.prompts if prompt.split == "holdout"}


def test_a_split_without_two_sides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"prompts\.holdout: 0\.1 of 4 different prompts in .* is 0"):
        load(tmp_path, *texts(4), holdout=0.1)
    with pytest.raises(RecipeError, match="is 1"):
        load(tmp_path, *texts(1), holdout=0.9)


def test_the_limit_takes_the_first_rows(tmp_path: Path) -> None:
    found = load(tmp_path, *texts(20), limit=6)
    assert found.rows == 6
    assert [prompt.messages[0].content for prompt in found.prompts] == [row["prompt"] for row in texts(6)]


def test_no_training_prompt_resembles_a_held_out_one(tmp_path: Path) -> None:
    plain = [{"prompt": f"Define the word {word} in one sentence for a glossary."} for word in WORDS]
    alone = load(tmp_path, *plain, holdout=0.3)
    assert alone.near_duplicates == 0
    word = next(prompt for prompt in alone.prompts if prompt.split == "holdout").messages[0].content.split()[3]
    alike = [
        {"prompt": f"  define the word “{word.upper()}” in one sentence, for a glossary!"},
        {"prompt": f"Please define the word {word} in one sentence for a glossary."},
    ]
    found = load(tmp_path, *plain, *alike, holdout=0.3)
    sides: dict[str, set[str]] = {}
    for prompt in found.prompts:
        content = prompt.messages[0].content.lower()
        sides.setdefault(next(one for one in WORDS if one in content.split(" ") or f"“{one}”" in content), set()).add(
            prompt.split
        )
    assert all(len(both) == 1 for both in sides.values())
    assert found.rows == len(found.prompts) + found.near_duplicates
    assert found.crossing >= found.near_duplicates


def test_when_nothing_is_left_to_train_on_it_says_so(tmp_path: Path) -> None:
    rows = [{"prompt": "What is a kettle?" + " " * at} for at in range(10)]
    with pytest.raises(RecipeError, match="nothing is left to train on"):
        load(tmp_path, *rows)


def test_a_shared_template_is_not_resemblance() -> None:
    asked = ["What is a {}?", "What is a {} used for?", "Explain {} to a child.", "Define the word {} in one sentence."]
    many = [template.format(word) for word in WORDS for template in asked]
    assert resembling(many, range(0, len(many), 3)) == []


def test_signs_count_and_spelling_does_not() -> None:
    rest = [f"What is {at} times {at + 7}?" for at in range(40)]
    assert resembling(["What is 312 + 46?", "What is 312 - 46?", *rest], [0]) == []
    assert resembling(["Wo liegt Köln am Rhein?", "WO LIEGT Ko\u0308LN AM RHEIN", *rest], [0]) == [(0, 1)]
    assert resembling(["कि", "का", "?!", "…", *rest], [0, 2]) == []


def test_the_filter_finds_what_comparing_all_pairs_finds() -> None:
    words = [f"{first} {second}" for first in WORDS[:12] for second in WORDS[:12]]
    many = [f"Tell me about the {pair} and the {pair[::-1]}" for pair in words]
    many += [text.replace("Tell me", "Please tell me") for text in many[:100:3]][1:]
    held = list(range(0, len(many), 4))
    counts: dict[int, int] = {}
    sets = [set(shingles(text).tolist()) for text in many]
    for one in sets:
        for shingle in one:
            counts[shingle] = counts.get(shingle, 0) + 1
    weight = {shingle: math.log((len(many) + 1) / number) for shingle, number in counts.items()}

    def similar(a: int, b: int) -> bool:
        shared = sum(weight[one] for one in sets[a] & sets[b])
        return shared >= 0.7 * sum(weight[one] for one in sets[a] | sets[b])

    expected = [(a, b) for b in range(len(many)) if b % 4 for a in held if similar(a, b)]
    assert expected
    assert sorted(resembling(many, held)) == sorted(expected)


def test_parquet_keeps_everything_and_is_readable_by_others(tmp_path: Path) -> None:
    found = load(tmp_path, *texts(10), {"prompt": "日本 \x00 \U0001f600"})
    write_prompts(found.prompts, tmp_path / "prompts.parquet")
    assert read_prompts(tmp_path / "prompts.parquet") == list(found.prompts)
    table = pq.read_table(tmp_path / "prompts.parquet")
    assert table.column_names == ["messages", "split", "source", "hash"]
    assert json.loads(table["messages"][0].as_py())[0]["role"] == "user"
    assert not list(tmp_path.glob("*.part"))


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PotstillError, match="run the prompts stage again"):
        read_prompts(tmp_path / "missing.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(PotstillError, match="not a table of prompts"):
        read_prompts(tmp_path / "text.parquet")
    with pytest.raises(PotstillError, match="cannot be written"):
        write_prompts([], tmp_path / "no" / "folder")


def tagged(*tags: str | None) -> list[dict[str, str | None]]:
    return [{"prompt": f"What is a {WORDS[at]}{at}?", "job": tag} for at, tag in enumerate(tags)]


def test_tags_come_from_the_field_that_the_recipe_names(tmp_path: Path) -> None:
    rows = tagged("sums", None, "words", "sums")
    assert [one.tag for one in load(tmp_path, *rows, tag="job").prompts] == ["sums", None, "words", "sums"]
    assert [one.tag for one in load(tmp_path, *rows).prompts] == [None] * 4
    plain, with_tags = load(tmp_path, *rows).prompts, load(tmp_path, *rows, tag="job").prompts
    assert [one.hash for one in plain] == [one.hash for one in with_tags]  # a tag is no part of what is asked
    write_prompts(with_tags, tmp_path / "tags.parquet")
    assert tuple(read_prompts(tmp_path / "tags.parquet")) == with_tags


def test_a_table_without_tags_is_what_it_was_before_there_were_any(tmp_path: Path) -> None:
    prompts = load(tmp_path, *tagged("sums", "words")).prompts
    write_prompts(prompts, tmp_path / "prompts.parquet")
    assert pq.read_schema(tmp_path / "prompts.parquet").names == ["messages", "split", "source", "hash"]
    assert tuple(read_prompts(tmp_path / "prompts.parquet")) == prompts


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "What is a loom?"}, r"prompts.jsonl:3: no field 'job' \(prompts.tag\); there is 'prompt'"),
        ({"prompt": "What is a loom?", "job": 3}, "prompts.jsonl:3: job must be a text that is not empty, or null"),
        ({"prompt": "What is a loom?", "job": " "}, "prompts.jsonl:3: job must be a text that is not empty, or null"),
        (
            {"prompt": "What is a kettle0?", "job": "b"},
            "jsonl:3: the same prompt as .*:1, which has the tag 'a'",
        ),
    ],
)
def test_a_wrong_tag_is_named_with_its_line(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load(tmp_path, *tagged("a", "b"), row, tag="job")
