"""Sources of prompts: each kind of file as `datasets` or a logger writes it, found by looking, with places to open."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.config import Prompts
from potstill.errors import RecipeError
from potstill.exchanges.tables import csv_rows
from potstill.prompts import PromptSet, load_prompts
from potstill.prompts.sources import spelled

WORDS = ("kettle", "saddle", "spade", "cork", "lantern", "ladder", "bucket", "anvil", "chisel", "plough")
TURNS = [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What is a {one}?"},
          {"role": "assistant", "content": f"A {one} is a tool."}] for one in WORDS]  # fmt: skip
TABLE = pa.table({"prompt": [f"Define: {one}" for one in WORDS], "messages": TURNS, "kind": ["a", None] * 5})


def load(path: Path, **section: Any) -> PromptSet:
    return load_prompts(Prompts.model_validate({"source": path, "holdout": 0.2} | section))


def asked(found: PromptSet) -> list[str]:
    return sorted(prompt.messages[-1].content for prompt in found.prompts)


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def save(table: pa.Table, folder: Path, shards: int = 1, split: str | None = None) -> Path:
    """What `Dataset.save_to_disk` leaves: Arrow streams, state.json with their order, dataset_info.json."""
    folder.mkdir(parents=True)
    names = []
    for shard in range(shards):
        names.append(f"data-{shard:05d}-of-{shards:05d}.arrow")
        part = table.slice(shard * len(table) // shards, len(table) // shards)
        with pa.OSFile(str(folder / names[-1]), "wb") as file, pa.ipc.new_stream(file, part.schema) as writer:
            writer.write_table(part)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": split}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_csv_with_quoted_lines_and_either_separator(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = "".join(f'{at},"What is\na {one}, please?"\r\n' for at, one in enumerate(WORDS))
    path.write_text("\ufeffid,prompt\r\n" + rows, encoding="utf-8")
    found = load(path)
    assert found.format == "csv"
    assert asked(found) == sorted(f"What is\na {one}, please?" for one in WORDS)
    assert [prompt.source.rpartition("/")[2] for prompt in found.prompts][:3] == ["p.csv:2", "p.csv:4", "p.csv:6"]
    path.write_text("id;text;group\n" + "".join(f"1;Define, please: {one};x\n" for one in WORDS), encoding="utf-8")
    found = load(path, field="text", tag="group")
    assert {prompt.tag for prompt in found.prompts} == {"x"}
    assert "Define, please: cork" in asked(found)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"text\nx\n", r"p\.csv:2: no field 'prompt' \(prompts.field\); there is 'text'"),
        (b"prompt\na\nb,c\n", r"p\.csv:3: 2 values, but the header names 1 columns"),
        (b"prompt\n\xff\n", r"p\.csv: not UTF-8 text"),
        (b'prompt\n"a\n', r"p\.csv:2: not CSV"),
        (b'prompt\n""\n', r"p\.csv:2: prompt: content must be a text that is not empty"),
        (b"", "holds no prompt"),
    ],
)
def test_a_wrong_csv_is_named_by_its_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=words):
        load(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(b"prompt,x\n" + content)
    words, rows = "any.csv", []
    try:
        rows = list(csv_rows(path, "prompt"))
    except RecipeError as error:
        words = str(error)
    assert "any.csv" in words
    assert "\n" not in words
    assert all(set(row) <= {"prompt", "x"} for _, row in rows)


def test_parquet_texts_conversations_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(TABLE, path)
    found = load(path, tag="kind")
    assert (found.format, found.answered, asked(found)[0]) == ("parquet", 0, "Define: anvil")
    assert found.prompts[3].source == f"{path}:4"
    assert {prompt.tag for prompt in found.prompts} == {"a", None}
    talks = load(path, field="messages")
    assert talks.answered == len(WORDS)
    assert [message.role for message in talks.prompts[0].messages] == ["system", "user"]
    with pytest.raises(RecipeError, match=r"p\.parquet:1: no field 'text'.*there is 'prompt', 'messages', 'kind'"):
        load(path, field="text")
    (tmp_path / "bad.parquet").write_bytes(b"not one")
    with pytest.raises(RecipeError, match=r"bad\.parquet: not a Parquet file"):
        load(tmp_path / "bad.parquet")


def test_a_saved_dataset_with_shards(tmp_path: Path) -> None:
    found = load(save(TABLE, tmp_path / "saved", shards=2), field="messages")
    assert (found.format, found.rows, found.answered) == ("dataset", 10, 10)
    assert found.prompts[5].source.endswith("data-00001-of-00002.arrow:1")
    (tmp_path / "saved" / "data-00001-of-00002.arrow").write_bytes(b"\xff\xff\xff\xff\x10")
    with pytest.raises(RecipeError, match="not an Arrow file"):
        load(tmp_path / "saved")
    (tmp_path / "saved" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(RecipeError, match=r"names data-00001-of-00002\.arrow, which is not there"):
        load(tmp_path / "saved")


def test_a_saved_dataset_may_keep_messages_as_one_list_a_key(tmp_path: Path) -> None:
    rows = [{"role": [turn["role"] for turn in one], "content": [turn["content"] for turn in one]} for one in TURNS]
    found = load(save(pa.table({"messages": rows}), tmp_path / "saved"), field="messages")
    assert asked(found)[0] == "What is a anvil?"


def test_of_several_splits_one_is_named(tmp_path: Path) -> None:
    save(TABLE, tmp_path / "d" / "train", split="train")
    save(TABLE.slice(0, 5), tmp_path / "d" / "test", split="test")
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert load(tmp_path / "d", dataset_split="test").rows == 5
    with pytest.raises(RecipeError, match=r"dataset_split: .* has the splits train, test; name one"):
        load(tmp_path / "d")
    with pytest.raises(RecipeError, match=r"has no split 'dev'; there is train, test"):
        load(tmp_path / "d", dataset_split="dev")


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_a_snapshot_of_a_hub_repository(tmp_path: Path, kind: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "train.parquet").write_bytes(b"not data")
    (tmp_path / "README.md").write_text("a card")
    for name, table in (("train-00000-of-00002", TABLE.slice(0, 5)), ("train-00001-of-00002", TABLE.slice(5)),
                        ("validation", TABLE)):  # fmt: skip
        path = tmp_path / "data" / f"{name}.{kind}"
        if kind == "parquet":
            pq.write_table(table, path)
        elif kind == "jsonl":
            write(path, table.select(["prompt"]).to_pylist())
        else:
            path.write_text("prompt\n" + "\n".join(table.column("prompt").to_pylist()))
    found = load(tmp_path, dataset_split="train", format="dataset")
    assert (found.format, asked(found)) == ("dataset", sorted(TABLE.column("prompt").to_pylist()))


def test_a_fine_tuning_file_gives_everything_before_its_answers(tmp_path: Path) -> None:
    path = write(tmp_path / "tune.jsonl", [{"messages": one} for one in TURNS])
    for section in ({}, {"field": "messages"}, {"format": "fine_tuning"}):
        found = load(path, **section)
        assert (found.format, found.rows, found.answered) == ("fine_tuning", 10, 10)
        assert asked(found) == sorted(f"What is a {one}?" for one in WORDS)
    assert "10 of them with an answer, which is left aside" in found.source_line()
    prompts_only = write(tmp_path / "p.jsonl", [{"messages": one[:2]} for one in TURNS])
    assert load(prompts_only, field="messages").format == "jsonl"


def request(content: Any, **more: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": content}]} | more
    return {"request": body, "response": {"choices": [{"message": {"content": "x"}}]}, "feature": "define"}


def test_a_log_is_read_and_what_a_prompt_cannot_carry_is_refused_with_its_place(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "a rope?"}]
    image = [*parts, {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}}]
    tool = {"role": "tool", "content": "x", "tool_call_id": "1"}
    rows = [
        *[request(f"What is a {one}?") for one in WORDS],
        request(parts, response_format={"type": "json_object"}),
        request(image),
        request("Weather?", tools=[{"type": "function", "function": {"name": "weather"}}]),
        request("Weather again?", messages=[{"role": "user", "content": "Weather?"}, tool]),
        {"odd": 1},
        request("Be good.", messages=[{"role": "developer", "content": "Be brief."},
                                      {"role": "user", "content": "What is a tyre?", "refusal": None}]),
        {**request("Another job"), "feature": "chat"},
    ]  # fmt: skip
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(one) + "\n" for one in rows).encode()))
    found = load(path, job="define")
    assert (found.format, found.rows, found.answered, found.wanted_format) == ("chat_log", 13, 13, 1)
    assert "What is a rope?" in asked(found)
    developer = next(prompt for prompt in found.prompts if prompt.messages[-1].content == "What is a tyre?")
    assert developer.messages[0].role == "system"
    places = {place.rpartition("/")[2]: reason for reason, place in found.refused_for.items()}
    assert found.refused == len(places) == 3
    assert places["log.jsonl.gz:12"] == "content must be a text that is not empty"
    offered = next(prompt for prompt in found.prompts if prompt.messages[-1].content == "Weather?")
    assert [tool["function"]["name"] for tool in offered.tools] == ["weather"]
    assert places["log.jsonl.gz:14"].startswith("tool_call_id '1' answers no call before it")
    assert places["log.jsonl.gz:15"] == "no request with messages in it"
    assert "3 rows refused (log.jsonl.gz:12:" in found.source_line()
    assert load(path).rows == 14  # with the other job


def test_a_log_without_a_prompt_in_it_stops_with_the_first_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", [request("x", tools=[{"type": "function"}])] * 3)
    with pytest.raises(RecipeError, match=r"none of its 3 rows can be a prompt; .*log\.jsonl:1: \[0\] is not a tool"):
        load(path)
    with pytest.raises(RecipeError, match="holds no request of the job 'other'"):
        load(path, job="other")
    with pytest.raises(RecipeError, match=r"prompts\.tag: .* is a log"):
        load(path, tag="kind")
    table = write(tmp_path / "p.jsonl", [{"prompt": "x"}])
    with pytest.raises(RecipeError, match=r"prompts\.job: .* is a table"):
        load(table, job="other")


def test_litellm_and_batch_rows_are_prompts_too(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"call_type": "acompletion", "startTime": "2025-01-24", "request_id": str(at), "response": "{}",
         "messages": [{"role": "user", "content": f"What is a {one}?"}]}
        for at, one in enumerate(WORDS)
    ]  # fmt: skip
    assert (found := load(write(tmp_path / "spend.jsonl", rows))).format == "litellm"
    assert found.answered == 0
    rows = [{"custom_id": one, "url": "/v1/chat/completions",
             "body": {"messages": [{"role": "user", "content": f"What is a {one}?"}]}} for one in WORDS]  # fmt: skip
    assert (found := load(write(tmp_path / "batch.jsonl", rows))).format == "batch"
    assert asked(found)[0] == "What is a anvil?"


def test_folders_of_logs_are_logs_and_others_are_named(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs" / "a.jsonl", [request(f"What is a {one}?") for one in WORDS[:5]])
    write(tmp_path / "logs" / "b.jsonl", [request(f"What is a {one}?") for one in WORDS[5:]])
    found = load(tmp_path / "logs")
    assert (found.format, found.rows) == ("chat_log", 10)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match=r"empty: cannot be read as prompts"):
        load(tmp_path / "empty")


def test_a_message_keeps_what_it_cannot_carry() -> None:
    assert spelled({"role": "developer", "content": "x", "tool_calls": None, "weight": 1}) == {
        "role": "system",
        "content": "x",
    }
    image = {"role": "user", "content": [{"type": "image_url"}]}
    assert spelled(image) == image
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    assert spelled(called) == called


def test_a_logged_conversation_with_tools_is_carried_whole(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "name": "weather", "content": "rain", "tool_call_id": "c1"},
    ]
    tools = [{"type": "function", "function": {"name": "weather"}}]
    rows = [*[request(f"What is a {one}?") for one in WORDS], request("", messages=messages, tools=tools)]
    found = load(write(tmp_path / "log.jsonl", rows))
    assert found.refused == 0
    (carried,) = [one for one in found.prompts if one.tools]
    assert [one.role for one in carried.messages] == ["user", "assistant", "tool"]
    assert carried.messages[1].tool_calls == (call,)
    assert (carried.messages[2].content, carried.messages[2].tool_call_id) == ("rain", "c1")
